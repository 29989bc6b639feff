"""How fragile a classifier is: the same test images with noise, blurred, compressed or dark, in five strengths each.

After Hendrycks and Dietterich, Benchmarking Neural Network Robustness to Common Corruptions, ICLR 2019.
"""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

from headstart.base import progress
from headstart.base.streams import rng
from headstart.classifier import decision, unlike
from headstart.classifier.inference import BATCH
from headstart.classifier.unlike import Known
from headstart.evaluation.curves import number

MOST = 100  # test images, drawn by the seed
# Of each kind what is done to an image of uint8 (h, w, 3), and by how much, from the weakest on.
NOISE = (10, 20, 30, 45, 65)  # standard deviation in grey levels
BLUR = (0.004, 0.008, 0.012, 0.018, 0.026)  # radius as a share of the image's side
JPEG = (50, 30, 20, 12, 7)  # quality
BRIGHTNESS = (0.8, 0.6, 0.45, 0.3, 0.15)  # factor
STRENGTHS = {"noise": NOISE, "blur": BLUR, "jpeg": JPEG, "brightness": BRIGHTNESS}


def corrupted(image: np.ndarray, kind: str, strength: float, draws: np.random.Generator) -> np.ndarray:
    """Returns the image, uint8 (h, w, 3), with a corruption of `STRENGTHS`. draws: for noise."""
    if kind == "noise":
        noisy = image + draws.normal(0, strength, image.shape)
        return np.clip(noisy, 0, 255).astype("uint8")
    if kind == "brightness":
        return (image * strength).astype("uint8")
    picture = Image.fromarray(image)
    if kind == "blur":
        return np.array(picture.filter(ImageFilter.GaussianBlur(strength * max(image.shape[:2]))))
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=strength)
    return np.array(Image.open(file))


def measure(
    run: Callable[[np.ndarray], list[np.ndarray]],
    read: Callable[[int], np.ndarray],
    labels: np.ndarray,
    known: Known | None,
    seed: int,
) -> dict[str, list[dict[str, Any]]]:
    """Returns {kind: [{strength, accuracy, unlike}, …]}, with `none`, the images as they are, first.

    run: gives probabilities and features of images (`joining.parts`, of one look at an image). read: returns test
    image i as the model takes it, uint8 (size, size, 3). labels: (n,) int. known: None where the classifier cannot tell
    what is unlike its training images; `unlike`, the share of these, is then None.
    """
    chosen = np.sort(rng(seed, "corruptions", 0).permutation(len(labels))[:MOST])
    images, found = [read(int(row)) for row in chosen], {}
    levels = [("none", 0.0), *((kind, value) for kind, values in STRENGTHS.items() for value in values)]
    for kind, strength in progress.track(levels, "how fragile", unit="corruption"):
        draws = rng(seed, "corruptions", 1)
        changed = images if kind == "none" else [corrupted(image, kind, strength, draws) for image in images]
        given = [run(np.stack(changed[at : at + BATCH])) for at in range(0, len(changed), BATCH)]
        probabilities, features = (np.concatenate([np.asarray(batch[out]) for batch in given]) for out in (0, -1))
        right = decision.predicted(decision.probabilities(probabilities)) == labels[chosen]
        away = None if known is None else number(unlike.is_unlike(features, known).mean())
        entry = {"strength": strength, "accuracy": number(right.mean()), "unlike": away}
        found.setdefault(kind, []).append(entry)
    return found
