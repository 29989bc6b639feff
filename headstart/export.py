"""Export the classifier for another runtime: python -m headstart.export --format onnx, or make export FORMAT=onnx

Writes models/exports/FORMAT/: the classifier, what it says of itself (classifier.json), and a program of a few lines
that runs it (predict.py). Then it is run on its own runtime, on test images, beside the classifier: what came of it
is in metrics/exports.json.
"""

from headstart.base import errors  # first: from here on Ctrl-C is one line

# isort: split
import argparse
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from headstart.base import files, params, wording
from headstart.base.arguments import Parser
from headstart.base.errors import UserError
from headstart.base.runtime import deterministic
from headstart.base.terminal import say
from headstart.classifier import file
from headstart.classifier.details import Details
from headstart.delivery import exporting, proving, runtimes
from headstart.delivery.classifier import EXPORTS
from headstart.delivery.own_images import OwnImages
from headstart.delivery.runtimes import FORMATS

CALIBRATED_ON = 200  # training images, to find the ranges of 8 bits with
SPEEDS = {"start_seconds": ".1f", "images_per_second": ".0f"}
COLUMNS = (
    *("", "MB", "start, s (Keras)", "images/s (Keras)", "same class, possible classes, unlike", "largest difference"),
    "test accuracy (95 % interval)",
)


def prove(made: Path, details: Details, pixels: np.ndarray, precision: str, *truth: Any) -> dict[str, Any]:
    """Run an export and the classifier on test images, each alone, and return what came of it.

    pixels: uint8 (n, size, size, 3). truth: labels, groups and seed, as `proving.cost` takes them. Raises UserError
    where the export gives something else.
    """
    own, beside = proving.run(file.CLASSIFIER, pixels)
    given, taken = proving.run(made, pixels)
    limit = None if details.known is None else details.known.limit
    found = taken | proving.compared(details, limit, own, given)
    found["beside"] = {name: beside[name] for name in ("start_seconds", "images_per_second")}
    if precision == "int8":
        return found | proving.cost(details, own.probabilities, given.probabilities, *truth)
    if not found["largest_difference"] <= proving.NEAR:  # nor where it is not a number
        raise UserError(
            f"the export gives other probabilities than the classifier, by up to {found['largest_difference']:g} "
            f"({proving.NEAR:g} would be rounding), and was not kept: report this with your versions"
        )
    return found


def rows(exports: dict[str, dict[str, Any]]) -> list[list[str]]:
    """A row for each export, below the headings `COLUMNS`."""
    written = []
    for name, of in exports.items():
        start, speed = (f"{of[what]:{form}} ({of['beside'][what]:{form}})" for what, form in SPEEDS.items())
        same = f"{of['agreement']}, {of['same_possible']}, {of['same_unlike']} of {of['images']}"
        row = [name, f"{of['bytes'] / 1e6:.1f}", start, speed, same, f"{of['largest_difference']:.1g}", ""]
        if "accuracy" in of:
            accuracy = f"{of['accuracy']:.4f} ({of['accuracy_low']:.3f} – {of['accuracy_high']:.3f})"
            row[-1] = f"{accuracy}, was {of['classifier_accuracy']:.4f}, p = {of['mcnemar']['p']:.2g}"
        written.append(row)
    return written


def lines(name: str, of: dict[str, Any]) -> list[str]:
    """What there is to say of an export, beside the classifier."""
    said = [
        f"{name}: {of['bytes'] / 1e6:.1f} MB, starts in {of['start_seconds']:.1f} s (Keras: "
        f"{of['beside']['start_seconds']:.1f} s), {of['images_per_second']:.0f} images/s (Keras: "
        f"{of['beside']['images_per_second']:.0f})",
        f"of {of['images']:,} test images, {of['agreement']:,} are of the same class, {of['same_possible']:,} with the "
        f"same classes possible; probabilities differ by {of['largest_difference']:.1g} at most",
    ]
    if "accuracy" in of:
        said.append(
            f"test accuracy {of['accuracy']:.4f} ({of['accuracy_low']:.3f} – {of['accuracy_high']:.3f}), and the "
            f"classifier's {of['classifier_accuracy']:.4f}: p = {of['mcnemar']['p']:.2g} "
            f"({'over groups' if 'groups' in of['mcnemar'] else 'McNemar'})"
        )
    return said


def main(arguments: list[str] | None = None) -> None:
    options = _options(arguments)
    settings = params.load()
    deterministic(settings.seed)
    classifier, details = file.load(file.CLASSIFIER)
    sha256, own, images = files.sha256(file.CLASSIFIER), OwnImages(settings, details), None
    pixels, *truth = own.tested_on(proving.IMAGES if options.precision == "float32" else proving.MOST)
    if options.precision == "int8":
        images = own.trained_on(CALIBRATED_ON)
    name = runtimes.folder_name(options.format, options.precision)
    made = EXPORTS / f".{name}.part"
    shutil.rmtree(made, ignore_errors=True)
    try:
        say(f"export: writing {EXPORTS / name}, which takes up to a minute")
        exporting.write(made, classifier, details, sha256, options.format, images)
        say(f"export: it and the classifier, each alone, on {wording.count(len(pixels), 'test image')}")
        found = prove(made, details, pixels, options.precision, *truth, settings.seed)
        exporting.put(made, EXPORTS / name)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    proving.write(sha256, proving.read(sha256) | {name: found})
    say(*(f"export: {line}" for line in lines(name, found)))
    say(f"Written: {EXPORTS / name}. Try it: python {EXPORTS / name / 'predict.py'} photo.jpg")


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = Parser(prog="python -m headstart.export", description="Export the classifier to another runtime's format.")
    parser.add_argument("--format", required=True, metavar="FORMAT", help=", ".join(FORMATS))
    parser.add_argument("--precision", default="float32", help="float32 (default), or int8: less than half the size")
    options = parser.parse_args(arguments)
    if options.format not in FORMATS:
        raise UserError(f"--format: got {options.format or 'nothing'}; takes {', '.join(FORMATS)}")
    if options.precision not in runtimes.PRECISIONS:
        raise UserError(f"--precision: got {options.precision}; takes {', '.join(runtimes.PRECISIONS)}")
    if options.format not in (known := runtimes.PRECISIONS[options.precision]):
        raise UserError(f"--precision: got {options.precision}, which {options.format} has not; {', '.join(known)} do")
    return options


if __name__ == "__main__":
    errors.run(main)
