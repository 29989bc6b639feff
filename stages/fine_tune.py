"""Train the backbone's last layers together with the head, from where the head ended, and keep the best epoch."""

from functools import partial

import numpy as np

from headstart.artifacts import features, manifest, models, results
from headstart.artifacts.manifest import Manifest
from headstart.backbones import cut, registry, weights
from headstart.backbones.folding import folded
from headstart.base import checkpoint, errors, params
from headstart.base.runtime import deterministic, keras, tf
from headstart.base.streams import rng
from headstart.classifier import file, joining
from headstart.images.archive import Source, open_source
from headstart.images.augment import transform
from headstart.images.batches import of_images
from headstart.training import batches, loop


def live(settings: params.View, table: Manifest, backbone: keras.Model, head: keras.Model, source: Source):
    """The whole network, trained on images that are augmented anew in every epoch: model, batches, validation."""
    size, batch_size, augment = settings.image.size, settings.fine_tune.batch_size, settings.augment
    train = batches.rows(table, settings.train_images, settings.seed)
    scale = partial(registry.scale, name=settings.backbone.name, mode=settings.backbone.scaling)

    def of(rows: np.ndarray, class_weights: str = "none", transforms: np.ndarray | None = None) -> tf.data.Dataset:
        inputs = of_images(source, [table.paths[row] for row in rows], size, batch_size, transforms)
        return batches.with_targets(inputs, table, rows, batch_size, class_weights)

    def epoch(number: int) -> tf.data.Dataset:
        rows = batches.shuffled(train, settings.seed, number)
        views = rng(settings.seed, "live views", number).integers(2**31, size=len(table.paths))
        transforms = np.stack([transform(augment, size, table.sha256[row], int(views[row])) for row in rows])
        return of(rows, settings.fine_tune.class_weights, transforms)

    return joining.join(backbone, head, scale), epoch, of(table.rows("validation"))


def cached(settings: params.View, table: Manifest, backbone: keras.Model, head: keras.Model):
    """The tail after the cut, trained on the fixed views that `extract` wrote: model, batches, validation."""
    batch_size, count = settings.fine_tune.batch_size, settings.fine_tune.views
    train = batches.rows(table, settings.train_images, settings.seed)
    plain, views = features.read_cut(), features.read_views() if count > 1 else None
    # The views are of all training images, whether they are trained on or not.
    position = {row: number for number, row in enumerate(table.rows("train"))}

    def of(rows: np.ndarray, class_weights: str, drawn: np.ndarray) -> tf.data.Dataset:
        def take(wanted: np.ndarray) -> np.ndarray:
            return np.stack([views[position[row], drawn[row] - 1] if drawn[row] else plain[row] for row in wanted])

        inputs = batches.of_features(take, plain.shape[1:], rows, batch_size)
        return batches.with_targets(inputs, table, rows, batch_size, class_weights)

    def epoch(number: int) -> tf.data.Dataset:
        drawn = rng(settings.seed, "views", number).integers(count, size=len(table.paths))
        return of(batches.shuffled(train, settings.seed, number), settings.fine_tune.class_weights, drawn)

    _, tail = cut.cut_in_two(backbone, settings.fine_tune.cut)
    inputs = keras.Input(tail.input.shape[1:])
    validation = of(table.rows("validation"), "none", np.zeros(len(table.paths), int))
    return keras.Model(inputs, head(tail(inputs))), epoch, validation


def main() -> None:
    settings, table = params.load_stage("fine_tune"), manifest.read()
    deterministic(settings.seed)
    name, size, scaling = settings.backbone.name, settings.image.size, settings.backbone.scaling
    backbone, head = registry.build(name, size, weights.fetched()), models.load_head()
    cut.freeze(backbone, settings.fine_tune.cut, settings.backbone.weights)
    with open_source(settings.dataset.path) as source:
        if settings.fine_tune.views == "live":
            model, epoch, validation = live(settings, table, backbone, head, source)
        else:
            model, epoch, validation = cached(settings, table, backbone, head)
        images = len(batches.rows(table, settings.train_images, settings.seed))
        loop.compiled(model, settings.fine_tune, steps=-(-images // settings.fine_tune.batch_size))
        kept = loop.train(model, epoch, validation, settings.fine_tune, "fine_tune", loop.by_accuracy)
    print(f"fine_tune: kept epoch {kept}" + (", the head as it was" if kept == 0 else ""))
    # Of the trained network only answers are wanted, and folded it gives them in two thirds of the time.
    classifier = joining.join(folded(backbone), head, partial(registry.scale, name=name, mode=scaling))
    # Rows of an image are its axis 1, columns its axis 2.
    flips = {1: settings.augment.flip_vertical, 2: settings.augment.flip_horizontal}
    axes = [axis for axis, allowed in flips.items() if allowed and settings.fine_tune.average_flips]
    file.save(joining.averaged(classifier, axes), results.CLASSIFIER, table.classes)
    checkpoint.finish("fine_tune")


if __name__ == "__main__":
    errors.run(main)
