"""What `params.yaml` is to say for images of which nothing is known but what they look like."""

import math
import re
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from headstart.base import editing
from headstart.base.terminal import say
from headstart.discovery import cost
from headstart.discovery.reading import Layout
from headstart.discovery.survey import Survey
from headstart.labels.duplicates import group_duplicates
from headstart.labels.layouts import Item

RECIPE = Path("presets/photos.yaml")

# Words in the names of classes and sources that say that left and right are not alike: sides, writing, and radiographs,
# which are read by their side.
SIDED = (
    r"left|right|links|rechts|gauche|droite?|izquierd[ao]|derech[ao]|clockwise|counterclockwise|arrows?|signs?|"
    r"digits?|letters?|characters?|alphabets?|scripts?|handwriting|handwritten|texts?|words?|numbers|ocr|mnist|omniglot|"
    r"xrays?|radiographs?|cxr|chest|lungs?|mammo\w*|ct|mri"
)


def recipe(layout: Layout, seen: Survey, path: str, subject: dict[str, Any] | None, seed: int | None) -> dict[str, Any]:
    """Return what `params.yaml` is to say: the recipe for photos, adapted to the images; nested as in the file.

    - Validation takes some 200 images, between a tenth and a quarter of each class, test some 1,000, likewise; both at
      least one image of the rarest class, of those that can be used in the part of the source that is dealt out.
    - Fine-tuning takes as many epochs as the recipe says at 1,500 training images, else more or fewer by the square
      root of their number: at most twice, at least 0.4 times as many. At most a quarter of them is the warm-up.
    - Views are mirrored unless names or drawings say that left and right differ.
    - Images are cut to a square where their proportions differ and they are not oblong.
    - Features take at most half of the disk that is free, or there are fewer views.
    """
    dataset = {"source": None, "sha256": None, "path": path, **layout.settings, "group": subject}
    values = {"dataset": dataset, **editing.section(RECIPE)}
    used = _used(layout, seen)
    for split, wanted in (("validation", 200), ("test", 1000)):
        part = _dealt(split, layout)
        counts = Counter(item.label for item in used if item.split == part)
        values["split"][split] = _share(wanted / len(layout.items), min(counts.values(), default=1))
    train = cost.parts(layout, values["split"])[0]
    tuning = values["fine_tune"]
    factor = min(2.0, max(0.4, (1500 / train) ** 0.5))
    tuning["epochs"] = max(1, round(tuning["epochs"] * factor))
    tuning["warmup"] = min(tuning["warmup"], tuning["epochs"] / 4)
    if (reason := sides(layout, seen, path)) and values["augment"]["flip_horizontal"]:
        values["augment"]["flip_horizontal"] = False
        say(f"No mirrored views: {reason}.")
    if (reason := whole(seen)) and values["image"]["resizing"] == "crop":
        values["image"]["resizing"] = "stretch"
        say(f"Nothing is cut off: {reason}.")
    free = shutil.disk_usage(Path()).free / 2e6
    while (needed := cost.estimate(layout, seen, values)) and needed.disk > free and tuning["views"] > 1:
        tuning["views"] -= 1
        takes, there = cost.in_bytes(needed.disk), cost.in_bytes(2 * free)
        say(f"fine_tune.views {tuning['views']}: one more would take {takes} of {there} free.")
    values["head"]["views"] &= tuning["views"] > 1
    if seed is not None:
        values["seed"] = values["split"]["seed"] = seed
    return values


def _used(layout: Layout, seen: Survey) -> list[Item]:
    """The images without those that cannot be read, and without copies that contradict others, as far as is known."""
    first, broken = {path: group[0] for group in seen.copies for path in group}, {entry.path for entry in seen.broken}
    items = [item for item in layout.items if item.path not in broken]
    groups, _ = group_duplicates(items, {item.path: first.get(item.path, item.path) for item in items})
    return [item for group in groups for item in group]


def _dealt(split: str, layout: Layout) -> str | None:
    """The part of the source that a split is taken from, as `splitting.plan` has it; None: all of it."""
    published = {item.split for item in layout.items}
    if None in published:
        return None
    return split if split in published else {"validation": "train", "test": "validation"}[split]


def _share(wanted: float, rarest: int) -> float:
    """A fraction between 0.1 and 0.25 in steps of 0.05, at which the rarest class still gives an image."""
    share = min(0.25, max(0.1, math.ceil(wanted * 20) / 20))
    return share if round(share * rarest) else round(0.51 / rarest + 0.005, 2)


def whole(seen: Survey) -> str | None:
    """Return why images are better stretched to a square than cut to one; None where they are not.

    That is so where more than one in twenty is more than twice as long as wide, or no more than one in ten differs in
    its proportions from the others: then stretching makes all of them alike.
    """
    shapes = np.array([width / height for width, height in (look.size for look in seen.looks.values())])
    if not len(shapes):
        return None
    if np.mean(np.maximum(shapes, 1 / shapes) > 2) > 1 / 20:
        return "many images are more than twice as long as wide"
    if np.mean(np.abs(shapes / np.median(shapes) - 1) > 1 / 20) <= 1 / 10:
        return "the images have the same proportions"
    return None


def sides(layout: Layout, seen: Survey, path: str) -> str | None:
    """Return why a mirrored image may be another one: by the names of classes and source, or as it is a drawing."""
    classes = list(layout.counts)
    for name in [*classes, Path(path).stem]:
        for word in re.findall(r"[^\W\d_]+", re.sub(r"(?i)x-ray", "xray", re.sub(r"([a-z])([A-Z])", r"\1 \2", name))):
            if re.fullmatch(SIDED, word.lower()):
                return f"{name!r} says that left and right may differ"
    if len(classes) >= 5 and sum(len(name) == 1 for name in classes) >= 0.8 * len(classes):
        return f"the classes are single characters, such as {classes[0]}"
    if seen.looks and all(look.tones == "black and white" for look in seen.looks.values()):
        return "all images are drawn in black and white, as characters are"
    return None
