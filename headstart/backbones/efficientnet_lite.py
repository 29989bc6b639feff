"""EfficientNet-Lite0, 1 and 2, which keras.applications does not include.

EfficientNet (Tan and Le, 2019, arXiv:1905.11946) without squeeze-and-excitation and with ReLU6 in place of swish; in
every size, stem and last convolution are as wide as in the smallest, and the first and the last stage have one block
(EfficientNet-Lite's release notes, TensorFlow, 2020).
"""

from collections.abc import Callable

import numpy as np

from headstart.base.runtime import keras

layers = keras.layers

# Of each stage: kernel size, expansion, stride of its first block.
STAGES = ((3, 1, 1), (3, 6, 2), (5, 6, 2), (3, 6, 2), (5, 6, 1), (5, 6, 2), (3, 6, 1))
# Of each network and stage: blocks and output channels.
BLOCKS = {
    "EfficientNetLite0": ((1, 16), (2, 24), (2, 40), (3, 80), (3, 112), (4, 192), (1, 320)),
    "EfficientNetLite1": ((1, 16), (3, 24), (3, 40), (4, 80), (4, 112), (5, 192), (1, 320)),
    "EfficientNetLite2": ((1, 16), (3, 24), (3, 48), (4, 88), (4, 120), (5, 208), (1, 352)),
}
MINIMUM_SIZE = 32
INITIALIZER = "he_normal"  # of random weights; with Keras's default one the features vanish


def builder(name: str) -> Callable[[tuple[int, int, int]], keras.Model]:
    """Returns what builds the network `name` of `BLOCKS` without its top.

    It takes `input_shape`, (h, w, 3), each side at least `MINIMUM_SIZE` pixels; the network maps float32
    (n, h, w, 3) to float32 (n, ceil(h / 32), ceil(w / 32), 1280). The weights are random; `assign` sets published ones.
    The layers that end the blocks are `block0`, `block1`, …, to `block15` in the smallest, to `block20` in the others.
    """

    def build(input_shape: tuple[int, int, int]) -> keras.Model:
        inputs = keras.Input(input_shape)
        x = _convolution(inputs, 32, 3, 2, "stem")
        number = 0
        for (kernel, expansion, stride), (blocks, channels) in zip(STAGES, BLOCKS[name], strict=True):
            for block in range(blocks):
                x = _block(x, kernel, channels, expansion, stride if block == 0 else 1, f"block{number}")
                number += 1
        return keras.Model(inputs, _convolution(x, 1280, 1, 1, "top"), name=name.lower())

    return build


def preprocess_input(x: np.ndarray) -> np.ndarray:
    """Returns pixels from 0 to 255 in the range that the published weights expect, -127/128 to 1."""
    return (x - 127.0) / 128.0


def assign(model: keras.Model, tensors: dict[str, np.ndarray]) -> None:
    """Set the weights of an EfficientNet-Lite from a PyTorch state dict of `efficientnet_lite_pytorch`.

    tensors: float32 by name, convolutions as (out, in, h, w); those the network has no use for are ignored.

    Raises KeyError for a missing tensor and ValueError for one of another shape.
    """
    for layer in model.layers:
        if layer.weights:
            source = _torch_name(layer.name)
            if isinstance(layer, layers.BatchNormalization):
                names = ("weight", "bias", "running_mean", "running_var")
                layer.set_weights([tensors[f"{source}.{name}"] for name in names])
            else:
                # From (out, in, h, w) to (h, w, in, out); depthwise from (channels, 1, h, w) to (h, w, channels, 1).
                order = (2, 3, 0, 1) if isinstance(layer, layers.DepthwiseConv2D) else (2, 3, 1, 0)
                layer.set_weights([tensors[f"{source}.weight"].transpose(order)])


def _torch_name(name: str) -> str:
    part, _, kind = name.rpartition("_")
    if part == "stem":
        return {"conv": "_conv_stem", "bn": "_bn0"}[kind]
    if part == "top":
        return {"conv": "_conv_head", "bn": "_bn1"}[kind]
    block, _, step = part.partition("_")
    place = {
        "expand": ("_expand_conv", "_bn0"),
        "depthwise": ("_depthwise_conv", "_bn1"),
        "project": ("_project_conv", "_bn2"),
    }
    return f"_blocks.{block.removeprefix('block')}.{place[step][kind == 'bn']}"


def _block(x, kernel: int, channels: int, expansion: int, stride: int, name: str):
    inputs = x
    if expansion > 1:
        x = _convolution(x, inputs.shape[-1] * expansion, 1, 1, f"{name}_expand")
    x = layers.DepthwiseConv2D(
        kernel, stride, padding="same", use_bias=False, depthwise_initializer=INITIALIZER, name=f"{name}_depthwise_conv"
    )(x)
    x = layers.ReLU(6.0, name=f"{name}_depthwise_relu")(_normalization(x, f"{name}_depthwise"))
    x = layers.Conv2D(channels, 1, use_bias=False, kernel_initializer=INITIALIZER, name=f"{name}_project_conv")(x)
    if stride == 1 and inputs.shape[-1] == channels:
        return layers.Add(name=name)([inputs, _normalization(x, f"{name}_project")])
    return layers.Activation("linear", name=name)(_normalization(x, f"{name}_project"))


def _convolution(x, channels: int, kernel: int, stride: int, name: str):
    x = layers.Conv2D(
        channels, kernel, stride, padding="same", use_bias=False, kernel_initializer=INITIALIZER, name=f"{name}_conv"
    )(x)
    return layers.ReLU(6.0, name=f"{name}_relu")(_normalization(x, name))


def _normalization(x, name: str):
    return layers.BatchNormalization(epsilon=1e-3, momentum=0.99, name=f"{name}_bn")(x)
