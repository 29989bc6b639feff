"""Export the classifier for another runtime: python -m headstart.export --format onnx, or make export FORMAT=onnx

Writes models/exports/FORMAT/: the classifier, what it says of itself (classifier.json), and a program of a few lines
that runs it (predict.py). Then it is run on its own runtime, on test images, beside the classifier: what came of it
is in metrics/exports.json.
"""

from headstart.base import errors  # first: from here on Ctrl-C is one line

# isort: split
import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from headstart.artifacts import manifest
from headstart.artifacts.manifest import Manifest
from headstart.base import files, params
from headstart.base.errors import UserError
from headstart.base.progress import track
from headstart.base.runtime import deterministic
from headstart.base.streams import rng
from headstart.base.tables import Table
from headstart.base.terminal import say
from headstart.base.threads import in_order
from headstart.classifier import file
from headstart.classifier.details import Details
from headstart.delivery import exporting, proving
from headstart.delivery.classifier import EXPORTS
from headstart.delivery.runtimes import FORMATS
from headstart.images import archive, batches

CALIBRATED_ON = 200  # training images, to find the ranges of 8 bits with
COLUMNS = ("", "MB", "start", "images/s", "agrees", "largest difference", "test accuracy (95 % interval)")


def decoded(settings: params.Params, table: Manifest, rows: Sequence[int], details: Details, what: str) -> np.ndarray:
    """Return images of the manifest as the classifier takes them: uint8 (n, size, size, 3)."""
    with archive.open_source(settings.dataset.path, details.value_range) as source:
        read = in_order(lambda row: batches.pixels(source, table.paths[row], details.size), rows)
        return np.stack(list(track(read, what, len(rows))))


def prove(folder: Path, details: Details, pixels: np.ndarray, labels: np.ndarray, sha256: str) -> dict[str, Any]:
    """Run an export and the classifier on test images, write what came of it, and return that of the export.

    pixels: uint8 (n, size, size, 3); labels: int64 (n,). Of the export in 8 bits all are used, else the first
    `proving.IMAGES`.
    """
    exports = proving.read(sha256)
    rounded = folder.name.endswith("int8")
    if not rounded:
        pixels = pixels[: proving.IMAGES]
    say(f"export: {folder} and the classifier, each on its own, on {len(pixels):,} test images")
    own, taken = proving.run(file.CLASSIFIER, pixels)
    given, its = proving.run(folder, pixels)
    exports["keras"] = taken
    exports[folder.name] = its | proving.compared(details, own, given)
    if rounded:
        exports[folder.name] |= proving.cost(details, own, given, labels)
    proving.write(sha256, exports)
    return exports[folder.name]


def rows(exports: dict[str, dict[str, Any]]) -> list[list[str]]:
    """A row for each export, and one for the classifier itself, below the headings `COLUMNS`."""
    written = []
    for name, of in exports.items():
        row = [name, f"{of['bytes'] / 1e6:.1f}", f"{of['start_seconds']:.1f} s", f"{of['images_per_second']:.0f}"]
        if "agreement" in of:
            row += [f"{of['agreement']} of {of['images']}", f"{of['largest_difference']:.1g}"]
        if "accuracy" in of:
            low, high, p = of["accuracy_low"], of["accuracy_high"], of["mcnemar"]["p"]
            row.append(
                f"{of['accuracy']:.4f} ({low:.3f} – {high:.3f}), was {of['classifier_accuracy']:.4f}, p = {p:.2f}"
            )
        written.append(row + [""] * (len(COLUMNS) - len(row)))
    return written


def table(exports: dict[str, dict[str, Any]]) -> Table:
    """The same for the terminal."""
    made = Table(*COLUMNS)
    for row in rows(exports):
        made.add_row(*row)
    return made


def main(arguments: list[str] | None = None) -> None:
    options = _options(arguments)
    settings = params.load()
    deterministic(settings.seed)
    sha256 = files.sha256(file.CLASSIFIER) if file.CLASSIFIER.exists() else ""
    classifier, details = file.load(file.CLASSIFIER)
    table_, images = manifest.read(fold=settings.fold), None
    if table_.classes != details.classes:
        raise UserError("data/manifest.csv is of other classes than models/classifier.keras: run `dvc repro`")
    if options.precision == "int8":
        rows = table_.rows("train")
        rows = np.sort(rng(settings.seed, "images for 8 bits", 0).permutation(rows)[:CALIBRATED_ON])
        images = decoded(settings, table_, rows, details, "export: training images, for the ranges of 8 bits")
    folder = EXPORTS / exporting.folder_name(options.format, options.precision)
    say(f"export: writing {folder}, which takes up to a minute")
    exporting.write(folder, classifier, details, sha256, options.format, images)
    rows = table_.rows("test")
    if options.precision == "float32" and len(rows) > proving.IMAGES:
        rows = rows[np.linspace(0, len(rows) - 1, proving.IMAGES).astype(int)]
    pixels = decoded(settings, table_, rows, details, "export: test images")
    found = prove(folder, details, pixels, table_.labels[rows], sha256)
    Console().print(table(proving.read(sha256)))
    if options.precision == "float32" and found["largest_difference"] > proving.NEAR:
        raise UserError(
            f"{folder} gives other probabilities than the classifier, by up to {found['largest_difference']:g} "
            f"({proving.NEAR:g} would be rounding): do not use it, and report this with your versions"
        )
    say(f"Written: {folder}. Try it: python {folder / 'predict.py'} photo.jpg")


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m headstart.export", description="Export the classifier to another runtime's format."
    )
    parser.add_argument("--format", required=True, metavar="FORMAT", help=", ".join(FORMATS))
    parser.add_argument("--precision", default="float32", help="float32 (default), or int8: a quarter of the size")
    options = parser.parse_args(arguments)
    if options.format not in FORMATS:
        raise UserError(f"--format: got {options.format or 'nothing'}; takes {', '.join(FORMATS)}")
    if options.precision not in exporting.PRECISIONS:
        raise UserError(f"--precision: got {options.precision}; takes {', '.join(exporting.PRECISIONS)}")
    if options.format not in (known := exporting.PRECISIONS[options.precision]):
        raise UserError(f"--precision: got {options.precision}, which {options.format} has not; {', '.join(known)} do")
    return options


if __name__ == "__main__":
    errors.run(main)
