"""What a backbone is: a pretrained network without its top, the scaling of pixels that it wants, and its weights."""

import difflib
import sys
from pathlib import Path

import h5py
import numpy as np

from headstart import efficientnet_lite
from headstart.efficientnet_lite import EfficientNetLite0
from headstart.errors import UserError
from headstart.runtime import keras
from headstart.torch_pickle import load_tensors

# Where no weights are given, every stage must draw the same ones.
RANDOM_SEED = 0


def names() -> list[str]:
    """The backbones there are: those of keras.applications, and EfficientNetLite0."""
    published = [name for name in dir(keras.applications) if callable(getattr(keras.applications, name))]
    return sorted([*published, "EfficientNetLite0"])


def build(name: str, size: int, weights: Path | None) -> keras.Model:
    """The backbone for images of `size` x `size` pixels: scaled float32 (n, size, size, 3) to (n, h, w, channels).

    weights: an .h5 file as keras.applications publishes it (without the top), for EfficientNetLite0 a PyTorch state
        dict (.pth); None draws random weights, the same each time.

    Raises UserError for an unknown name, a size below the network's minimum, and weights that do not fit.
    """
    keras.utils.set_random_seed(RANDOM_SEED)
    function = _function(name)
    options = {} if name == "EfficientNetLite0" else {"include_top": False, "weights": None}
    if name == "EfficientNetLite0" and size < efficientnet_lite.MINIMUM_SIZE:
        raise UserError(f"image.size: got {size}; {name} takes at least {efficientnet_lite.MINIMUM_SIZE}")
    try:
        backbone = function(input_shape=(size, size, 3), **options)
    except ValueError as error:
        raise UserError(f"image.size: got {size}; {name} says: {error}") from None
    if len(backbone.output.shape) != 4 or 0 in backbone.output.shape[1:]:
        raise UserError(f"image.size: got {size}; {name} leaves nothing of so small an image: take a larger size")
    if weights is not None:
        _load(backbone, name, weights)
    return backbone


