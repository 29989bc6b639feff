"""Classify images with a trained classifier: python -m headstart.predict photo.jpg folder/ photos.zip

One line per image: path, class, probability; `cat or dog` where it is not sure, and a mark where an image is unlike the
training images. An image that cannot be read is reported on its line, and the rest goes
on; the exit status is then 1. Predictions go to standard output, everything else to standard error.
"""

from headstart.base import errors  # first: from here on Ctrl-C is one line

# isort: split
import argparse
import json
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TextIO

from rich.cells import cell_len

from headstart.artifacts.results import CLASSIFIER
from headstart.base import cells, files, progress, wording
from headstart.base.errors import UserError
from headstart.base.terminal import has_no_shape, printable, say
from headstart.classifier.reading import Read
from headstart.delivery.classifier import ABOUT, EXPORTS, Classifier, Prediction
from headstart.images import archive, decoding, finding
from headstart.images.archive import UNREADABLE
from headstart.images.ranges import Range


def find(paths: Iterable[str], stack: ExitStack) -> list[tuple[str, Read]]:
    """The images at `paths`: of each the path to show, and a function that reads its file.

    A file is itself, whatever its ending; a folder or a zip is all images in it (`finding.is_image`), sorted (`stack`
    closes it); how many of its files are none is said on standard error. What is missing or holds no image is in the
    list too: reading it raises one of `archive.UNREADABLE`.
    """
    images = []
    for path in map(Path, paths):
        if path.is_dir() or (path.suffix.lower() == ".zip" and path.exists()):
            images += _inside(path, stack)
        else:
            images.append((str(path), partial(_file, path)))
    return images


def entry(path: str, outcome: Prediction | Exception) -> dict:
    """What is reported of an image: path, class, probability, possible, unlike and probabilities; or path, error.

    outcome: what the classifier makes of it, as `Prediction` says, or why it could not be read.
    """
    if isinstance(outcome, Exception):
        return {"path": path, "error": " ".join((getattr(outcome, "strerror", None) or str(outcome)).split())}
    return {
        "path": path,
        "class": outcome.label,
        "probability": round(outcome.probability, 6),
        "possible": outcome.possible,
        "unlike": outcome.unlike,
        "probabilities": {name: round(value, 6) for name, value in outcome.probabilities.items()},
    }


def write_lines(entries: Iterable[dict], stream: TextIO, path_width: int, class_width: int) -> None:
    """One aligned line per image, as soon as it is there: path, class, probability; or path, `error: reason`.

    Where several classes remain possible, they stand in the place of the class (`cat or dog`), and the probability is
    that of the first. What is unlike the training images is marked. path_width, class_width: in columns of the
    terminal, of which a Chinese or Korean letter takes two.
    """
    for entry in entries:
        if "error" in entry:
            words = f"error: {entry['error']}"
        else:
            words = f"{_padded(named(entry['possible']), class_width)}  {entry['probability']:.4f}"
            words += "  unlike the training images" if entry["unlike"] else ""
        say(f"{_padded(entry['path'], path_width)}  {words}", file=stream)


def write_json(entries: Iterable[dict], stream: TextIO) -> None:
    """A JSON list with one entry per line; letters without a shape are written as JSON's own escapes."""
    stream.write("[")
    for number, entry in enumerate(entries):
        text = json.dumps(entry, ensure_ascii=False)
        shown = "".join(f"\\u{ord(letter):04x}" if has_no_shape(letter) else letter for letter in text)
        stream.write(f"{',' if number else ''}\n  {shown}")
        stream.flush()
    stream.write("\n]\n")


def write_csv(entries: Iterable[dict], stream: TextIO) -> None:
    """CSV with the columns path, class, probability, possible, unlike, error.

    What does not apply is empty, and no cell is a formula. possible: a JSON list, where it is more than the class;
    unlike: 1 or 0.
    """
    columns = ["path", "class", "probability", "possible", "unlike", "error"]
    stream.write(cells.line(columns))
    for entry in entries:
        names, far = entry.get("possible", []), entry.get("unlike")
        several = json.dumps(names, ensure_ascii=False) if len(names) > 1 else None
        cell = entry | {"possible": several, "unlike": None if far is None else int(far)}
        stream.write(cells.line(map(cell.get, columns)))
        stream.flush()


def main(arguments: list[str] | None = None) -> int:
    """Run the command. Returns 0, or 1 where an image could not be read."""
    options = _options(arguments)
    classifier = chosen(options.runtime, options.model)
    details, failed = classifier.details, 0
    # A name that is not valid text in its file system is still printed; a progress bar would catch sys.stdout.
    stream = sys.stdout
    stream.reconfigure(errors="backslashreplace")
    with ExitStack() as stack:
        images, depths = find(options.paths, stack), []
        reads = (partial(_counted, read, depths) for _, read in images)
        outcomes = classifier.outcomes(reads)
        if not stream.isatty():
            outcomes = progress.track(outcomes, "predict", len(images))

        def entries() -> Iterator[dict]:
            nonlocal failed
            for (path, _), outcome in zip(images, outcomes, strict=True):
                failed += isinstance(outcome, Exception)
                yield entry(path, outcome)

        try:
            if options.json:
                write_json(entries(), stream)
            elif options.csv:
                write_csv(entries(), stream)
            else:
                widths = [*map(_width, details.classes)]
                if len(widths) == 2 and details.rule.at_least is not None:
                    widths.append(_width(named(details.classes)))
                write_lines(entries(), stream, max(_width(path) for path, _ in images), max(widths))
        except BrokenPipeError:  # the reader, such as `head`, has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    if line := of_another_depth(Counter(depths), details.value_range):
        say(line, file=sys.stderr)
    return 1 if failed else 0


