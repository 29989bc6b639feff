"""The tables of docs/results.md but for the recipe's choice and the learning curves, and README's headline table."""

from functools import partial
from statistics import median
from typing import Any

import numpy as np

from benchmarks import runs, training, trust
from benchmarks.tables import UNKNOWN, Numbers, Row, Table, spread
from benchmarks.training import PUBLISHED
from headstart import compare

RESULTS, COMMAND = "docs/results.md", "python -m benchmarks.results --only {}"
COLUMNS = ("head alone", "fine-tuned", "classifier")


def accuracies(numbers: Numbers) -> list[str]:
    """The test accuracy over the seeds of head and fine-tuned model, where all have it, and of what is delivered."""
    tests = [training.test(run) for run in numbers]
    models = [
        spread([test.scores[model]["accuracy"] for test in tests])
        if all(model in test.scores for test in tests)
        else UNKNOWN
        for model in ("head", "fine_tuned")
    ]
    return [*models, spread([test.scores[test.delivered]["accuracy"] for test in tests])]


def minutes(numbers: dict[str, Any]) -> str:
    """What all stages of a run took together."""
    seconds = round(sum(numbers["seconds"].values()))
    return f"{seconds // 60} min {seconds % 60} s"


def article_seconds(numbers: dict[str, Any]) -> float:
    """What the article's recipe takes, its 200 epochs extrapolated from those that were run."""
    others = sum(value for stage, value in numbers["seconds"].items() if stage != "fine_tune")
    return others + 200 * median(numbers["epochs"])


def _headline(numbers: Numbers) -> list[str]:
    return [*accuracies(numbers), minutes(numbers[0])]


def _headline_article(numbers: Numbers) -> list[str]:
    *heads, tuned = numbers
    head = spread([training.kept(run, "head", "accuracy") for run in heads])
    seconds = article_seconds(tuned)
    return [head, f"{training.kept(tuned, 'fine_tune', 'accuracy'):.4f}", UNKNOWN, f"{seconds / 60:.0f} min"]


def _article_head(numbers: Numbers) -> list[str]:
    return [spread([training.kept(run, "head", score) for run in numbers]) for score in ("accuracy", "loss")]


def _article_tuned(numbers: Numbers) -> list[str]:
    curves = numbers[0]["validation"]["fine_tune"]
    head, accuracy, loss = curves["accuracy"][0], curves["accuracy"], curves["loss"]
    best = curves["kept"]
    at = f"{accuracy[best]:.4f} at best (epoch {best}), {accuracy[-1]:.4f} at last; its head {head:.4f}"
    return [at, f"{loss[best]:.3f} at best, {loss[-1]:.3f} at last"]


def _difference(a: np.ndarray, b: np.ndarray) -> list[str]:
    """The accuracy of b less that of a in points, the p-value, and with how many seeds b is better.

    a, b: bool (seeds, images): what each got right.
    """
    p = compare.difference(a.mean(0), b.mean(0))
    better = int((b.mean(1) > a.mean(1)).sum())
    points = f"{100 * (b.mean() - a.mean()):+.2f}"
    return [points, f"{p:.2g}" if p >= 0.001 else "< 0.001", f"{better} of {len(a)} seeds"]


def _models(numbers: Numbers, first: str, second: str) -> list[str]:
    return _difference(*(np.stack([training.right(run, model) for run in numbers]) for model in (first, second)))


def _soft_labels(numbers: Numbers) -> list[str]:
    right = np.stack([training.right(run, "averaged") for run in numbers])
    return _difference(*np.split(right, 2))


def _over_seeds(numbers: Numbers, score: str, model: str | None = None) -> list[float]:
    """A test score of each run; model: default: the one that the run delivers."""
    tests = [training.test(run) for run in numbers]
    return [test.scores[model or test.delivered][score] for test in tests]


