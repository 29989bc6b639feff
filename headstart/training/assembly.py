"""What fine-tuning trains: the whole network on views drawn anew, or the tail after the cut on cached activations."""

import numpy as np

from headstart.artifacts.manifest import Manifest
from headstart.backbones import cut, several
from headstart.base import params
from headstart.base.runtime import keras, tf
from headstart.base.streams import rng
from headstart.classifier import joining
from headstart.images import augment
from headstart.images.archive import Source
from headstart.images.batches import of_images
from headstart.images.decoding import Square
from headstart.training import batches, views


def live(
    settings: params.View,
    table: Manifest,
    train: np.ndarray,
    backbone: keras.Model,
    head: keras.Model,
    source: Source,
):
    """The whole network, trained on images that are augmented anew in every epoch: model, batches, validation.

    train: the rows that are trained on.
    """
    square, batch_size, changes = Square.of(settings.image), settings.fine_tune.batch_size, settings.augment
    scale = several.scaling(settings.backbone, backbone)

    def of(rows: np.ndarray, class_weights: str = "none", transforms: np.ndarray | None = None) -> tf.data.Dataset:
        inputs = of_images(source, [table.paths[row] for row in rows], square, batch_size, transforms)
        return batches.with_targets(inputs, table, rows, batch_size, class_weights)

    def epoch(number: int) -> tf.data.Dataset:
        rows = batches.shuffled(train, settings.seed, number)
        views = rng(settings.seed, "live views", number).integers(2**31, size=len(table.paths))
        transforms = [augment.transform(changes, square.size, table.sha256[row], int(views[row])) for row in rows]
        return _mixed(of(rows, settings.fine_tune.class_weights, np.stack(transforms)), settings, number)

    return joining.join(backbone, head, scale), epoch, of(table.rows("validation"))


def cached(settings: params.View, table: Manifest, train: np.ndarray, backbone: keras.Model, head: keras.Model):
    """The tail after the cut, trained on the fixed views that `extract` wrote: model, batches, validation.

    train: the rows that are trained on; those that are not of the training split have no views but themselves.
    """
    batch_size, features = settings.fine_tune.batch_size, views.at_cut(table, settings.fine_tune.views > 1)

    def of(rows: np.ndarray, class_weights: str = "none", drawn: np.ndarray | None = None) -> tf.data.Dataset:
        inputs = features.batches(rows, batch_size, drawn)
        return batches.with_targets(inputs, table, rows, batch_size, class_weights)

    def epoch(number: int) -> tf.data.Dataset:
        drawn = features.draw(settings.seed, "views", number)
        inputs = of(batches.shuffled(train, settings.seed, number), settings.fine_tune.class_weights, drawn)
        return _mixed(inputs, settings, number)

    _, tail = cut.cut_in_two(backbone, settings.fine_tune.cut)
    inputs = keras.Input(tail.input.shape[1:])
    return keras.Model(inputs, head(tail(inputs))), epoch, of(table.rows("validation"))


def _mixed(inputs: tf.data.Dataset, settings: params.View, epoch: int) -> tf.data.Dataset:
    alpha = settings.fine_tune.mixup
    return batches.mixed(inputs, alpha, settings.seed, epoch) if alpha else inputs
