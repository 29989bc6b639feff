"""The work of `extract` in blocks: each is done or not, whoever does it and in whatever order."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from headstart.images.batches import View

BATCHES = 8  # of images, in a block


class Block(NamedTuple):
    """Images as they are, and the views that are computed with them.

    `row`: of the first image, and `paths`, of all of them in the source; `view`: the first of `views`, counted through
    the views of all training images, those of one after those of the one before.
    """

    number: int
    row: int
    paths: list[str]
    view: int
    views: list[View]

    @property
    def count(self) -> int:
        """Images and views."""
        return len(self.paths) + len(self.views)


class Blocks:
    """The blocks of all images of a manifest, each made when it is asked for.

    paths, sha256: of its images. train: int64 (t,), the rows of those that are trained on, ascending. views: how many
    other views each of these has. batch_size: of images, and of views. A batch is the same
    whatever blocks are asked for: views whose batch is not full yet come with the next block.
    """

    def __init__(self, paths: Sequence[str], sha256: Sequence[str], train: np.ndarray, views: int, batch_size: int):
        self._paths, self._sha256, self._train, self._views = paths, sha256, train, views
        self._batch, self._rows = batch_size, BATCHES * batch_size

    def __len__(self) -> int:
        return -(-len(self._paths) // self._rows)

    def __getitem__(self, number: int) -> Block:
        row, views = number * self._rows, range(self._views_before(number), self._views_before(number + 1))
        paths = list(self._paths[row : row + self._rows])
        return Block(number, row, paths, views.start, list(map(self._view, views)))

    def _views_before(self, number: int) -> int:
        """The views that the blocks before this one have."""
        ready = self._views * int(np.searchsorted(self._train, number * self._rows))
        return ready if number == len(self) else ready - ready % self._batch

    def _view(self, number: int) -> View:
        image, view = divmod(number, self._views)
        row = int(self._train[image])
        return View(row, self._paths[row], self._sha256[row], view + 1)