def chosen(runtime: str | None, model: Path | None) -> Classifier:
    """Return the classifier to predict with: the one at `model`, or the export of the project's own for a runtime.

    runtime: `keras`, or the name of an export's folder. Raises UserError where it is not there, and where the export is
    of another classifier than the project's own.
    """
    if runtime in (None, "keras"):
        return Classifier.load(model or CLASSIFIER)
    folder = EXPORTS / runtime
    form, _, precision = runtime.partition("-")
    made = f"make export FORMAT={form}" + (f" PRECISION={precision}" if precision else "")
    if not (folder / ABOUT).exists():
        there = ", ".join(["keras", *sorted(path.parent.name for path in EXPORTS.glob(f"*/{ABOUT}"))])
        raise UserError(f"--runtime: got {runtime}; there are {there} here, and `{made}` writes {folder}")
    classifier = Classifier.load(folder)
    if CLASSIFIER.exists() and files.sha256(CLASSIFIER) != classifier.sha256:
        raise UserError(f"{folder} was made of another classifier than {CLASSIFIER} now is: run `{made}`")
    return classifier


def named(possible: list[str]) -> str:
    """`cat`, `cat or dog`, `cat, dog or fox`; of more than three, the likeliest and how many others."""
    if len(possible) > 3:
        return f"{possible[0]}, {possible[1]} or {len(possible) - 2} others"
    return " or ".join(filter(None, [", ".join(possible[:-1]), possible[-1]]))


def of_another_depth(depths: Mapping[int | None, int], value_range: Range | None) -> str | None:
    """A line on images of another depth than those that the classifier was trained on, and what was made of them.

    depths: how many images there are by their bits, as `decoding.depth` tells them. value_range: the classifier's.
    """
    if value_range is None and depths[16]:
        return (
            f"{wording.count(depths[16], 'grey image')} of more than 8 bits, and the classifier was trained on 8: 0 to "
            "65535 was taken as black to white, and of other values each image's own range; better convert them alike"
        )
    if value_range is not None and depths[8]:
        return (
            f"{wording.count(depths[8], 'image')} of 8 bits: 0 to 255 was taken as black to white; of deeper ones the "
            f"classifier takes {value_range.low:g} to {value_range.high:g}, so 8 bits should come from that range"
        )
    return None


def _counted(read: Read, depths: list[int | None]) -> bytes:
    data = read()
    depths.append(decoding.depth(data))
    return data


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m headstart.predict",
        description="Classify images: one line each, with path, class and probability.",
        epilog="An image that cannot be read is reported on its line and the rest goes on; the exit status is then 1.",
    )
    parser.add_argument("paths", nargs="+", metavar="PATH", help="an image, or a folder or a zip of images")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="a JSON list, with the probabilities of all classes")
    form.add_argument("--csv", action="store_true", help="CSV: path,class,probability,possible,unlike,error")
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--model", type=Path, metavar="FILE", help=f"the classifier, or an export's folder (default: {CLASSIFIER})"
    )
    which.add_argument(
        "--runtime", metavar="NAME", help="keras (default), or an export of it: onnx, openvino, tflite, saved_model"
    )
    return parser.parse_args(arguments)


def _padded(text: str, width: int) -> str:
    return text + " " * (width - _width(text))


def _width(text: str) -> int:
    return cell_len(printable(text))


def _inside(path: Path, stack: ExitStack) -> list[tuple[str, Read]]:
    if path.is_dir():
        # Unlike a source of training images, a folder may hold links: nothing is learnt from what they lead to.
        below = (inner.relative_to(path) for inner in path.rglob("*") if not inner.is_dir())
        names = sorted(str(inner) for inner in below if not any(part.startswith(".") for part in inner.parts))
        reads = [partial(_file, path / name) for name in names]

        def head(name: str) -> bytes:
            return _file(path / name, archive.HEAD)
    else:
        try:
            source = stack.enter_context(archive.open_source(path))
        except UNREADABLE as error:
            return [(str(path), partial(_fail, error))]
        names = source.names()
        reads, head = [partial(source.read, name) for name in names], source.head
        for note in source.notes:
            say(note, file=sys.stderr)
    images = [(str(path / name), read) for name, read in zip(names, reads, strict=True) if finding.is_image(name, head)]
    endings = ", ".join(finding.ENDINGS)
    if not images:
        return [(str(path), partial(_fail, decoding.Broken(f"no images in it ({endings})")))]
    if other := len(names) - len(images):
        say(f"{path}: left out {other:,} that are no images: their names do not end in {endings}", file=sys.stderr)
    return images


def _file(path: Path, size: int = -1) -> bytes:
    # Of a pipe, which may never end, nothing is read.
    if path.exists() and not path.is_file():
        raise decoding.Broken("not a file")
    with path.open("rb") as file:
        return file.read(size)


def _fail(error: Exception) -> bytes:
    raise error


if __name__ == "__main__":
    errors.run(main)
