"""What bfloat16 in `extract` does to test accuracy: heads of five seeds on features of TensorFlow and of OpenVINO."""

import json
from statistics import mean, stdev

from benchmarks.workspace import photographs, workspace
from headstart import errors

ENGINES = (("tensorflow", "float32"), ("openvino", "bfloat16"))
SEEDS = range(1, 6)


def main() -> None:
    with workspace() as place:
        # Fine-tuning of no epochs is the head: what is scored hangs on the features alone.
        place.preset("cats_vs_dogs", **photographs(), **{"fine_tune.views": "live", "fine_tune.epochs": 0})
        for name in ("fetch", "split"):
            place.stage(name)
        for engine, precision in ENGINES:
            place.set({"extract.engine": engine, "extract.precision": precision})
            place.stage("extract")
            found = []
            for seed in SEEDS:
                place.set({"seed": seed})
                for name in ("train_head", "fine_tune", "evaluate"):
                    place.stage(name)
                found.append(json.loads((place.path / "metrics/test.json").read_text())["head"]["accuracy"])
            numbers = " ".join(f"{accuracy:.4f}" for accuracy in found)
            print(f"{engine} {precision}: {mean(found):.4f} ± {stdev(found):.4f} ({numbers})", flush=True)


if __name__ == "__main__":
    errors.run(main)
