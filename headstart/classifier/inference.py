"""What a classifier gives for image files, which threads decode ahead of it."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

import numpy as np

from headstart.base import openvino, progress
from headstart.base.runtime import keras, traced
from headstart.classifier import decision
from headstart.classifier.reading import BATCH, Read, outcomes
from headstart.images import archive
from headstart.images.batches import changed
from headstart.images.ranges import Range


def runner(model: keras.Model, engine: str = "tensorflow") -> Callable[[np.ndarray], list[np.ndarray]]:
    """Returns a function from uint8 images (n, size, size, 3) to a list of the model's outputs, in float32.

    engine: `tensorflow`, or `openvino`, which gives the same up to some 1e-6. Raises UserError for one that is not
    installed.
    """
    if engine == "openvino":
        run = openvino.compiled(model)
        return lambda images: [output.copy() for output in run(images)]
    graph = traced(model)  # Keras would trace the network again for the last batch, which is smaller
    return lambda images: [np.asarray(output) for output in graph(images)]


def outputs(
    model: keras.Model, size: int, reads: Iterable[Read], value_range: Range | None = None, engine: str = "tensorflow"
) -> Iterator[tuple[np.ndarray, ...] | Exception]:
    """Run `model`, which takes uint8 (n, size, size, 3), on images: as `reading.outcomes`, in float32."""
    yield from outcomes(runner(model, engine), size, reads, value_range)


def of_source(
    model: keras.Model,
    size: int,
    source: archive.Source,
    paths: Sequence[str],
    what: str,
    engine: str = "tensorflow",
) -> list[np.ndarray]:
    """Returns what each output of a model is for images that were split, float32 (n, …), as `outputs` yields them.

    paths: of the n images, in `source`. what: names the work, whose progress is shown. engine: as of `runner`. Raises
    UserError where an image can no longer be read.
    """
    outcomes = outputs(model, size, (partial(source.read, path) for path in paths), source.value_range, engine)
    rows = []
    for path, outcome in zip(paths, progress.track(outcomes, what, len(paths)), strict=True):
        if isinstance(outcome, Exception):
            raise changed(path, outcome)
        rows.append(outcome)
    return [np.stack(column) for column in zip(*rows, strict=True)]


def probabilities_of_source(*arguments) -> np.ndarray:
    """Returns the probabilities of images that were split, float32 (n, m, k), one row per output of the model.

    arguments: as `of_source` takes them; each of the model's m outputs is (n, 1) or (n, k).
    """
    return np.stack([decision.probabilities(given) for given in of_source(*arguments)], axis=1)


def of_features(head: keras.Model, bottleneck: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Returns a head's probabilities, float32 (n, k), for `rows` of the bottleneck features, float16 (n, …)."""
    starts = progress.track(range(0, len(rows), BATCH), "evaluate the head", unit="batch")
    batches = [head.predict_on_batch(bottleneck[rows[i : i + BATCH]].astype("float32")) for i in starts]
    return decision.probabilities(np.concatenate(batches))