def scale(pixels: keras.KerasTensor, name: str, mode: str) -> keras.KerasTensor:
    """Pixels (n, h, w, 3) from 0 to 255, in RGB, as backbone `name` wants them: float32, of the same shape.

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


def freeze(backbone: keras.Model, cut: str | int, weights: str) -> None:
    """Make the layers up to `fine_tune.cut` untrainable, and all batch normalisation where it was pretrained.

    Untrainable batch normalisation keeps to its statistics in training too. With those of a few hundred images the
    network would no longer be the one that the head was trained on (keras-team/keras issue 9524). Calling a network
    with `training=False` is not enough: in Keras 3 the outermost call's `training` overrules it.

    weights: the parameter `backbone.weights`; `random` has statistics that must still be learnt.
    """
    frozen = frozen_layers(backbone, cut)
    for number, layer in enumerate(backbone.layers):
        pretrained = isinstance(layer, keras.layers.BatchNormalization) and weights != "random"
        layer.trainable = number >= frozen and not pretrained


def frozen_layers(backbone: keras.Model, cut: str | int) -> int:
    """How many of the backbone's layers, from its input, stay frozen under `fine_tune.cut`.

    cut: the last frozen layer's name, or the number of frozen layers. Raises UserError for one that is not there.
    """
    names = [layer.name for layer in backbone.layers]
    if isinstance(cut, int):
        if cut > len(names):
            raise UserError(f"fine_tune.cut: got {cut}; {backbone.name} has {len(names)} layers")
        return cut
    if cut not in names:
        paths = single_paths(backbone)
        near = difflib.get_close_matches(cut, paths, n=3, cutoff=0.4) or paths[-3:]
        raise UserError(f"fine_tune.cut: got {cut}, not a layer of {backbone.name}; near it: {', '.join(near)}")
    return names.index(cut) + 1


def single_paths(backbone: keras.Model) -> list[str]:
    """The layers whose output is the only path through the backbone, from input to output: where it can be cut.

    The last one is among them: after it the head alone is trained.
    """
    made_by = {id(operation.output): operation.name for operation in backbone.operations}
    last_use = {}
    for position, operation in enumerate(backbone.operations):
        for tensor in keras.tree.flatten(operation.input):
            last_use[made_by[id(tensor)]] = position
    # The order is topological, so at a single path nothing that was made before is used after it.
    reach, paths = 0, []
    for position, operation in enumerate(backbone.operations):
        if reach <= position and isinstance(operation, keras.layers.Layer):
            paths.append(operation.name)
        reach = max(reach, last_use.get(operation.name, position))
    return paths[1:]


def cut_in_two(backbone: keras.Model, cut: str | int) -> tuple[keras.Model, keras.Model]:
    """The frozen part, from the backbone's input to `cut`, and the tail, from there to its output.

    Both share the backbone's layers: what trains the tail trains the backbone. Raises UserError where the output of
    `cut` is not the only path through the network, naming the nearest layers where it is.
    """
    position = frozen_layers(backbone, cut) - 1
    names = [layer.name for layer in backbone.layers]
    paths = single_paths(backbone)
    if position < 0 or names[position] not in paths:
        near = sorted(paths, key=lambda name: abs(names.index(name) - position))[:4]
        raise UserError(
            f"fine_tune.cut: got {cut}, but fixed views need a layer whose output is the only path through "
            f"{backbone.name}; near it: {', '.join(sorted(near, key=names.index))} (or set fine_tune.views to live)"
        )
    output = backbone.layers[position].output
    frozen = keras.Model(backbone.input, output, name="frozen")
    # Keras makes no network without a layer.
    end = keras.layers.Identity()(output) if position == len(names) - 1 else backbone.output
    return frozen, keras.Model(output, end, name="tail")


def folded(network: keras.Model) -> keras.Model:
    """A copy in which convolutions take over the pretrained batch normalisation that follows them.

    It computes the same, up to the rounding of float32, with fewer passes over memory. Every layer after the input
    keeps its name and its place; a normalisation that was taken over becomes an identity. It is for inference: in
    training, an optimizer whose steps are all of one size, as Adam's are, would move the small ones among the scaled
    kernels too far.
    """
    layers = keras.layers
    made_by = {id(layer.output): layer for layer in network.layers}
    inputs = [id(tensor) for layer in network.operations for tensor in keras.tree.flatten(layer.input)]
    folds = {}
    for layer in network.layers:
        before = made_by.get(id(layer.input)) if isinstance(layer, layers.BatchNormalization) else None
        linear = (
            isinstance(before, layers.Conv2D | layers.DepthwiseConv2D) and before.activation is keras.activations.linear
        )
        if linear and inputs.count(id(before.output)) == 1:
            folds[before.name] = layer
    gone = {normalization.name for normalization in folds.values()}

    def clone(layer: keras.layers.Layer) -> keras.layers.Layer:
        if layer.name in gone:
            return layers.Identity(name=layer.name)
        config = layer.get_config()
        return type(layer).from_config(config | {"use_bias": True} if layer.name in folds else config)

    def call(layer, *args, **kwargs):
        return layer(args[0]) if layer.name in gone else layer(*args, **kwargs)

    copy = keras.models.clone_model(network, clone_function=clone, call_function=call)
    for layer in network.layers:
        if layer.weights and layer.name not in gone:
            weights = layer.get_weights()
            if layer.name in folds:
                scale, shift = _affine(folds[layer.name])
                kernel, bias = weights[0], weights[1] if layer.use_bias else 0.0
                depthwise = isinstance(layer, layers.DepthwiseConv2D)
                weights = [kernel * (scale[:, None] if depthwise else scale), bias * scale + shift]
            copy.get_layer(layer.name).set_weights(weights)
    return copy


def _affine(normalization: keras.layers.BatchNormalization) -> tuple[np.ndarray, np.ndarray]:
    scale = 1 / np.sqrt(normalization.moving_variance.numpy() + normalization.epsilon)
    scale = scale * normalization.gamma.numpy() if normalization.scale else scale
    shift = -normalization.moving_mean.numpy() * scale
    return scale, shift + normalization.beta.numpy() if normalization.center else shift


def _function(name: str):
    if name == "EfficientNetLite0":
        return EfficientNetLite0
    if name not in names():
        near = difflib.get_close_matches(name, names(), n=1, cutoff=0.4)
        hint = f"did you mean {near[0]}? " if near else ""
        raise UserError(f"backbone.name: got {name}; {hint}There are: {', '.join(names())}")
    return getattr(keras.applications, name)


def _load(backbone: keras.Model, name: str, weights: Path) -> None:
    takes = ".pth" if name == "EfficientNetLite0" else ".h5"
    if weights.suffix != takes:
        raise UserError(f"backbone.weights: got {weights.name}; {name} takes a {takes} file")
    try:
        if name == "EfficientNetLite0":
            efficientnet_lite.assign(backbone, load_tensors(weights))
        else:
            with h5py.File(weights) as file:
                if "layers" in file and "layer_names" not in file.attrs:
                    raise ValueError("it is a .weights.h5 of Keras 3; takes an .h5 as keras.applications publishes it")
            backbone.load_weights(weights)
    except (ValueError, KeyError, OSError) as error:
        raise UserError(f"backbone.weights: {weights} does not fit {name}: {error}") from None
