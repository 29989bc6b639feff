"""Classify images with a trained classifier: python -m headstart.predict photo.jpg folder/ photos.zip

One line an image: path, class, probability. An image that cannot be read is reported on its line, and the rest goes on;
the exit status is then 1. Predictions go to standard output, everything else to standard error.
"""

import argparse
import csv
import json
import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TextIO

import numpy as np

from headstart import archive, engines, errors, images, models, progress, scores
from headstart.errors import UserError
from headstart.runtime import keras, tf

BATCH = 32
# What reading one image can raise: it is not there, its archive is damaged, or it is no image.
UNREADABLE = (OSError, UserError, archive.Unreadable, images.Broken)
Read = Callable[[], bytes]


def probabilities(model: keras.Model, size: int, reads: Iterable[Read]) -> Iterator[np.ndarray | Exception]:
    """Run `model` on images, in batches that threads decode ahead of it.

    Args:
        model: takes uint8 (n, size, size, 3), as `models.load` gives it.
        size: side of the model's images in pixels.
        reads: for each image a function that gives the bytes of its file; it is called in another thread.

    Yields:
        For each image in turn its (k,) float32 probabilities, or one of `UNREADABLE` where it could not be read.
    """
    run = engines.traced(model)  # Keras would trace the network again for the last batch, which is smaller
    reads = iter(reads)
    waiting: deque[list[Future]] = deque()
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        while batch := list(islice(reads, BATCH)):
            waiting.append([pool.submit(_pixels, read, size) for read in batch])
            if len(waiting) > 2:
                yield from _outcomes(run, waiting.popleft())
        while waiting:
            yield from _outcomes(run, waiting.popleft())


def find(arguments: Iterable[str], stack: ExitStack) -> list[tuple[str, Read]]:
    """The images that `arguments` name: the path to show, and a function that reads the file.

    A file is itself, whatever its ending; a folder or a zip is all images in it, sorted (`stack` closes it); how many
    files of another ending it has is said on standard error. What is missing or holds no image stands in the list
    too: reading it raises one of `UNREADABLE`.
    """
    found = []
    for path in map(Path, arguments):
        if path.is_dir() or (path.suffix.lower() == ".zip" and path.exists()):
            found += _inside(path, stack)
        else:
            found.append((str(path), partial(_file, path)))
    return found


def entry(path: str, outcome: np.ndarray | Exception, classes: list[str]) -> dict:
    """What is reported of an image: path, class, probability and probabilities (class: probability); or path, error."""
    if isinstance(outcome, Exception):
        return {"path": path, "error": " ".join((getattr(outcome, "strerror", None) or str(outcome)).split())}
    best = scores.predicted(outcome[None])[0]
    values = [round(float(value), 6) for value in outcome]
    return {
        "path": path,
        "class": classes[best],
        "probability": values[best],
        "probabilities": dict(zip(classes, values, strict=True)),
    }


def write_lines(entries: Iterable[dict], file: TextIO, path_width: int, class_width: int) -> None:
    """One aligned line an image, as soon as it is there: path, class, probability; or path, `error: reason`."""
    for one in entries:
        if "error" in one:
            words = f"error: {one['error']}"
        else:
            words = f"{one['class']:<{class_width}}  {one['probability']:.4f}"
        print(f"{one['path']:<{path_width}}  {words}", file=file, flush=True)


def write_json(entries: Iterable[dict], file: TextIO) -> None:
    """A JSON list with one entry a line."""
    print("[", end="", file=file)
    for i, one in enumerate(entries):
        print(("," if i else "") + "\n  " + json.dumps(one, ensure_ascii=False), end="", file=file, flush=True)
    print("\n]", file=file)


def write_csv(entries: Iterable[dict], file: TextIO) -> None:
    """CSV with the columns path, class, probability, error; what does not apply is empty."""
    columns = ["path", "class", "probability", "error"]
    writer = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for one in entries:
        writer.writerow(one)
        file.flush()


