"""Several backbones side by side: each can be cut and trained, or stays as it is."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

from headstart.backbones import registry
from headstart.base import params, places
from headstart.base.runtime import keras

layers = keras.layers

Cut = str | int
Parts = tuple[keras.Model, keras.Model]  # of a network that is cut: what is frozen, and the tail
NAME = places.SEVERAL  # of the network
BESIDE = "beside"  # what the names of the others begin with
JOINED = "joined"  # the layer that puts the features of all side by side


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


def networks(backbone: keras.Model) -> list[keras.Model]:
    """Returns, of the network of `build`, the backbones that can be cut and trained: of one it is that itself."""
    if backbone.name != NAME:
        return [backbone]
    parts = [layer for layer in backbone.layers if isinstance(layer, keras.Model)]
    first = next(part for part in parts if not _is_beside(part))
    return [first, *(_inside(part) for part in parts if _is_beside(part))]


def widths(backbone: keras.Model) -> list[int]:
    """Returns how many of the features of the network of `build` are of each backbone; of one an empty list."""
    if backbone.name != NAME:
        return []
    return [features.shape[-1] for features in backbone.get_layer(JOINED).input]


def cuts(backbone: keras.Model, cut: Cut | list[Cut]) -> list[Cut | None]:
    """Returns `fine_tune.cut` of each of the `networks`; None where it stays as it is. One cut alone is the first's.

    Raises UserError where there are more or fewer cuts than networks.
    """
    count = len(networks(backbone))
    params.check_cut(cut, count)
    return cut if isinstance(cut, list) else [cut, *[None] * (count - 1)]


def around(backbone: keras.Model, parts: Sequence[Parts | None]) -> Parts:
    """Returns the two parts of the network of `build`.

    parts: of each of its `networks`; None: it stays as it is. Between the two lies one row an image, float32 (n, k):
    the activations of those that are cut, and what the others say.
    """
    if backbone.name != NAME:
        return parts[0]
    beside = [layer for layer in backbone.layers if _is_beside(layer)]
    numbered = list(enumerate(zip([backbone, *beside], parts, strict=True), 1))
    rows = [
        (_activations(whole, part[0], number) if part else whole)(backbone.input) for number, (whole, part) in numbered
    ]
    widths = [row.shape[1] for row in rows]
    joined = layers.Concatenate()(rows) if len(rows) > 1 else rows[0]
    inputs, features = keras.Input(joined.shape[1:]), []
    for number, (_, part) in numbered:
        start = sum(widths[: number - 1])
        row = inputs[:, start : start + widths[number - 1]]
        features.append(_after_cut(*part, number)(row) if part else row)
    before = keras.Model(backbone.input, joined, name="frozen")
    return before, keras.Model(inputs, _joined(features[0], features[1:]), name=f"{NAME}_tails")


def _activations(whole: keras.Model, frozen: keras.Model, number: int) -> keras.Model:
    """Pixels to the activations at the cut, one row an image. whole: scales pixels for `frozen` by its first layers."""
    pixels = keras.Input(whole.input.shape[1:])
    scaled = keras.Model(whole.input, whole.get_layer("scaling").output)
    return keras.Model(pixels, layers.Flatten()(frozen(scaled(pixels))), name=f"{frozen.name}_{number}")


def _after_cut(frozen: keras.Model, tail: keras.Model, number: int) -> keras.Model:
    """Such rows to the features of the first backbone, and of another one to their average."""
    row = keras.Input((math.prod(frozen.output.shape[1:]),))
    features = tail(layers.Reshape(frozen.output.shape[1:])(row))
    return keras.Model(row, features if number == 1 else places.pooled(features, "both"), name=f"{tail.name}_{number}")


def _inside(beside: keras.Model) -> keras.Model:
    return next(layer for layer in beside.layers if isinstance(layer, keras.Model))


def _is_beside(layer: keras.layers.Layer) -> bool:
    return layer.name.startswith(f"{BESIDE}_")


def _pooled(backbone: params.Backbone, network: keras.Model, name: str) -> keras.Model:
    """Pixels to the features of a network averaged over the image, of tokens after the class token: float32 (n, c)."""
    pixels = keras.Input(network.input.shape[1:])
    features = network(registry.scaling(backbone, network)(pixels))
    return keras.Model(pixels, places.pooled(features, "both"), name=name)


def _joined(features: keras.KerasTensor, beside: Sequence[keras.KerasTensor]) -> keras.KerasTensor:
    """The features (n, h, w, c) or (n, t, d), at each place followed by what the others say, (n, k) each."""
    places, all_of = features.shape[1:-1], [features]
    for number, of in enumerate(beside, 2):
        repeated = layers.RepeatVector(math.prod(places), name=f"repeated_{number}")(of)
        all_of.append(layers.Reshape((*places, of.shape[-1]), name=f"placed_{number}")(repeated))
    return layers.Concatenate(name=JOINED)(all_of)
