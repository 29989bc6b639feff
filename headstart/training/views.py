"""The features of images and of their views, as `extract` wrote them: one view of each image at a time, or all."""

from functools import partial

import numpy as np

from headstart.artifacts import features
from headstart.artifacts.arrays import Rows
from headstart.artifacts.manifest import Manifest
from headstart.base.runtime import keras, tf
from headstart.base.streams import rng
from headstart.training import batches


class Views:
    """Features of all images as they are (view 0), and of those that may be trained on as their other views.

    plain: float16 (n, ...), in the order of the manifest. others: float16 (t, V - 1, ...) of the images `rows`, int64
    (t,), in shapes that broadcast to that of `plain`; None: there are none, and V is 1.
    """

    def __init__(self, plain: Rows, others: Rows | None, rows: np.ndarray):
        self._plain, self._others = plain, others
        self._places = np.full(len(plain), -1)
        self._places[rows] = np.arange(len(rows))
        self.shape, self.count = plain.shape[1:], 1 if others is None else 1 + others.shape[1]

    def draw(self, seed: int, purpose: str, epoch: int) -> np.ndarray | None:
        """Returns the view that an epoch takes of each image, int64 (n,), 0 where it has no others; None if V is 1.

        purpose: of the random stream (`streams.PURPOSES`).
        """
        if self.count == 1:
            return None
        drawn = rng(seed, purpose, epoch).integers(self.count, size=len(self._plain))
        return np.where(self._places < 0, 0, drawn)

    def batches(self, rows: np.ndarray, batch_size: int, drawn: np.ndarray | None = None) -> tf.data.Dataset:
        """Returns batches of the features of the images `rows`, float32 (b, ...), in that order.

        drawn: int64 (n,), the view of each image; None: all as they are.
        """
        take = self._plain.__getitem__ if drawn is None else partial(self._take, drawn)
        return batches.of_features(take, self.shape, rows, batch_size, self._read_ahead)

    def pooled(self, head: keras.Model, rows: np.ndarray, batch_size: int) -> np.ndarray:
        """Returns what the head's first layer makes of all views of the images `rows`: float32 (k, V, c).

        An image without other views stands for each of them itself.
        """
        pooling = keras.Model(head.input, head.get_layer("pooling").output)
        plain = pooling.predict(self.batches(rows, batch_size), verbose=0)
        pooled, places = np.repeat(plain[:, None], self.count, axis=1), self._places[rows]
        for view in range(1, self.count):
            drawn = np.full(len(self._plain), view)
            known = rows[places >= 0]
            pooled[places >= 0, view] = pooling.predict(self.batches(known, batch_size, drawn), verbose=0)
        return pooled

    def _read_ahead(self, rows: np.ndarray) -> None:
        self._plain.ahead(rows)
        if self._others is not None:
            self._others.ahead(self._places[rows][self._places[rows] >= 0])

    def _take(self, drawn: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """float16 (k, ...): of each of `rows` the view that is drawn."""
        return np.stack([self._view(row, view) for row, view in zip(rows, drawn[rows], strict=True)])

    def _view(self, row: int, view: int) -> np.ndarray:
        if not view:
            return self._plain[row]
        return np.broadcast_to(self._others.at(self._places[row], view - 1), self.shape)


def of_bottleneck(table: Manifest, others: bool) -> Views:
    """Bottleneck features, with `others` (`head.views`) of the other views too.

    Raises UserError where `extract` has not written them, and where they are not what it wrote.
    """
    written = features.read_bottleneck_views(table=table) if others else None
    return Views(features.read_bottleneck(table=table), written, table.trained_on())


def at_cut(table: Manifest, others: bool) -> Views:
    """The activations at the cut, likewise."""
    written = features.read_cut_views(table=table) if others else None
    return Views(features.read_cut(table=table), written, table.trained_on())
