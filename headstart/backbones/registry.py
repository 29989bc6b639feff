"""The backbones there are: building one without its top, with its weights, and scaling pixels as it expects them."""

import sys
from pathlib import Path

import h5py
import numpy as np

from headstart.backbones import efficientnet_lite
from headstart.backbones.torch_pickle import load_tensors
from headstart.base import origin
from headstart.base.errors import UserError
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

    It maps scaled float32 (n, size, size, 3) to float32 (n, h, w, channels).

    weights: an .h5 file as keras.applications publishes it (without the top), for an EfficientNetLite a PyTorch state
        dict (.pth); None draws random weights, the same each time.

    Raises UserError for an unknown name, a size below the network's minimum, and weights that do not fit.
    """
    keras.utils.set_random_seed(RANDOM_SEED)
    function = _function(name)
    options = {} if name in OWN else {"include_top": False, "weights": None}
    if name in efficientnet_lite.BLOCKS and size < efficientnet_lite.MINIMUM_SIZE:
        raise UserError(f"image.size: got {size}; {name} takes at least {efficientnet_lite.MINIMUM_SIZE}")
    try:
        backbone = function(input_shape=(size, size, 3), **options)
    except ValueError as error:
        raise UserError(f"image.size: got {size}; {name} says: {error}") from None
    if len(backbone.output.shape) != 4 or 0 in backbone.output.shape[1:]:
        raise UserError(f"image.size: got {size}; {name} reduces so small an image to nothing: take a larger size")
    if weights is not None:
        _load(backbone, name, weights)
    return backbone


def scale(pixels: keras.KerasTensor, name: str, mode: str) -> keras.KerasTensor:
    """Returns pixels (n, h, w, 3), RGB from 0 to 255, as backbone `name` expects them: float32, of the same shape.

    mode: `native`, what the network's `preprocess_input` does, or `unit`, division by 255.
    """
    if mode == "unit":
        return keras.layers.Rescaling(1 / 255, name="scaling")(pixels)
    module = sys.modules[_function(name).__module__]
    # preprocess_input is an affine map of each channel, of RGB or of BGR: read it off at black and at pure colours.
    black = module.preprocess_input(np.zeros((1, 1, 1, 3), "float32")).reshape(3)
    colours = module.preprocess_input(255 * np.eye(3, dtype="float32").reshape(1, 1, 3, 3)).reshape(3, 3) - black
    if not colours[0, 0]:
        pixels, colours = keras.ops.flip(pixels, axis=-1), colours[::-1]
    factors = colours.diagonal().astype(float) / 255
    return keras.layers.Rescaling(factors.tolist(), black.astype(float).tolist(), name="scaling")(pixels)


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
                _refuse_bomb(file, 4 * backbone.count_params())
            backbone.load_weights(weights)
    except (ValueError, KeyError, OSError) as error:
        raise UserError(f"backbone.weights: {weights} does not fit {name}: {error}") from None


def _refuse_bomb(file: h5py.File, count: int) -> None:
    """Raise ValueError where a file holds far more than the `count` bytes of the network: by its sizes, unread.

    Compressed zeros, and data that lies in other files, take hardly any room in it.
    """
    sizes = []

    def elsewhere(name: str, item: h5py.Dataset | h5py.Group | h5py.ExternalLink) -> str | None:
        if isinstance(item, h5py.Dataset):
            sizes.append(item.nbytes)
            return name if item.is_virtual or item.external else None
        return name if isinstance(item, h5py.ExternalLink) else None

    # A walk ends with the first name that is returned.
    if name := file.visititems(elsewhere) or file.visititems_links(elsewhere):
        raise ValueError(f"{name} lies in another file")
    # With its top, a network has up to several times as many.
    if sum(sizes) > max(8 * count, 2**28):
        raise ValueError(f"it unpacks to {sum(sizes):,} bytes, and the network has {count:,}")
