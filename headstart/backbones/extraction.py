"""The networks that `extract` runs: on images as they are, and on their views."""

from headstart.backbones import cut, registry, weights
from headstart.backbones.folding import folded
from headstart.base import params
from headstart.base.runtime import keras


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


def network_of_views(model: keras.Model, head: params.View) -> keras.Model:
    """The part of `network` that views go through: to the activations and, with `head.views`, the bottleneck features.

    Of these a head that averages them is given the average alone, (n, 1, 1, c): a fiftieth of them or so.
    """
    bottleneck, activations = model.outputs
    if not head.views:
        return keras.Model(model.input, [activations])
    if head.pooling == "average":
        bottleneck = keras.layers.GlobalAveragePooling2D(keepdims=True)(bottleneck)
    return keras.Model(model.input, [activations, bottleneck])
