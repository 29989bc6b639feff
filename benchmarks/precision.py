"""What bfloat16 in `extract` does to test accuracy: heads of five seeds on features of TensorFlow and of OpenVINO."""

import contextlib
from pathlib import Path
from statistics import mean, stdev

from benchmarks.workspace import photographs, workspace
from headstart import errors, features, models, scores
from headstart.manifest import read_manifest

ENGINES = (("tensorflow", "float32"), ("openvino", "bfloat16"))
SEEDS = range(1, 6)


def accuracy(folder: Path) -> float:
    """Test accuracy of the head in `folder`, on the features there."""
    with contextlib.chdir(folder):
        manifest = read_manifest()
        rows = manifest.rows("test")
        outputs = models.load_head().predict(features.read_bottleneck()[rows].astype("float32"), verbose=0)
        return float((scores.predicted(models.probabilities(outputs)) == manifest.labels[rows]).mean())


def main() -> None:
    with workspace() as place:
        place.preset("cats_vs_dogs", **photographs(), **{"fine_tune.views": "live"})
        for name in ("fetch", "split"):
            place.stage(name)
        for engine, precision in ENGINES:
            place.set({"extract.engine": engine, "extract.precision": precision})
            place.stage("extract")
            found = []
            for seed in SEEDS:
                place.set({"seed": seed})
                place.stage("train_head")
                found.append(accuracy(place.path))
            numbers = " ".join(f"{one:.4f}" for one in found)
            print(f"{engine} {precision}: {mean(found):.4f} ± {stdev(found):.4f} ({numbers})", flush=True)


if __name__ == "__main__":
    errors.run(main)
