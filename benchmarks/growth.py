"""Seconds and peak memory of `extract` and `fine_tune` on 2,000 and on 25,000 images, drawn ones of 64x64 pixels."""

import io
import zipfile

import numpy as np
from PIL import Image

from benchmarks.workspace import workspace
from headstart import errors

COUNTS = (2_000, 25_000)
SETTINGS = {
    "dataset.source": None,
    "dataset.sha256": None,
    "dataset.path": "images.zip",
    "dataset.labels": "folders",
    "dataset.classes": None,
    "split.train": 0.8,
    "split.validation": 0.1,
    "split.test": 0.1,
    "image.size": 64,
    "backbone.weights": "random",
    "backbone.sha256": None,
    "fine_tune.cut": "block8",
    "fine_tune.views": 2,
    "fine_tune.epochs": 1,
    "head.epochs": 1,
}


def draw(path, count: int) -> None:
    """A zip of `count` images of noise, half of them in either class."""
    rng = np.random.default_rng(0)
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(count):
            file = io.BytesIO()
            Image.fromarray(rng.integers(0, 256, (64, 64, 3), np.uint8)).save(file, "PNG")
            archive.writestr(f"{'even' if number % 2 else 'odd'}/{number:05}.png", file.getvalue())


def main() -> None:
    for count in COUNTS:
        with workspace() as place:
            place.preset("solar_cells", **SETTINGS)
            draw(place.path / "images.zip", count)
            for name in ("fetch", "split", "extract", "train_head", "fine_tune"):
                seconds, peak = place.anonymous(name)
                print(f"{count:6,} images  {name:<10}  {seconds:6.1f} s  {peak:6.0f} MB at most", flush=True)


if __name__ == "__main__":
    errors.run(main)
