"""`python -m benchmarks.networks`: parameters and multiply-adds of every backbone, for `python -m headstart.backbones`.

Each is built, without its top, for images of the size that its weights were published for, and its layers are counted:
the weights of all, and the multiply-adds of convolutions and dense layers, of one image. What is in the file already is
not counted again, unless it is named: `python -m benchmarks.networks MobileNetV2`; `all` counts anew.
"""

import math

from headstart.backbones import registry
from headstart.base import errors
from headstart.base.arguments import Parser
from headstart.base.errors import UserError
from headstart.base.progress import track
from headstart.base.runtime import keras
from headstart.discovery import networks
from headstart.discovery.networks import Measured

layers = keras.layers


def measure(name: str) -> Measured:
    """Return what a network of the registry takes for an image of its own size. Raises UserError for an unknown one."""
    size = _size(name)
    network = registry.build(name, size, None)
    return Measured(size, network.count_params(), sum(multiply_adds(layer) for layer in _leaves(network)))


def multiply_adds(layer: keras.Layer) -> int:
    """Return the multiplications of an image with the weights of a layer, each with an addition.

    Those of normalisations and of what has no weights are left out: a few in a hundred, which are folded or fused.
    Raises ValueError for a layer with a matrix of weights that is of none of the kinds that are counted.
    """
    if isinstance(layer, layers.SeparableConv2D):
        pixels, channels = math.prod(layer.output.shape[1:3]), layer.input.shape[-1]
        return pixels * channels * layer.depth_multiplier * (math.prod(layer.kernel_size) + layer.filters)
    if isinstance(layer, layers.DepthwiseConv2D):
        return math.prod(layer.output.shape[1:]) * math.prod(layer.kernel_size)
    if isinstance(layer, layers.Conv2D):
        inputs = layer.input.shape[-1] // layer.groups
        return math.prod(layer.output.shape[1:]) * math.prod(layer.kernel_size) * inputs
    if isinstance(layer, layers.Dense):
        return math.prod(layer.output.shape[1:]) * layer.input.shape[-1]
    is_plain = isinstance(layer, layers.Normalization)
    if not is_plain and any(len(weights.shape) > 1 for weights in layer.weights):
        raise ValueError(f"{layer.name} is a {type(layer).__name__}, whose multiply-adds nobody has counted")
    return 0


def _leaves(layer: keras.Layer) -> list[keras.Layer]:
    """The layers that a network is made of, those of networks inside of it too."""
    inner = getattr(layer, "layers", None)
    return [layer] if inner is None else [leaf for part in inner for leaf in _leaves(part)]


def _size(name: str) -> int:
    """The side of the images that the published weights are of: what the whole network takes by default."""
    if name in networks.PUBLISHED and networks.PUBLISHED[name].size:
        return networks.PUBLISHED[name].size
    whole = getattr(keras.applications, name)(weights=None) if hasattr(keras.applications, name) else None
    # MobileNetV3 takes any size: its weights are of 224 pixels, by the names of their files.
    return (whole and whole.input.shape[1]) or 224


def main() -> None:
    parser = Parser(
        prog="python -m benchmarks.networks", description="Count parameters and multiply-adds of the backbones."
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="to count anew, or `all`; default: what is missing")
    given, known = parser.parse_args().names, networks.measured()
    names = registry.names()
    if unknown := [name for name in given if name not in (*names, "all")]:
        raise UserError(f"got {unknown[0]}; takes all, or names of {', '.join(names)}")
    wanted = [name for name in names if "all" in given or name in given or name not in known]
    for name in track(wanted, "count", unit="network"):
        known[name] = measure(name)
        networks.write({name: known[name] for name in names if name in known})
        keras.backend.clear_session()


if __name__ == "__main__":
    errors.run(main)
