"""Train the backbone's last layers together with the head, from where the head ended, and keep the best epoch."""

import numpy as np

from headstart import augment, backbones, batches, checkpoint, errors, features, models, params, sources, training
from headstart.archive import Source, open_source
from headstart.manifest import Manifest, read_manifest
from headstart.runtime import deterministic, keras, tf


def live(settings: params.View, manifest: Manifest, backbone: keras.Model, head: keras.Model, source: Source):
    """The whole network, trained on images that are augmented anew in every epoch: model, batches, validation."""
    size, batch_size = settings.image.size, settings.fine_tune.batch_size

    def images(rows: np.ndarray, class_weights: str, epoch: int | None) -> tf.data.Dataset:
        transforms = None
        if epoch is not None:
            rng = np.random.default_rng([settings.seed, epoch])
            views = rng.integers(2**31, size=len(manifest.paths))
            drawn = [augment.transform(settings.augment, size, manifest.sha256[row], int(views[row])) for row in rows]
            transforms = np.stack(drawn)[:, None]
        inputs = batches.of_images(source, [manifest.paths[row] for row in rows], size, batch_size, transforms)
        return training.with_targets(inputs, manifest, rows, batch_size, class_weights)

    train = training.rows(manifest, settings.train_images, settings.seed)
    return (
        models.join(backbone, head, settings.backbone.name, settings.backbone.scaling),
        lambda epoch: images(training.shuffled(train, settings.seed, epoch), settings.fine_tune.class_weights, epoch),
        images(manifest.rows("validation"), "none", None),
    )


def cached(settings: params.View, manifest: Manifest, backbone: keras.Model, head: keras.Model):
    """The tail after the cut, trained on the fixed views that `extract` wrote: model, batches, validation."""
    batch_size = settings.fine_tune.batch_size
    train = training.rows(manifest, settings.train_images, settings.seed)
    plain, views = features.read_cut(), features.read_views() if settings.fine_tune.views > 1 else None
    # The views are of all training images, whether they are trained on or not.
    position = {row: number for number, row in enumerate(manifest.rows("train"))}

    def activations(rows: np.ndarray, class_weights: str, epoch: int | None) -> tf.data.Dataset:
        drawn = np.zeros(len(manifest.paths), int)
        if epoch is not None:
            drawn = np.random.default_rng([settings.seed, epoch, 1]).integers(settings.fine_tune.views, size=len(drawn))

        def take(wanted: np.ndarray) -> np.ndarray:
            return np.stack([views[position[row], drawn[row] - 1] if drawn[row] else plain[row] for row in wanted])

        inputs = training.feature_batches(take, plain.shape[1:], rows, batch_size)
        return training.with_targets(inputs, manifest, rows, batch_size, class_weights)

    _, tail = backbones.cut_in_two(backbone, settings.fine_tune.cut)
    inputs = keras.Input(tail.input.shape[1:])
    return (
        keras.Model(inputs, head(tail(inputs))),
        lambda epoch: activations(
            training.shuffled(train, settings.seed, epoch), settings.fine_tune.class_weights, epoch
        ),
        activations(manifest.rows("validation"), "none", None),
    )


def main() -> None:
    settings = params.load_stage("fine_tune")
    manifest = read_manifest()
    deterministic(settings.seed)
    backbone = backbones.build(settings.backbone.name, settings.image.size, sources.weights_file())
    head = models.load_head()
    backbones.freeze(backbone, settings.fine_tune.cut, settings.backbone.weights)
    with open_source(settings.dataset.path) as source:
        if settings.fine_tune.views == "live":
            model, epochs, validation = live(settings, manifest, backbone, head, source)
        else:
            model, epochs, validation = cached(settings, manifest, backbone, head)
        images = len(training.rows(manifest, settings.train_images, settings.seed))
        steps = -(-images // settings.fine_tune.batch_size)
        training.compiled(model, settings.fine_tune, steps)
        kept = training.train(model, epochs, validation, settings.fine_tune, "fine_tune", training.by_accuracy)
    print(f"fine_tune: kept epoch {kept}" + (", the head as it was" if kept == 0 else ""))
    # Of the trained network only answers are wanted, and folded it gives them in two thirds of the time.
    classifier = models.join(backbones.folded(backbone), head, settings.backbone.name, settings.backbone.scaling)
    # Rows of an image are its axis 1, columns its axis 2.
    flips = {1: settings.augment.flip_vertical, 2: settings.augment.flip_horizontal}
    axes = [axis for axis, allowed in flips.items() if allowed and settings.fine_tune.average_flips]
    models.save(models.averaged(classifier, axes), models.CLASSIFIER, manifest.classes)
    checkpoint.finish("fine_tune")


if __name__ == "__main__":
    errors.run(main)