def main(arguments: list[str] | None = None) -> int:
    """Run the command. Returns 0, or 1 where an image could not be read."""
    options = _options(arguments)
    model, about = models.load(options.model)
    classes, failed = about["classes"], 0
    # A name that is not valid text in its file system is still printed; a progress bar would catch sys.stdout.
    file = sys.stdout
    file.reconfigure(errors="backslashreplace")
    with ExitStack() as stack:
        found = find(options.paths, stack)
        outcomes = probabilities(model, about["size"], (read for _, read in found))
        if not file.isatty():
            outcomes = progress.track(outcomes, "predict", len(found))

        def entries() -> Iterator[dict]:
            nonlocal failed
            for (path, _), outcome in zip(found, outcomes, strict=True):
                failed += isinstance(outcome, Exception)
                yield entry(path, outcome, classes)

        try:
            if options.json:
                write_json(entries(), file)
            elif options.csv:
                write_csv(entries(), file)
            else:
                write_lines(entries(), file, max(len(path) for path, _ in found), max(map(len, classes)))
        except BrokenPipeError:  # the reader, such as `head`, has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), file.fileno())
    return 1 if failed else 0


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m headstart.predict",
        description="Classify images: one line each, with path, class and probability.",
        epilog="An image that cannot be read is reported on its line and the rest goes on; the exit status is then 1.",
    )
    parser.add_argument("paths", nargs="+", metavar="PATH", help="an image, or a folder or a zip of images")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="a JSON list, with the probabilities of all classes")
    form.add_argument("--csv", action="store_true", help="CSV: path,class,probability,error")
    parser.add_argument(
        "--model", type=Path, default=models.CLASSIFIER, metavar="FILE", help="the classifier (default: %(default)s)"
    )
    return parser.parse_args(arguments)


def _pixels(read: Read, size: int) -> np.ndarray:
    return images.read(read(), size)


def _outcomes(run: Callable[[np.ndarray], list[tf.Tensor]], batch: list[Future]) -> Iterator[np.ndarray | Exception]:
    outcomes = [_outcome(future) for future in batch]
    pixels = [outcome for outcome in outcomes if isinstance(outcome, np.ndarray)]
    rows = iter(models.probabilities(run(np.stack(pixels))[0]) if pixels else [])
    yield from (next(rows) if isinstance(outcome, np.ndarray) else outcome for outcome in outcomes)


def _outcome(future: Future) -> np.ndarray | Exception:
    try:
        return future.result()
    except UNREADABLE as error:
        return error


def _inside(path: Path, stack: ExitStack) -> list[tuple[str, Read]]:
    if path.is_dir():
        # Unlike a source of training images, a folder may hold links: nothing is learnt from what they lead to.
        below = (one.relative_to(path) for one in path.rglob("*") if not one.is_dir())
        names = sorted(str(one) for one in below if not any(part.startswith(".") for part in one.parts))
        reads = [partial(_file, path / name) for name in names]
    else:
        try:
            source = stack.enter_context(archive.open_source(path))
        except UNREADABLE as error:
            return [(str(path), partial(_fail, error))]
        names = source.names()
        reads = [partial(source.read, name) for name in names]
    found = [
        (str(path / name), read)
        for name, read in zip(names, reads, strict=True)
        if name.lower().endswith(images.ENDINGS)
    ]
    if not found:
        return [(str(path), partial(_fail, images.Broken(f"no images in it ({', '.join(images.ENDINGS)})")))]
    if other := len(names) - len(found):
        print(f"{path}: left out {other:,} of another ending than {', '.join(images.ENDINGS)}", file=sys.stderr)
    return found


def _file(path: Path) -> bytes:
    # Of a pipe, which may never end, nothing is read.
    if path.exists() and not path.is_file():
        raise images.Broken("not a file")
    return path.read_bytes()


def _fail(error: Exception) -> bytes:
    raise error


if __name__ == "__main__":
    errors.run(main)
