"""The project's own images, as its classifier takes them: what an export is made with, and proved on."""

from collections.abc import Sequence

import numpy as np

from headstart.artifacts import manifest, predictions
from headstart.base import cells, params
from headstart.base.errors import UserError
from headstart.base.progress import track
from headstart.base.streams import rng
from headstart.base.threads import in_order
from headstart.classifier.details import Details
from headstart.images import archive, batches


class OwnImages:
    """The images of the manifest that lies here, for the classifier with those details.

    Raises UserError where they are of other classes.
    """

    def __init__(self, settings: params.Params, details: Details):
        self._settings, self._details = settings, details
        self._table = manifest.read(fold=settings.fold)
        if self._table.classes != details.classes:
            raise UserError("data/manifest.csv is of other classes than models/classifier.keras: run `dvc repro`")

    def tested_on(self, most: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return test images, uint8 (n, size, size, 3), their labels, int64 (n,), and their groups, str (n,).

        most: how many, evenly spread. Raises UserError where there are none, and where the classifier was tested on
        others: it may have been trained on these.
        """
        rows = self._table.rows("test")
        if not len(rows):
            raise UserError("no test images, by which an export is proved: set split.test, and run `dvc repro`")
        if (tested := _tested()) is not None and tested != [self._table.paths[row] for row in rows]:
            raise UserError(
                f"data/manifest.csv has other test images than {predictions.PREDICTIONS}, on which "
                "models/classifier.keras was tested: run `dvc repro`"
            )
        if len(rows) > most:
            rows = rows[np.linspace(0, len(rows) - 1, most).astype(int)]
        return self._decoded(rows, "export: test images"), self._table.labels[rows], self._table.groups[rows]

    def trained_on(self, most: int) -> np.ndarray:
        """Return training images, uint8 (n, size, size, 3): `most` of them, drawn by the seed, or all."""
        drawn = rng(self._settings.seed, "images for 8 bits", 0).permutation(self._table.rows("train"))[:most]
        return self._decoded(np.sort(drawn), "export: training images, for the ranges of 8 bits")

    def _decoded(self, rows: Sequence[int], what: str) -> np.ndarray:
        with archive.open_source(self._settings.dataset.path, self._details.value_range) as source:
            read = in_order(lambda row: batches.pixels(source, self._table.paths[row], self._details.square), rows)
            images = np.empty((len(rows), self._details.size, self._details.size, 3), np.uint8)
            for number, image in enumerate(track(read, what, len(rows))):
                images[number] = image
            return images


def _tested() -> list[str] | None:
    """The images that `evaluate` has predicted; None where it has not, or left something else."""
    try:
        return [path for path, *_ in cells.read(predictions.PREDICTIONS.read_text(encoding="utf-8"))[1:]]
    except (FileNotFoundError, ValueError):
        return None
