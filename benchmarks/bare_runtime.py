"""The runtime of an export alone, on decoded batches in memory: python -m benchmarks.bare_runtime BATCH, in a project.

How long it takes is written to HEADSTART_LOG, as the work `bare`; one batch before the others is for warming up.
"""

import sys
import time

import numpy as np

import headstart
from benchmarks.serving import EXPORT
from headstart.artifacts import manifest
from headstart.base import errors, params, progress
from headstart.images import archive, decoding

IMAGES = 512


def main() -> None:
    size, classifier = int(sys.argv[1]), headstart.Classifier.load(EXPORT)
    details = classifier.details
    with archive.open_source(params.load().dataset.path, details.value_range) as source:
        paths = manifest.read().paths[:IMAGES]
        images = [decoding.read(source.read(path), details.square, details.value_range) for path in paths]
    batches = [np.stack(images[start : start + size]) for start in range(0, len(images), size)]
    classifier.answers(batches[0])
    start = time.perf_counter()
    for batch in batches:
        classifier.answers(batch)
    progress.log(work="bare", count=len(images), unit="image", seconds=time.perf_counter() - start)


if __name__ == "__main__":
    errors.run(main)
