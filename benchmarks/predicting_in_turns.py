"""A classifier alone on decoded batches in memory, and `predict --out` of the same images, in turns.

python -m benchmarks.predicting_in_turns CLASSIFIER COUNT PATH…, in a project. Each PATH gives its first COUNT images.
HEADSTART_LOG gets, for each turn, the work `bare` and one of the name of each PATH: count, seconds, and `cpu`, the
seconds of processor. One batch before the others is for warming up.
"""

import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np

import headstart
from headstart.base import errors, progress
from headstart.classifier.reading import BATCH
from headstart.delivery import batch, places
from headstart.delivery.depths import Depths
from headstart.delivery.places import Place
from headstart.images import decoding

TURNS = 3
TABLE = Path("predictions.csv")


def main() -> None:
    classifier, count, paths = headstart.Classifier.load(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    details = classifier.details
    with ExitStack() as stack:
        where = {path: _first(places.find([path], stack), count) for path in paths}
        reads = (read for _, read in places.images(where[paths[0]]))
        images = [decoding.read(read(), details.square, details.value_range) for read in reads]
        batches = [np.stack(images[start : start + BATCH]) for start in range(0, count, BATCH)]
        del images
        classifier.answers(batches[0])

        def predict(path: str) -> None:
            TABLE.unlink(missing_ok=True)
            with batch.table(str(TABLE), classifier) as table:
                failed, _ = batch.run(classifier, where[path], table, Depths())
            assert not failed

        for _ in range(TURNS):
            _timed("bare", count, lambda: [classifier.answers(images) for images in batches])
            for path in paths:
                _timed(path, count, lambda path=path: predict(path))


def _first(found: list[Place], count: int) -> list[Place]:
    (place,) = found
    return [place._replace(names=place.names[:count])]


def _timed(work: str, count: int, function: Callable[[], object]) -> None:
    start, cpu = time.perf_counter(), time.process_time()
    function()
    progress.log(work=work, count=count, seconds=time.perf_counter() - start, cpu=time.process_time() - cpu)


if __name__ == "__main__":
    errors.run(main)
