"""Several backbones as one: the first can be cut and trained, the others stand beside it as they are."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

from headstart.backbones import registry
from headstart.backbones.folding import folded
from headstart.base import params, places
from headstart.base.runtime import keras

layers = keras.layers

NAME = "several"  # of the network
BESIDE = "beside"  # what the names of the others begin with


def build(backbones: Sequence[params.Backbone], size: int, weights: Sequence[Path | None]) -> keras.Model:
    """Returns the network of `backbone`: of one as `registry.build` does, which says what it raises.

    Of several it maps pixels, float32 (n, size, size, 3) from 0 to 255, to the features of the first, with those of the
    others, averaged over the image, repeated at each place: float32 (n, h, w, c1 + c2 + …), or at each token. So the
    average over the places is that of each backbone, whatever the sizes of their maps.

    backbones: the parameter `backbone`. weights: a file for each, as `registry.build` takes them.
    """
    networks = [registry.build(one.name, size, file) for one, file in zip(backbones, weights, strict=True)]
    if len(networks) == 1:
        return networks[0]
    pixels = keras.Input((size, size, 3), name="several_images")
    features = networks[0](registry.scaling(backbones[0], networks[0])(pixels))
    others = zip(backbones[1:], networks[1:], strict=True)
    beside = [_pooled(one, network, f"{BESIDE}_{number}") for number, (one, network) in enumerate(others, 2)]
    return keras.Model(pixels, _joined(features, [network(pixels) for network in beside]), name=NAME)


def scaling(
    backbones: Sequence[params.Backbone], network: keras.Model
) -> Callable[[keras.KerasTensor], keras.KerasTensor]:
    """Returns what makes of pixels (n, h, w, 3), RGB from 0 to 255, what the `network` of `build` takes: float32."""
    if len(backbones) == 1:
        return registry.scaling(backbones[0], network)
    return layers.Rescaling(1.0, name="pixels")  # each scales them as it needs them


def first(backbone: keras.Model) -> keras.Model:
    """Returns, of the network of `build`, the backbone that can be cut and trained: of one it is that itself."""
    if backbone.name != NAME:
        return backbone
    return next(layer for layer in backbone.layers if isinstance(layer, keras.Model) and not _is_beside(layer))


def freeze_others(backbone: keras.Model) -> None:
    """Make all backbones but the first untrainable."""
    for layer in backbone.layers if backbone.name == NAME else []:
        if _is_beside(layer):
            layer.trainable = False


def around(backbone: keras.Model, frozen: keras.Model, tail: keras.Model) -> tuple[keras.Model, keras.Model]:
    """Returns the two parts of the network of `build`, where `frozen` and `tail` are those of its first backbone.

    Between them lies one row an image, float32 (n, k): the activations of the first one, then what the others say.
    """
    if backbone.name != NAME:
        return frozen, tail
    beside = [layer for layer in backbone.layers if _is_beside(layer)]
    activations = layers.Flatten()(frozen(backbone.get_layer("scaling")(backbone.input)))
    rows = layers.Concatenate()([activations, *(network(backbone.input) for network in beside)])
    inputs, count = keras.Input(rows.shape[1:]), activations.shape[1]
    features = tail(layers.Reshape(frozen.output.shape[1:])(inputs[:, :count]))
    before = keras.Model(backbone.input, rows, name=frozen.name)
    return before, keras.Model(inputs, _joined(features, [inputs[:, count:]]), name=tail.name)


def _is_beside(layer: keras.layers.Layer) -> bool:
    return layer.name.startswith(f"{BESIDE}_")


def _pooled(backbone: params.Backbone, network: keras.Model, name: str) -> keras.Model:
    """Pixels to the features of a network averaged over the image, of tokens after the class token: float32 (n, c)."""
    pixels = keras.Input(network.input.shape[1:])
    features = folded(network)(registry.scaling(backbone, network)(pixels))
    return keras.Model(pixels, places.pooled(features, "both"), name=name)


def _joined(features: keras.KerasTensor, beside: Sequence[keras.KerasTensor]) -> keras.KerasTensor:
    """The features (n, h, w, c) or (n, t, d), at each place followed by what the others say, (n, k) each."""
    places, all_of = features.shape[1:-1], [features]
    for number, of in enumerate(beside, 2):
        repeated = layers.RepeatVector(math.prod(places), name=f"repeated_{number}")(of)
        all_of.append(layers.Reshape((*places, of.shape[-1]), name=f"placed_{number}")(repeated))
    return layers.Concatenate(name="joined")(all_of)
