"""Classify images with a trained classifier: python -m headstart.predict photo.jpg folder/ photos.zip

One line per image: path, class, probability; `cat or dog` where it is not sure, and a mark where an image is unlike the
training images. An image that cannot be read is reported on its line, and the rest goes on; the exit status is then 1.
Predictions go to standard output, everything else to standard error. With --out they go to a table, which a run that
was stopped goes on with.
"""

from headstart.base import errors  # first: from here on Ctrl-C is one line

# isort: split
import argparse
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TextIO

from rich.cells import cell_len

from headstart.base import cells, files, progress
from headstart.base.arguments import Parser
from headstart.base.errors import UserError
from headstart.base.terminal import printable, say
from headstart.delivery import batch, places, rows
from headstart.delivery.classifier import ABOUT, CLASSIFIER, ENGINES, EXPORTS, TENSORFLOW, Classifier
from headstart.delivery.depths import Depths
from headstart.delivery.places import Place, Unreachable
from headstart.delivery.runtimes import NAMES


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
    """A JSON list with one entry per line, as `rows.as_json` writes it."""
    stream.write("[")
    for number, entry in enumerate(entries):
        stream.write(f"{',' if number else ''}\n  {rows.as_json(entry)}")
        stream.flush()
    stream.write("\n]\n")


def write_csv(entries: Iterable[dict], stream: TextIO) -> None:
    """CSV with the columns `rows.COLUMNS`; what does not apply is empty, and no cell is a formula."""
    stream.write(cells.line(rows.COLUMNS))
    for entry in entries:
        stream.write(cells.line(rows.cells_of(entry)))
        stream.flush()


def main(arguments: list[str] | None = None) -> int:
    """Run the command. Returns 0, or 1 where an image could not be read."""
    options = _options(arguments)
    if "" in options.paths:
        raise UserError("got an empty path; takes images, folders and zips: is a variable of the command line not set?")
    if options.out is not None:
        batch.check(options.out)
    classifier, depths = chosen(options.runtime, options.model), Depths()
    with ExitStack() as stack:
        try:
            if options.out is not None:
                table = _opened(options.out, classifier, stack)
                failed, line = batch.run(classifier, places.find(options.paths, stack), table, depths)
                say(line, file=sys.stderr)
            else:
                failed = _show(classifier, places.find(options.paths, stack), depths, options)
        except Unreachable as error:
            raise UserError(str(error)) from None
    if line := depths.of_another(classifier.details.value_range):
        say(line, file=sys.stderr)
    return 1 if failed else 0


def _opened(name: str, classifier: Classifier, stack: ExitStack) -> batch.Table:
    try:
        return stack.enter_context(batch.table(name, classifier))
    except FileNotFoundError:  # although its folder is made
        raise UserError(f"--out: got {name}, where no file can be made: take another place") from None


def _show(classifier: Classifier, where: list[Place], depths: Depths, options: argparse.Namespace) -> int:
    """Predictions on standard output, each as soon as it is there. Returns how many images could not be read."""
    details, failed = classifier.details, 0
    # A name that is not valid text in its file system is still printed; a progress bar would catch sys.stdout.
    stream = sys.stdout
    stream.reconfigure(errors="backslashreplace")
    reads = (read for _, read in places.images(where))
    outcomes = classifier.outcomes(reads, max(place.threads for place in where), depths)
    if not stream.isatty():
        outcomes = progress.track(outcomes, "predict", sum(len(place.names) for place in where))

    def entries() -> Iterator[dict]:
        nonlocal failed
        for (path, _), outcome in zip(places.images(where), outcomes, strict=True):
            failed += isinstance(outcome, Exception)
            yield rows.entry(path, outcome)

    try:
        if options.json:
            write_json(entries(), stream)
        elif options.csv:
            write_csv(entries(), stream)
        else:
            widths = [*map(_width, details.classes)]
            if len(widths) == 2 and details.rule.at_least is not None:
                widths.append(_width(named(details.classes)))
            write_lines(entries(), stream, max(_width(path) for path, _ in places.images(where)), max(widths))
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    return failed


def chosen(runtime: str | None, model: Path | None) -> Classifier:
    """Return the classifier to predict with: the one at `model`, or the export of the project's own for a runtime.

    runtime: `keras`, or the name of an export's folder; None: Keras, in a project with its `extract.engine`. Raises
    UserError where it is not there, and where the export is of another classifier than the project's own.
    """
    if runtime in (None, "keras"):
        return Classifier.load(model or CLASSIFIER, TENSORFLOW if model or runtime else _engine())
    if runtime not in NAMES:
        raise UserError(f"--runtime: got {runtime or 'nothing'}; takes keras, {', '.join(NAMES)}")
    folder = EXPORTS / runtime
    form, _, precision = runtime.partition("-")
    made = f"make export FORMAT={form}" + (f" PRECISION={precision}" if precision else "")
    if not (folder / ABOUT).exists():
        there = ", ".join(["keras", *sorted(path.parent.name for path in EXPORTS.glob(f"[!.]*/{ABOUT}"))])
        raise UserError(f"--runtime: got {runtime}; there are {there} here, and `{made}` writes {folder}")
    classifier = Classifier.load(folder)
    if CLASSIFIER.exists() and files.sha256(CLASSIFIER) != classifier.sha256:
        raise UserError(f"{folder} was made of another classifier than {CLASSIFIER} now is: run `{made}`")
    return classifier


def _engine() -> str:
    """The project's `extract.engine`; TensorFlow where that cannot be read: what else it has stops no prediction."""
    try:
        from headstart.base import params, yaml12  # what `pip install ".[predict]"` does without

        named = yaml12.read(params.PARAMS)["extract"]["engine"]
    except (ModuleNotFoundError, UserError, OSError, LookupError, TypeError):
        return TENSORFLOW
    return named if named in ENGINES else TENSORFLOW


def named(possible: list[str]) -> str:
    """`cat`, `cat or dog`, `cat, dog or fox`; of more than three, the likeliest and how many others."""
    if len(possible) > 3:
        return f"{possible[0]}, {possible[1]} or {len(possible) - 2} others"
    return " or ".join(filter(None, [", ".join(possible[:-1]), possible[-1]]))


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = Parser(
        prog="python -m headstart.predict",
        description="Classify images: one line each, with path, class and probability.",
        epilog="An image that cannot be read is reported on its line and the rest goes on; the exit status is then 1.",
    )
    parser.add_argument("paths", nargs="+", metavar="PATH", help="an image, or a folder or a zip; also on s3://")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="a JSON list, with the probabilities of all classes")
    form.add_argument("--csv", action="store_true", help="CSV: path,class,probability,possible,unlike,error")
    form.add_argument(
        "--out",
        metavar="FILE",
        help=f"a table that knows what is done: a name in {', '.join(batch.FORMS)}, or in / for a folder of Parquet",
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--model", type=Path, metavar="FILE", help=f"the classifier, or an export's folder (default: {CLASSIFIER})"
    )
    which.add_argument(
        "--runtime",
        metavar="NAME",
        help="keras (default, with the project's extract.engine where none is named), or an export of it: onnx, "
        "openvino, tflite, saved_model",
    )
    return parser.parse_args(arguments)


def _padded(text: str, width: int) -> str:
    return text + " " * (width - _width(text))


def _width(text: str) -> int:
    return cell_len(printable(text))


if __name__ == "__main__":
    errors.run(main)
