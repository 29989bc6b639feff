"""The table cut × V: accuracies, seconds of `extract` and of `fine_tune`, megabytes, for some cuts and views.

python -m benchmarks.cuts solar_cells 4,2,1,live block2,block4,block7
"""

import argparse
import csv
import json
from pathlib import Path
from statistics import mean

from benchmarks.workspace import photographs, workspace
from headstart import errors


def validation(place: Path) -> float:
    """Validation accuracy of the epoch that `fine_tune` kept: what a cut is chosen by."""
    with (place / "metrics/fine_tune/plots/metrics/validation/accuracy.tsv").open() as file:
        return max(float(row["accuracy"]) for row in csv.DictReader(file, delimiter="\t"))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cuts", description=__doc__.partition("\n")[0])
    parser.add_argument("preset", choices=["solar_cells", "cats_vs_dogs"])
    parser.add_argument("views", help="numbers of views, and live, with commas")
    parser.add_argument("cuts", help="layers, with commas")
    parser.add_argument("--seeds", type=int, default=1, help="seeds 1 to N of each (default: %(default)s)")
    options = parser.parse_args()
    row = "{:9} {:5} {:10} {:6} {:6} {:>7} {:>9} {:>6}"
    print(row.format("cut", "views", "validation", "test", "head", "extract", "fine_tune", "MB"), flush=True)
    with workspace() as place:
        place.preset(options.preset, **(photographs() if options.preset == "cats_vs_dogs" else {}))
        for name in ("fetch", "split"):
            place.stage(name)
        for cut in options.cuts.split(","):
            for views in options.views.split(","):
                place.set({"fine_tune.cut": cut, "fine_tune.views": views if views == "live" else int(views)})
                extract = place.stage("extract")
                size = sum(file.stat().st_size for file in (place.path / "data/features").iterdir()) / 1e6
                scores, chosen, seconds = [], [], []
                for seed in range(1, options.seeds + 1):
                    place.set({"seed": seed})
                    place.stage("train_head")
                    seconds.append(place.stage("fine_tune"))
                    chosen.append(validation(place.path))
                    place.stage("evaluate")
                    scores.append(json.loads((place.path / "metrics/test.json").read_text()))
                tests = (mean(one[name]["accuracy"] for one in scores) for name in ("fine_tuned", "head"))
                accuracies = (f"{accuracy:.4f}" for accuracy in (mean(chosen), *tests))
                took = (f"{stage:.0f} s" for stage in (extract, mean(seconds)))
                print(row.format(cut, views, *accuracies, *took, f"{size:,.0f}"), flush=True)


if __name__ == "__main__":
    errors.run(main)
