"""Head and tail trained once more on other images: on folds, or on training and validation images together."""

import numpy as np

from headstart.artifacts import models
from headstart.artifacts.manifest import Manifest
from headstart.backbones import cut
from headstart.base import params
from headstart.base.runtime import keras
from headstart.classifier import joining
from headstart.images.archive import Source
from headstart.training import assembly, batches, logistic, loop, views
from headstart.training import head as heads

FOLDS = 4  # each trains on about as many images as the training split has


def together(table: Manifest, settings: params.View) -> np.ndarray:
    """Returns the rows of the images that are trained on and of the validation images, ascending: int64 (n,)."""
    train = batches.rows(table, settings.train_images, settings.seed)
    return np.sort(np.concatenate([train, table.rows("validation")]))


def folds(table: Manifest, settings: params.View) -> list[tuple[np.ndarray, np.ndarray]]:
    """Returns the rows inside and outside of each fold of the images `together`; none where classes have too few.

    Groups stay together, and what is a class by itself is outside of none (`logistic.folds`).
    """
    rows = together(table, settings)
    dealt = logistic.folds(table.labels[rows], table.groups[rows], settings.seed, FOLDS)
    return [(rows[inside], rows[outside]) for inside, outside in dealt]


def head(settings: params.View, table: Manifest, rows: np.ndarray) -> keras.Model:
    """Returns a head trained as `settings.head` says on the images `rows`.

    There is nothing here to stop it by: it is trained for as many epochs as the head of `train_head` was kept after.
    """
    batch_size, features = settings.head.batch_size, views.of_bottleneck(table, settings.head.views)
    model = heads.build(features.shape, len(table.classes), settings.head)

    def epoch(number: int):
        order, drawn = batches.shuffled(rows, settings.seed, number), features.draw(settings.seed, "head views", number)
        inputs = features.batches(order, batch_size, drawn)
        return batches.with_targets(inputs, table, order, batch_size, settings.head.class_weights)

    if settings.head.solver == "logistic":
        some = logistic.enough(table, rows, features.count, settings.seed)
        pooled = features.pooled(model, some, batch_size)
        solution = logistic.of_rows(pooled, table, some, settings.head.class_weights, settings.seed)
        model.set_weights(solution.weights)
    else:
        steps = -(-len(rows) // settings.head.batch_size)
        compiled = loop.compiled(model, settings.head, steps, at_once=steps)
        loop.fit(compiled, epoch, models.head_epochs(), "train the head")
    return joining.copied(model)  # inside of a classifier no optimizer is saved, nor could it be read again


def tuned(
    settings: params.View,
    table: Manifest,
    rows: np.ndarray,
    backbone: keras.Model,
    head: keras.Model,
    epochs: int,
    source: Source,
    work: str,
) -> tuple[keras.Model, keras.Model]:
    """Returns backbone and head, fine-tuned as `settings` say for the first `epochs` on the images `rows`.

    backbone: as it was; it is trained itself. head: is left as it is. work: names the work, whose progress is shown.
    """
    copy = joining.copied(head)
    cut.freeze(backbone, settings.fine_tune.cut, *(one.weights for one in settings.backbone))
    if settings.fine_tune.views == "live":
        model, epoch, _ = assembly.live(settings, table, rows, backbone, copy, source)
    else:
        model, epoch, _ = assembly.cached(settings, table, rows, backbone, copy)
    loop.fit(
        loop.compiled(model, settings.fine_tune, -(-len(rows) // settings.fine_tune.batch_size)), epoch, epochs, work
    )
    return backbone, copy
