"""What a classifier gives for image files, which threads decode ahead of it."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

import numpy as np

from headstart.artifacts.arrays import Rows
from headstart.base import openvino, progress
from headstart.base.runtime import keras, traced
from headstart.classifier.reading import BATCH, Read, outcomes
from headstart.images import archive
from headstart.images.archive import changed
from headstart.images.decoding import Square
from headstart.images.ranges import Range


def runner(model: keras.Model, engine: str = "tensorflow") -> Callable[[np.ndarray], list[np.ndarray]]:
    """Returns a function from a batch of what the model takes, such as uint8 images, to its outputs, in float32.

    engine: `tensorflow`, or `openvino`, which gives the same up to some 1e-6. Raises UserError for one that is not
    installed.
    """
    if engine == "openvino":
        run = openvino.compiled(model)
        return lambda images: [output.copy() for output in run(images)]
    graph = traced(model)  # Keras would trace the network again for the last batch, which is smaller
    return lambda images: [np.asarray(output) for output in graph(images)]


def outputs(
    model: keras.Model,
    square: Square,
    reads: Iterable[Read],
    value_range: Range | None = None,
    engine: str = "tensorflow",
) -> Iterator[tuple[np.ndarray, ...] | Exception]:
    """Run `model`, which takes uint8 (n, size, size, 3), on images: as `reading.outcomes`, in float32."""
    yield from outcomes(runner(model, engine), square, reads, value_range)


def of_source(
    model: keras.Model,
    square: Square,
    source: archive.Source,
    paths: Sequence[str],
    what: str,
    engine: str = "tensorflow",
) -> list[np.ndarray]:
    """Returns what each output of a model is for images that were split, float32 (n, …), as `outputs` yields them.

    paths: of the n images, in `source`. what: names the work, whose progress is shown. engine: as of `runner`. Raises
    UserError where an image can no longer be read.
    """
    outcomes = outputs(model, square, (partial(source.read, path) for path in paths), source.value_range, engine)
    rows = []
    for path, outcome in zip(paths, progress.track(outcomes, what, len(paths)), strict=True):
        if isinstance(outcome, Exception):
            raise changed(path, outcome)
        rows.append(outcome)
    return [np.stack(column) for column in zip(*rows, strict=True)]


def of_rows(model: keras.Model, features: Rows, rows: np.ndarray, what: str) -> list[np.ndarray]:
    """Returns what each output of a model is for `rows` of features that `extract` wrote, float32 (n, …).

    features: float16 (images, …), which `model` takes as float32. what: names the work, whose progress is shown.
    """
    run, starts = runner(model), progress.track(range(0, len(rows), BATCH), what, unit="batch")
    given = [run(features[rows[at : at + BATCH]].astype("float32")) for at in starts]
    return [np.concatenate(column) for column in zip(*given, strict=True)]