def _strangers(numbers: Numbers) -> list[str]:
    accuracy = [spread(_over_seeds(numbers, "accuracy", model)) for model in ("head", None)]
    loss = [f"{np.mean(_over_seeds(numbers, 'loss', model)):.3f}" for model in ("head", None)]
    # What else the machine does only adds to the time.
    quickest = min(numbers, key=lambda run: sum(run["seconds"].values()))
    return [*accuracy, *loss, minutes(quickest)]


def _paper(numbers: Numbers) -> list[str]:
    return [spread(_over_seeds(numbers, "weighted_accuracy", model)) for model in ("head", None)]


def _noise(numbers: Numbers) -> list[str]:
    accuracies = numbers[0].get("accuracy") or _over_seeds(numbers, "accuracy")
    return [spread(accuracies), f"{100 * np.std(accuracies, ddof=1):.2f}"]


def _trust(numbers: Numbers) -> list[str]:
    if any("trust" not in run for run in numbers):
        return [UNKNOWN] * 5
    of = [run["trust"] for run in numbers]
    errors = [spread([run["calibration"][when]["ece"] for run in of], 3) for when in ("before", "after")]
    chance = [run["calibration"]["after"].get("ece_by_chance") for run in of]
    return [
        *errors,
        UNKNOWN if None in chance else spread(chance, 3),
        spread([run["possible"]["coverage"] for run in of], 3),
        spread([run["possible"]["one_class"] for run in of], 3),
    ]


def _recall(numbers: Numbers) -> list[str]:
    of = numbers[0]["trust"]["decision"]
    return [f"{of[name]:.3f} ({of[f'{name}_low']:.3f} – {of[f'{name}_high']:.3f})" for name in ("recall", "precision")]


def _flipped(numbers: Numbers) -> list[str]:
    first, found = (", ".join(str(run[name]) for run in numbers) for name in ("first", "found"))
    precision = np.mean([run["found"] / run["suspects"] for run in numbers])
    return [f"{first} of {trust.FLIPPED}", f"{found} of {trust.FLIPPED}", f"{precision:.2f}", str(numbers[0]["before"])]


def _corrected(numbers: Numbers) -> list[str]:
    accuracies = [spread([run[name] for run in numbers]) for name in ("before", "after", "clean")]
    return [*accuracies, f"{', '.join(str(run['corrected']) for run in numbers)} of {trust.FLIPPED}"]


def _foreign(numbers: Numbers) -> list[str]:
    return [f"{numbers[0]['foreign']:.1%}", f"{numbers[0]['own']:.1%}"]


