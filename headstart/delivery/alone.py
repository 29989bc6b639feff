"""A classifier in a process of its own, as a program has it.

python -m headstart.delivery.alone CLASSIFIER IMAGES ANSWERS

IMAGES: an array, uint8 (n, size, size, 3), as NumPy writes it. ANSWERS gets the probabilities and distances of
all, `first`, when the first one was answered (seconds since 1970), and `seconds`, what all of them took after that.
"""

import sys
import time

import numpy as np

from headstart.base import errors
from headstart.classifier.reading import BATCH
from headstart.delivery.classifier import Classifier


def main() -> None:
    path, images, written = sys.argv[1:]
    pixels = np.load(images)
    classifier = Classifier.load(path)
    classifier.answers(pixels[:1])
    first = time.time()
    classifier.answers(pixels[:BATCH])  # some runtimes prepare themselves for each size of a batch
    start = time.monotonic()
    answers = [classifier.answers(pixels[at : at + BATCH]) for at in range(0, len(pixels), BATCH)]
    seconds = time.monotonic() - start
    probabilities = np.concatenate([of.probabilities for of in answers])
    distances = [np.full(len(of.probabilities), np.nan) if of.distances is None else of.distances for of in answers]
    arrays = {"probabilities": probabilities, "distances": np.concatenate(distances)}
    np.savez(written, **arrays, first=first, seconds=seconds)


if __name__ == "__main__":
    errors.run(main)
