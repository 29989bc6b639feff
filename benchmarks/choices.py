"""How the first recipe of the solar cells was chosen: on a quarter of the images, none of them test images."""

from collections.abc import Iterator
from functools import partial
from statistics import mean

from benchmarks.runs import runs
from benchmarks.tables import UNKNOWN, Numbers, Row, Table, spread

# The recipe of the solar cells that came out of the first rows.
FIRST = {
    "split.validation": 0.25,
    "head.solver": "gradient",
    "fine_tune.cut": "block10",
    "fine_tune.learning_rate": 0.0005,
    "fine_tune.warmup": 1,
    "fine_tune.epochs": 10,
    "fine_tune.label_smoothing": 0.1,
    "fine_tune.mixup": 0.0,
    "fine_tune.ema": 0.0,
    "fine_tune.choose_on": "validation",
}
EARLY = FIRST | {"head.dropout": 0.2, "fine_tune.weight_decay": 0.01, "fine_tune.label_smoothing": 0.0}


def _last_epochs(numbers: Numbers, of: str = "fine_tune") -> list[str]:
    """Validation accuracy and cross-entropy, each the mean of the last three epochs."""
    curves = [run["validation"][of] for run in numbers]
    return [spread([mean(curve[score][-3:]) for curve in curves]) for score in ("accuracy", "loss")]


# Dropout 0.2, weight decay 0.01, labels as they are: cut, epochs, learning rate, and what differs.
EARLIER = (
    ("block4", 6, 0.0003, {}),
    ("block7", 8, 0.0003, {}),
    ("block7", 8, 0.001, {}),
    ("block10", 12, 0.0003, {}),
    ("block10", 13, 0.0005, {}),
    ("block10", 12, 0.0005, {"head.dropout": 0.5, "fine_tune.weight_decay": 0.1}),
)
# Values, what they are, epochs and learning rate, and seeds.
LATER = {
    "labels_as_they_are": (
        FIRST | {"fine_tune.label_smoothing": 0.0},
        "`block10`, labels as they are",
        "10, 0.0005",
        3,
    ),
    "smoothed": (FIRST, "`block10`, labels smoothed by 0.1", "10, 0.0005", 3),
    "fast_head": (
        FIRST | {"head.learning_rate": 0.01},
        "`block10`, labels smoothed, its head trained ten times as fast",
        "10, 0.0005",
        1,
    ),
}


def _rows() -> Iterator[Row]:
    for number, (cut, epochs, rate, others) in enumerate(EARLIER):
        values = EARLY | {"fine_tune.cut": cut, "fine_tune.epochs": epochs, "fine_tune.learning_rate": rate} | others
        name = f"{cut}_{epochs}_{rate:g}"
        group = runs(f"choices/{name}", "solar_cells", 2.5, seeds=1, values=values, until="fine_tune")
        if not number:
            yield Row("head", ("– (head alone)",), partial(_last_epochs, of="head"), group, (UNKNOWN, "1"))
        label = f"`{cut}`" + (", dropout 0.5, weight decay 0.1" if others else "")
        yield Row(name, (label,), _last_epochs, group, (f"{epochs}, {rate:g}", "1"))
    for name, (values, label, epochs, seeds) in LATER.items():
        group = runs(f"choices/{name}", "solar_cells", 4, seeds, values=values, until="fine_tune")
        yield Row(name, (label,), _last_epochs, group, (epochs, "1 – 3" if seeds > 1 else "1"))


TABLE = Table(
    "choices",
    "docs/results.md",
    ("trained from after", "validation accuracy", "cross-entropy", "epochs, learning rate", "seeds"),
    tuple(_rows()),
    "python -m benchmarks.results --only choices",
)
