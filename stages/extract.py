"""Run every image through the frozen backbone once: bottleneck features, and activations at the cut."""

from functools import partial

import numpy as np

from headstart.artifacts import features, manifest, value_range
from headstart.backbones import cut, engines, registry, weights
from headstart.backbones.folding import folded
from headstart.base import checkpoint, errors, params, progress, threads
from headstart.base.runtime import deterministic, keras
from headstart.images import augment, batches, decoding, ranges
from headstart.images.archive import open_source
from headstart.images.batches import Batch

BLOCK = 8  # batches of images between two marks of how far the work is


def network(settings: params.View) -> keras.Model:
    """uint8 images (n, size, size, 3) to the bottleneck features and, with fixed views, the activations at the cut."""
    backbone = registry.build(settings.backbone.name, settings.image.size, weights.fetched())
    inputs = keras.Input(backbone.input.shape[1:], dtype="uint8")
    scaled = registry.scale(inputs, settings.backbone.name, settings.backbone.scaling)
    live = settings.fine_tune.views == "live"
    if live and not cut.divides(backbone, settings.fine_tune.cut):
        return keras.Model(inputs, [folded(backbone)(scaled)])
    # Each part for itself: a convolution at the cut must not take over the normalisation that the tail begins with.
    # Without fixed views too, so that the bottleneck features, and with them the head, do not depend on the views.
    frozen, tail = map(folded, cut.cut_in_two(backbone, settings.fine_tune.cut))
    activations = frozen(scaled)
    return keras.Model(inputs, [tail(activations)] if live else [tail(activations), activations])


def shapes(model: keras.Model, plain: list[str], total: int, train: int, extra: int) -> dict[str, tuple[int, ...]]:
    """What is written: each output for all `total` images, and the last for `extra` views of the `train` images."""
    arrays = {name: (total, *output.shape[1:]) for name, output in zip(plain, model.outputs, strict=True)}
    return arrays | ({"cut/views": (train, extra, *model.outputs[-1].shape[1:])} if extra else {})


def main() -> None:
    settings, table = params.load_stage("extract"), manifest.read()
    deterministic(registry.RANDOM_SEED)
    model, train, total = network(settings), table.trained_on(), len(table.paths)
    size, batch_size = settings.image.size, settings.extract.batch_size
    plain = ["bottleneck", "cut/plain"][: len(model.outputs)]
    extra = settings.fine_tune.views - 1 if len(plain) > 1 else 0
    writer = features.Writer(checkpoint.folder("extract"), shapes(model, plain, total, len(train), extra))

    views = {
        row: [augment.transform(settings.augment, size, table.sha256[row], view + 1) for view in range(extra)]
        for row in (train[writer.views // extra :] if extra else [])
    }
    engine = partial(engines.forward, engine=settings.extract.engine, precision=settings.extract.precision)
    forward = engine(model)
    forward_views = engine(keras.Model(model.input, [model.outputs[1]])) if extra else None

    def compute(batch: Batch) -> tuple[Batch, list[np.ndarray]]:
        if batch.transforms is None:
            return batch, forward(batch.images)
        return batch, forward_views(augment.warp(batch.images, batch.transforms).numpy())

    with (
        open_source(settings.dataset.path, ranges.of_fields(value_range.read())) as source,
        progress.counter("extract", total - writer.images + extra * len(train) - writer.views, "image") as advance,
    ):
        # Views that an earlier run had not come to, of images that it had: the first of them may be done in part.
        again = (row for row in views if row < writer.images)
        pixels = ((row, decoding.read(source.read(table.paths[row]), size, source.value_range)) for row in again)
        left = [(image, view) for row, image in pixels for view in views[row]][writer.views % max(extra, 1) :]
        rows = range(writer.images, total)
        images = (batch.numpy() for batch in batches.of_images(source, table.paths[rows.start :], size, batch_size))
        jobs = batches.with_views(images, views, batch_size, rows, BLOCK, left)
        for batch, outputs in threads.in_order(compute, jobs, workers=engines.AT_A_TIME):
            for name, output in zip(plain if batch.transforms is None else ["cut/views"], outputs, strict=True):
                writer.write(name, output)
            advance(len(batch.images))
            if batch.done:
                writer.mark()
    writer.publish()
    checkpoint.finish("extract")


if __name__ == "__main__":
    errors.run(main)
