"""The backbones there are: building one without its top, with its weights, and scaling pixels as it expects them."""

import random
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import h5py
import numpy as np

from headstart.backbones import efficientnet_lite, hub
from headstart.backbones.torch_pickle import load_tensors
from headstart.backbones.weights import refuse_bomb
from headstart.base import origin, params
from headstart.base.errors import UserError, text_of
from headstart.base.runtime import keras
from headstart.base.wording import did_you_mean

# Where no weights are given, every stage must draw the same ones.
RANDOM_SEED = 0
# Those that keras.applications does not have. `preprocess_input` in the module of each scales pixels.
OWN = {name: efficientnet_lite.builder(name) for name in efficientnet_lite.BLOCKS}


def names() -> list[str]:
    """Returns the backbones' names, sorted: the networks of keras.applications, and those of `OWN`."""
    published = [name for name in dir(keras.applications) if callable(getattr(keras.applications, name))]
    return sorted([*published, *OWN])


def build(name: str, size: int, weights: Path | None) -> keras.Model:
    """Returns the backbone for images of `size` x `size` pixels.

    It maps scaled float32 (n, size, size, 3) to float32 (n, h, w, channels), or to tokens, (n, 1 + patches, d)
    (`base.places`).

    Whatever the caller draws afterwards goes on from the caller's seed, not from that of the weights.

    weights: an .h5 file as keras.applications publishes it (without the top), for an EfficientNetLite a PyTorch state
        dict (.pth), of KerasHub's `hub:NAME` an archive (`base.bundle`); None draws random ones, the same each time.

    Raises UserError for an unknown name, a size below the network's minimum, and weights that do not fit.
    """
    after = random.getrandbits(32)  # or dropout, made after it, would draw the same whatever the caller's seed
    keras.utils.set_random_seed(RANDOM_SEED)
    network = hub.build(name, size, weights) if origin.is_of_hub(name) else _build(name, size, weights)
    keras.utils.set_random_seed(after)
    network.title = name  # Keras's own name is another one, such as mobilenet_1.00_224
    return network


def _build(name: str, size: int, weights: Path | None) -> keras.Model:
    function = _function(name)
    options = {} if name in OWN else {"include_top": False, "weights": None}
    if name in efficientnet_lite.BLOCKS and size < efficientnet_lite.MINIMUM_SIZE:
        raise UserError(f"image.size: got {size}; {name} takes at least {efficientnet_lite.MINIMUM_SIZE}")
    try:
        backbone = function(input_shape=(size, size, 3), **options)
    except ValueError as error:
        raise UserError(f"image.size: got {size}; {name} says: {text_of(error)}") from None
    if len(backbone.output.shape) != 4 or 0 in backbone.output.shape[1:]:
        raise UserError(f"image.size: got {size}; {name} reduces so small an image to nothing: take a larger size")
    if weights is not None:
        _load(backbone, name, weights)
    return backbone


def scale(pixels: keras.KerasTensor, name: str, mode: str, network: keras.Model | None = None) -> keras.KerasTensor:
    """Returns pixels (n, h, w, 3), RGB from 0 to 255, as backbone `name` expects them: float32, of the same shape.

    mode: `native`, what the network's `preprocess_input` does, or `unit`, division by 255.
    network: what `build` made; KerasHub's networks scale pixels as their weights say.
    """
    if mode == "unit":
        return keras.layers.Rescaling(1 / 255, name="scaling")(pixels)
    if origin.is_of_hub(name):
        return hub.scale(pixels, network)
    module = sys.modules[_function(name).__module__]
    # preprocess_input is an affine map of each channel, of RGB or of BGR: read it off at black and at pure colours.
    black = module.preprocess_input(np.zeros((1, 1, 1, 3), "float32")).reshape(3)
    colours = module.preprocess_input(255 * np.eye(3, dtype="float32").reshape(1, 1, 3, 3)).reshape(3, 3) - black
    if not colours[0, 0]:
        pixels, colours = keras.ops.flip(pixels, axis=-1), colours[::-1]
    factors = colours.diagonal().astype(float) / 255
    return keras.layers.Rescaling(factors.tolist(), black.astype(float).tolist(), name="scaling")(pixels)


def scaling(settings: params.View, network: keras.Model) -> Callable[[keras.KerasTensor], keras.KerasTensor]:
    """Returns `scale` as the parameters `backbone` have it, for a network that `build` made of them."""
    return partial(scale, name=settings.name, mode=settings.scaling, network=network)


def _function(name: str):
    if name in OWN:
        return OWN[name]
    if name not in names():
        raise UserError(
            f"backbone.name: got {name}; {did_you_mean(name, names(), cutoff=0.4)}takes one of {', '.join(names())}"
        )
    return getattr(keras.applications, name)


def _load(backbone: keras.Model, name: str, weights: Path) -> None:
    origin.refuse_ending(str(weights), name)
    try:
        if name in efficientnet_lite.BLOCKS:
            efficientnet_lite.assign(backbone, load_tensors(weights))
        else:
            with h5py.File(weights) as file:
                if "layers" in file and "layer_names" not in file.attrs:
                    raise ValueError("it is a .weights.h5 of Keras 3; takes an .h5 as keras.applications publishes it")
                refuse_bomb(file, 4 * backbone.count_params())
            backbone.load_weights(weights)
    except (UserError, MemoryError):
        raise
    except Exception as error:  # of a damaged file HDF5 and Keras raise errors of many kinds
        record = origin.read(weights.parent)
        source = record.origin if record and record.file == weights.name else weights
        raise UserError(
            f"backbone.weights: {source} does not fit {name}: {text_of(error)}; take weights that were made for it, or "
            "the backbone.name of theirs"
        ) from None