SOLAR, PHOTOS = "`solar_cells`", "`cats_vs_dogs`"
FEW, RUBBISH = "600 photos of cats and dogs", "2,527 photos of rubbish, six classes"
WRITING, LITE0 = "4,840 characters of eight scripts", "EfficientNet-Lite0, 224"
DEEP = "EfficientNet-Lite0, 112, trained from `block2`"
HEADLINE = Table(
    "headline",
    "README.md",
    ("run", *COLUMNS, "time", "seeds"),
    (
        Row("solar_cells", (f"{SOLAR}, the default",), _headline, runs.SOLAR_CELLS, ("1 – 3",)),
        Row("cats_vs_dogs", (PHOTOS,), _headline, runs.CATS, ("1 – 3",)),
        Row("cats_vs_dogs_299", (f"{PHOTOS} at 299x299",), _headline, runs.CATS_LARGE, ("1",)),
        Row("cats_vs_dogs_lite0", (f"{PHOTOS} with EfficientNet-Lite0",), _headline, runs.CATS_LITE0, ("1 – 3",)),
        Row(
            "article",
            ("`article`: validation accuracy; fine-tuned for 10 of its 200 epochs",),
            _headline_article,
            (*runs.ARTICLE_HEADS, runs.ARTICLE),
            ("1 – 5; 1",),
        ),
    ),
    COMMAND.format("headline"),
    kind="results",
)
TEST = Table(
    "test",
    RESULTS,
    ("run", *COLUMNS, "seeds", "parameters"),
    (
        Row("solar_cells", (SOLAR,), accuracies, runs.SOLAR_CELLS, ("1 – 3", "the preset")),
        Row(
            "solar_cells_soft_labels",
            (SOLAR,),
            accuracies,
            runs.SOFT_LABELS,
            ("1 – 3", "trained on the expert's probabilities"),
        ),
        Row("cats_vs_dogs", (PHOTOS,), accuracies, runs.CATS, ("1 – 3", "the preset")),
        Row(
            "cats_vs_dogs_299",
            (f"{PHOTOS} at 299x299",),
            accuracies,
            runs.CATS_LARGE,
            ("1", "below, smoothed by 0.1"),
        ),
        Row(
            "cats_vs_dogs_299_as_labelled",
            (f"{PHOTOS} at 299x299",),
            accuracies,
            runs.CATS_LARGE_AS_LABELLED,
            ("1", "below"),
        ),
        Row(
            "cats_vs_dogs_lite0",
            (f"{PHOTOS} with EfficientNet-Lite0",),
            accuracies,
            runs.CATS_LITE0,
            ("1 – 3", "below, smoothed by 0.1"),
        ),
        Row(
            "cats_vs_dogs_lite0_as_labelled",
            (f"{PHOTOS} with EfficientNet-Lite0",),
            accuracies,
            runs.CATS_LITE0_AS_LABELLED,
            ("1", "below"),
        ),
    ),
    COMMAND.format("test"),
)
ARTICLE_TABLE = Table(
    "article",
    RESULTS,
    ("run", "validation accuracy", "cross-entropy", "seeds", "parameters"),
    (
        Row(
            "published_head", ("the article's head, as published",), lambda _: ["0.9565", "0.567"], last=(UNKNOWN,) * 2
        ),
        Row("head", ("the article's head",), _article_head, runs.ARTICLE_HEADS, ("1 – 5", "`article` preset")),
        Row(
            "published_fine_tuning",
            ("the article's fine-tuning, as published",),
            lambda _: ["0.915 at best of 200 epochs", UNKNOWN],
            last=(UNKNOWN,) * 2,
        ),
        Row(
            "ten_epochs",
            ("the article's fine-tuning, 10 of its 200 epochs",),
            _article_tuned,
            (runs.ARTICLE,),
            ("1", "`fine_tune.epochs=10`"),
        ),
    ),
    COMMAND.format("article"),
)
COMPARISONS = Table(
    "comparisons",
    RESULTS,
    ("compared", "points", "p", "better with"),
    (
        *(
            Row(f"{name}_{second}", (f"{label}: {PUBLISHED[second]} against {PUBLISHED[first]}",), cells, group)
            for name, label, group in (("solar_cells", SOLAR, runs.SOLAR_CELLS), ("cats_vs_dogs", PHOTOS, runs.CATS))
            for first, second in (("head", "fine_tuned"), ("fine_tuned", "averaged"))
            for cells in [partial(_models, first=first, second=second)]
        ),
        Row(
            "soft_labels",
            (f"{SOLAR}: the expert's probabilities against the classes made of them, averaged over flips",),
            _soft_labels,
            (*runs.SOLAR_CELLS, *runs.SOFT_LABELS),
        ),
    ),
    COMMAND.format("comparisons"),
)
STRANGERS = Table(
    "strangers",
    RESULTS,
    (
        "images",
        "network",
        "head alone",
        "classifier",
        "loss of the head",
        "loss of the classifier",
        "time",
        "test images",
        "seeds",
    ),
    (
        *(
            Row(name, (images, network), _strangers, group, (tested, "1" if len(group) == 1 else f"1 – {len(group)}"))
            for name, images, network, group, tested in (
                ("photos_600_lite1", FEW, "the preset's", runs.PHOTOS, "3,400 others"),
                ("photos_600", FEW, LITE0, runs.PHOTOS_SMALL, "3,400 others"),
                ("photos_600_stretched", FEW, f"{LITE0}, stretched", runs.PHOTOS_STRETCHED, "3,400 others"),
                ("trashnet_lite1", RUBBISH, "the preset's", runs.RUBBISH, "25 %"),
                ("trashnet", RUBBISH, LITE0, runs.RUBBISH_SMALL, "25 %"),
                ("omniglot_writer", WRITING, LITE0, runs.WRITERS, "25 %, by other writers"),
                ("omniglot_character", WRITING, LITE0, runs.CHARACTERS, "25 %, other characters"),
                ("omniglot_character_deep", WRITING, DEEP, runs.CHARACTERS_DEEP, "25 %, other characters"),
            )
        ),
    ),
    COMMAND.format("strangers"),
)
PAPER = Table(
    "paper",
    RESULTS,
    ("`solar_cells_paper`, weighted accuracy", "head alone", "classifier", "seeds"),
    (
        Row("published", ("the paper's fine-tuned VGG19",), lambda _: [UNKNOWN, "0.8842"], last=(UNKNOWN,)),
        Row("published_svm", ("the paper's support vector machine",), lambda _: [UNKNOWN, "0.8244"], last=(UNKNOWN,)),
        Row("ours", ("Headstart, other splits",), _paper, runs.PAPER, ("1 – 3",)),
    ),
    COMMAND.format("paper"),
)
TRUST = Table(
    "trust",
    RESULTS,
    ("run", "calibration error before", "after", "by chance", "the true class remains possible", "one class remains"),
    (
        Row("solar_cells", (SOLAR,), _trust, runs.SOLAR_CELLS),
        Row("cats_vs_dogs", (PHOTOS,), _trust, runs.CATS),
        Row("cats_vs_dogs_lite0", (f"{PHOTOS} with EfficientNet-Lite0",), _trust, runs.CATS_LITE0),
        Row("trashnet", (RUBBISH,), _trust, runs.RUBBISH),
    ),
    COMMAND.format("trust"),
)
RECALL = Table(
    "recall",
    RESULTS,
    ("asked for", "recall", "precision"),
    (Row("solar_cells", (f"{SOLAR}, `decision.goal: recall`, 0.95 of `defective`",), _recall, (runs.RECALL,)),),
    COMMAND.format("recall"),
)
SUSPECTS = Table(
    "suspects",
    RESULTS,
    ("40 labels flipped", "among the first 60 suspects", "among all", "precision of all", "suspects without flips"),
    (Row("cats_vs_dogs", (f"{PHOTOS}, three draws",), _flipped, runs.FLIPPED),),
    COMMAND.format("suspects"),
)
CORRECTIONS = Table(
    "corrections",
    RESULTS,
    ("40 labels flipped", "test accuracy before corrections", "after", "with no label flipped", "labels put right"),
    (Row("cats_vs_dogs", (f"{PHOTOS}, three draws and seeds",), _corrected, runs.CORRECTED),),
    COMMAND.format("corrections"),
)
FOREIGN = Table(
    "foreign",
    RESULTS,
    ("marked as unlike the training images", "of 500 solar cells", "of its own test images"),
    (Row("cats_vs_dogs", (f"the classifier of {PHOTOS}",), _foreign, (runs.FOREIGN,)),),
    COMMAND.format("foreign"),
)
NOISE = Table(
    "noise",
    RESULTS,
    (f"{SOLAR}, what differs between three runs", "classifier", "standard deviation in points"),
    (
        Row("seeds", ("the seed of training",), _noise, runs.SOLAR_CELLS),
        Row("nudged", ("each weight of the head, by a millionth",), _noise, (runs.NUDGED,)),
    ),
    COMMAND.format("noise"),
)
