"""What a run of the recipe takes on this machine, before it is run."""

import functools
import time
from collections import Counter
from typing import Any, NamedTuple

import numpy as np

from headstart.base import wording
from headstart.base.threads import THREADS
from headstart.discovery.reading import Layout
from headstart.discovery.survey import Survey

# Of the recipe's network at its size: values per image of its end, and at each cut, with the share of the
# multiplications that come after it.
NETWORK = ("EfficientNetLite1", 240)
BOTTLENECK = 8 * 8 * 1280
CUTS = {
    "block8": (15 * 15 * 80, 0.64),
    "block9": (15 * 15 * 80, 0.61),
    "block10": (15 * 15 * 80, 0.58),
    "block11": (15 * 15 * 112, 0.54),
    "block12": (15 * 15 * 112, 0.48),
    "block13": (15 * 15 * 112, 0.42),
    "block14": (15 * 15 * 112, 0.35),
    "block15": (8 * 8 * 192, 0.31),
}
# Seconds on a machine with REFERENCE of `_speed`: all stages' starts; of an image, a pass through the network (a step
# of training takes three), and a warp; of an image and a class, the head's cross-validation.
REFERENCE, STARTS, FORWARD, WARP, HEAD = 20.0, 65.0, 0.0094, 0.001, 0.0015
# Images that the classifier is to know, at most, half of them of validation; those that `report` looks at once more;
# those that `evaluate` corrupts, and how often.
KNOWN, SHOWN, CORRUPTED, CORRUPTIONS = 1000, 350, 100, 21
# As `fine_tune.choose_on: auto` has it: with fewer validation images, the tail is trained on so many folds too.
FEW, FOLDS = 200, 4


class Cost(NamedTuple):
    """What a run takes: seconds, and MB of memory and of disk."""

    seconds: float
    memory: float
    disk: float

    def __str__(self) -> str:
        time_taken = wording.duration(max(120, self.seconds))  # an estimate knows no seconds
        return f"{time_taken}, {in_bytes(self.memory)} of memory and {in_bytes(self.disk)} of disk"


def parts(layout: Layout, split: dict[str, Any]) -> tuple[int, int, int]:
    """Return about how many images train, validation and test have, with the fractions in `split`."""
    published = Counter(item.split for item in layout.items)
    validation, test = split["validation"], split["test"]
    if None in published:
        count = published[None]
        return round(count * (1 - validation - test)), round(count * validation), round(count * test)
    if "validation" not in published:
        drawn = round(published["train"] * validation)
        return published["train"] - drawn, drawn, published["test"]
    if "test" not in published:
        drawn = round(published["validation"] * test / (validation + test))
        return published["train"], published["validation"] - drawn, drawn
    return published["train"], published["validation"], published["test"]


def estimate(layout: Layout, seen: Survey, values: dict[str, Any]) -> Cost | None:
    """Return what `make repro` takes on this machine; None for another network than the one that was measured.

    By how many images there are, how long they took to decode, and what the network takes, scaled by how fast this
    machine adds.
    """
    tuning, network = values["fine_tune"], (values["backbone"]["name"], values["image"]["size"])
    if network != NETWORK or tuning["cut"] not in CUTS or not isinstance(tuning["views"], int):
        return None
    train, validation, test = parts(layout, values["split"])
    count, extra = train + validation + test, train * (tuning["views"] - 1)
    activations, tail = CUTS[tuning["cut"]]
    flips = 2 if values["augment"]["flip_horizontal"] else 1
    passes = count + (1 - tail) * extra + flips * test + min(count, SHOWN) + CORRUPTIONS * min(test, CORRUPTED)
    # Three candidates after the cut, of the images as they are by the activations that lie there; then what it knows.
    passes += ((flips - 1) * (1 - tail) + 3 * flips * tail) * validation + tail * min(train + validation, KNOWN)
    rounds = train + validation / 3
    if tuning["choose_on"] == "folds" or (tuning["choose_on"] == "auto" and validation < FEW):
        rounds += (FOLDS - 1) * (train + validation)
    rounds += (train + validation) * tuning["refit"]
    kinds = len(layout.counts)
    work = STARTS + FORWARD * (passes + 3 * tail * rounds * tuning["epochs"]) + WARP * extra
    # The head, and the labels that may be wrong.
    work += HEAD * (2 * train + validation) * (kinds if kinds > 2 else 1)
    decoded = seen.seconds * (3 * count + extra + test)
    largest = max((look.size[0] * look.size[1] for look in seen.looks.values()), default=0)
    written = count * BOTTLENECK + (count + extra) * activations
    memory = 1100 + 8 * largest * THREADS / 1e6 + 6 * 1280 * 4 * count / 1e6
    # float16, once here and once in DVC's cache.
    return Cost(work * REFERENCE / _speed() + decoded, memory, 2 * 2 * written / 1e6 + 30)


@functools.cache
def _speed() -> float:
    """Thousand million additions per second of one core of this machine, at its best moment, times its cores."""
    values, best, end = np.zeros(8192, np.float32), float("inf"), time.perf_counter() + 0.2
    while (start := time.perf_counter()) < end:
        np.add(values, values, out=values)
        best = min(best, time.perf_counter() - start)
    return len(values) / best / 1e9 * THREADS


def in_bytes(megabytes: float) -> str:
    return f"{megabytes / 1000:.1f} GB" if megabytes >= 1000 else f"{megabytes:.0f} MB"
