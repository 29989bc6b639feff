"""The table cut × V: test accuracy, seconds of `extract` and of `fine_tune`, megabytes, for some cuts and views.

python -m benchmarks.cuts solar_cells 4,2,1,live block2,block4,block7
"""

import argparse
import json
from statistics import mean

from benchmarks.workspace import photographs, workspace
from headstart import errors


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cuts", description=__doc__.partition("\n")[0])
    parser.add_argument("preset", choices=["solar_cells", "cats_vs_dogs"])
    parser.add_argument("views", help="numbers of views, and live, with commas")
    parser.add_argument("cuts", help="layers, with commas")
    parser.add_argument("--seeds", type=int, default=1, help="seeds 1 to N of each (default: %(default)s)")
    options = parser.parse_args()
    print("cut      V     accuracy  head    extract  fine_tune  MB", flush=True)
    with workspace() as place:
        place.preset(options.preset, **(photographs() if options.preset == "cats_vs_dogs" else {}))
        for name in ("fetch", "split"):
            place.stage(name)
        for cut in options.cuts.split(","):
            for views in options.views.split(","):
                place.set({"fine_tune.cut": cut, "fine_tune.views": views if views == "live" else int(views)})
                extract = place.stage("extract")
                size = sum(file.stat().st_size for file in (place.path / "data/features").iterdir()) / 1e6
                scores, seconds = [], []
                for seed in range(1, options.seeds + 1):
                    place.set({"seed": seed})
                    place.stage("train_head")
                    seconds.append(place.stage("fine_tune"))
                    place.stage("evaluate")
                    scores.append(json.loads((place.path / "metrics/test.json").read_text()))
                tuned, head = (mean(one[name]["accuracy"] for one in scores) for name in ("fine_tuned", "head"))
                took = f"{extract:5.0f} s  {mean(seconds):7.0f} s"
                print(f"{cut:<8} {views:<5} {tuned:.4f}    {head:.4f}  {took}  {size:,.0f}", flush=True)


if __name__ == "__main__":
    errors.run(main)
