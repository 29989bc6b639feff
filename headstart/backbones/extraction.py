"""What `extract` computes: the networks on images as they are, and on their views, block by block."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from headstart.backbones import cut, engines, registry, several
from headstart.backbones.blocks import Block
from headstart.backbones.folding import folded
from headstart.base import params, places, threads
from headstart.base.runtime import deterministic, keras
from headstart.images import augment, batches
from headstart.images.archive import Source
from headstart.images.batches import Batch
from headstart.images.decoding import Square

PLAIN, OF_VIEWS = ("bottleneck/plain", "cut/plain"), ("cut/views", "bottleneck/views")
Arrays = dict[str, tuple[int, np.ndarray]]  # by their names the first row and the rows, as `features.Writer` takes them


class Extraction:
    """The frozen network, ready to compute blocks.

    settings: those of the stage. weights: a file for each backbone; None: random ones. `views`: how many other views
    each training image has. `widths`: as `several.widths` returns them.
    """

    def __init__(self, settings: params.View, weights: Sequence[Path | None]):
        deterministic(registry.RANDOM_SEED)
        backbone = several.build(settings.backbone, settings.image.size, weights)
        self._settings, self._model, self.widths = settings, network(settings, backbone), several.widths(backbone)
        self.views = 0 if settings.fine_tune.views == "live" else settings.fine_tune.views - 1
        self._of_views = network_of_views(self._model, settings.head) if self.views else None

    def shapes(self, images: int, train: int) -> dict[str, tuple[int, ...]]:
        """Of the arrays for so many images, so many of which are trained on, by the names of the arrays."""
        shapes = {name: (images, *of.shape[1:]) for name, of in zip(PLAIN, self._model.outputs, strict=False)}
        outputs = self._of_views.outputs if self.views else []
        of_views = {name: (train, self.views, *of.shape[1:]) for name, of in zip(OF_VIEWS, outputs, strict=False)}
        return shapes | of_views

    def prepare(self) -> None:
        """Make the graphs ready, which takes seconds. Raises UserError for an engine that is not installed."""
        engine, precision = self._settings.extract.engine, self._settings.extract.precision
        self._forward = engines.forward(self._model, engine, precision)
        self._forward_views = engines.forward(self._of_views, engine, precision) if self.views else None

    def blocks(
        self, source: Source, wanted: Sequence[int], block: Callable[[int], Block], advance: Callable[[int], None]
    ) -> Iterator[tuple[int, Arrays]]:
        """Yield the number of each block that is wanted, and its arrays, in that order.

        block: makes one of its number. advance: takes how many images and views have just been done. `prepare` comes
        before it.
        """
        outputs: dict[str, list[np.ndarray]] = {}
        left = 0
        for of, batch, given in threads.in_order(self._compute, self._jobs(source, wanted, block), engines.AT_A_TIME):
            if not left:
                outputs, left = {name: [] for name in (*PLAIN, *OF_VIEWS)}, of.count
            for name, output in zip(PLAIN if batch.transforms is None else OF_VIEWS, given, strict=False):
                outputs[name].append(output)
            left -= len(batch.images)
            advance(len(batch.images))
            if not left:
                first = dict.fromkeys(PLAIN, of.row) | dict.fromkeys(OF_VIEWS, of.view)
                yield of.number, {name: (first[name], np.concatenate(rows)) for name, rows in outputs.items() if rows}

    def _jobs(
        self, source: Source, wanted: Sequence[int], block: Callable[[int], Block]
    ) -> Iterator[tuple[Block, Batch]]:
        batch_size, square = self._settings.extract.batch_size, Square.of(self._settings.image)
        # One data set for all blocks: images of the next one are decoded while one ends.
        paths = [path for number in wanted for path in block(number).paths]
        images = iter(batches.of_images(source, paths, square, batch_size))
        transform = partial(augment.transform, self._settings.augment, square.size)
        kept: dict[int, np.ndarray] = {}
        for number in wanted:
            of = block(number)
            own = (next(images).numpy() for _ in range(0, len(of.paths), batch_size))
            read = partial(batches.pixels, source, square=square)
            for batch in batches.with_views(own, of.row, of.views, batch_size, transform, kept, read):
                yield of, batch

    def _compute(self, job: tuple[Block, Batch]) -> tuple[Block, Batch, list[np.ndarray]]:
        of, batch = job
        if batch.transforms is None:
            return of, batch, self._forward(batch.images)
        return of, batch, self._forward_views(augment.warp(batch.images, batch.transforms).numpy())


def network(settings: params.View, backbone: keras.Model) -> keras.Model:
    """uint8 images (n, size, size, 3) to the bottleneck features and, with fixed views, the activations at the cut.

    backbone: as `several.build` returns it.
    """
    places.refuse_pooling(backbone.output.shape[1:], settings.head.pooling, settings.backbone[0].name)
    inputs = keras.Input(backbone.input.shape[1:], dtype="uint8")
    scaled = several.scaling(settings.backbone, backbone)(inputs)
    live = settings.fine_tune.views == "live"
    if live and not cut.divides(backbone, settings.fine_tune.cut):
        return keras.Model(inputs, [folded(backbone)(scaled)])
    # Each part for itself: a convolution at the cut must not take over the normalisation that the tail begins with.
    # Without fixed views too, so that the bottleneck features, and with them the head, do not depend on the views.
    frozen, tail = map(folded, cut.cut_in_two(backbone, settings.fine_tune.cut))
    activations = frozen(scaled)
    return keras.Model(inputs, [tail(activations)] if live else [tail(activations), activations])


def network_of_views(model: keras.Model, head: params.View) -> keras.Model:
    """The part of `network` that views go through: to the activations and, with `head.views`, the bottleneck features.

    Of these a head that averages them is given the average alone, (n, 1, 1, c) or (n, 1, d), a fiftieth of them or so;
    one that takes the class token that one, (n, 1, d).
    """
    bottleneck, activations = model.outputs
    if not head.views:
        return keras.Model(model.input, [activations])
    if head.pooling == "average":
        bottleneck = places.averaged(bottleneck, keepdims=True)
    elif head.pooling == "token":
        bottleneck = places.class_token(bottleneck)
    return keras.Model(model.input, [activations, bottleneck])
