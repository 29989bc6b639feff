"""Run every image through the frozen backbone once: bottleneck features, and activations at the cut."""

from headstart.base import watch

watch.start(__name__, lower="extract.batch_size or image.size")  # before what takes seconds to import

from functools import partial

import numpy as np

from headstart.artifacts import features, manifest, value_range
from headstart.backbones import engines, extraction, registry
from headstart.base import checkpoint, errors, params, progress, threads
from headstart.base.runtime import deterministic, keras
from headstart.images import augment, batches, ranges
from headstart.images.archive import open_source
from headstart.images.batches import Batch

PLAIN, OF_VIEWS = ("bottleneck/plain", "cut/plain"), ("cut/views", "bottleneck/views")
BLOCK = 8  # batches of images between two marks of how far the work is


def shapes(names: tuple[str, ...], model: keras.Model, *count: int) -> dict[str, tuple[int, ...]]:
    """Of the arrays for what `model` gives: for so many images, or for so many images and views of each."""
    return {name: (*count, *output.shape[1:]) for name, output in zip(names, model.outputs, strict=False)}


def main() -> None:
    settings, table = params.load_stage("extract"), manifest.read()
    deterministic(registry.RANDOM_SEED)
    model, train, total = extraction.network(settings), table.trained_on(), len(table.paths)
    size, batch_size = settings.image.size, settings.extract.batch_size
    extra = 0 if settings.fine_tune.views == "live" else settings.fine_tune.views - 1
    model_of_views = extraction.network_of_views(model, settings.head) if extra else None
    arrays = shapes(PLAIN, model, total) | (shapes(OF_VIEWS, model_of_views, len(train), extra) if extra else {})
    writer = features.Writer(checkpoint.folder("extract"), arrays, table)

    views = {
        row: [augment.transform(settings.augment, size, table.sha256[row], view + 1) for view in range(extra)]
        for row in (train[writer.views // extra :] if extra else [])
    }
    engine = partial(engines.forward, engine=settings.extract.engine, precision=settings.extract.precision)
    forward = engine(model)
    forward_views = engine(model_of_views) if extra else None

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
        pixels = ((row, batches.pixels(source, table.paths[row], size)) for row in again)
        left = [(image, view) for row, image in pixels for view in views[row]][writer.views % max(extra, 1) :]
        rows = range(writer.images, total)
        images = (batch.numpy() for batch in batches.of_images(source, table.paths[rows.start :], size, batch_size))
        jobs = batches.with_views(images, views, batch_size, rows, BLOCK, left)
        for batch, outputs in threads.in_order(compute, jobs, workers=engines.AT_A_TIME):
            for name, output in zip(PLAIN if batch.transforms is None else OF_VIEWS, outputs, strict=False):
                writer.write(name, output)
            advance(len(batch.images))
            if batch.done:
                writer.mark()
    writer.publish()
    checkpoint.finish("extract")


if __name__ == "__main__":
    errors.run(main)
