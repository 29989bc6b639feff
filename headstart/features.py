"""The arrays that `extract` writes, float16 and read by memory map, so that memory does not grow with the images.

bottleneck.npy   (n, h, w, c)        the backbone's output, every image in the order of the manifest
cut.npy          (n, ...)            the activations at the cut, likewise            (with fixed views only)
views.npy        (t, V - 1, ...)     the same for views 1 to V - 1 of the t training images, in their order
"""

from pathlib import Path

import numpy as np

from headstart.errors import UserError

FEATURES = Path("data/features")


def read_bottleneck() -> np.memmap:
    """Bottleneck features, float16 (n, h, w, c). Raises UserError where `extract` has not run."""
    return _read("bottleneck")


def read_cut() -> np.memmap:
    """Activations at the cut of the plain images, float16 (n, ...)."""
    return _read("cut")


def read_views() -> np.memmap:
    """Activations at the cut of the augmented views of the training images, float16 (t, V - 1, ...)."""
    return _read("views")


def _read(name: str) -> np.memmap:
    path = FEATURES / f"{name}.npy"
    if not path.exists():
        raise UserError(f"no {path}: run `dvc repro extract`")
    return np.load(path, mmap_mode="r")
