"""The network against its published size, its published names and a computation by plain NumPy."""

import numpy as np
import pytest

from headstart.backbones import efficientnet_lite
from headstart.base.runtime import keras


@pytest.fixture(scope="module")
def network():
    return efficientnet_lite.builder("EfficientNetLite0")((32, 32, 3))


def published(network):
    """A state dict with the names of the published one and random weights."""
    rng = np.random.default_rng(1)
    tensors = {}

    def convolution(name, *shape):
        tensors[f"{name}.weight"] = rng.normal(size=shape).astype("float32")

    def normalization(name, channels):
        for part in ("weight", "bias", "running_mean", "running_var"):
            tensors[f"{name}.{part}"] = rng.uniform(0.5, 1.5, channels).astype("float32")
        tensors[f"{name}.num_batches_tracked"] = np.array(0)

    convolution("_conv_stem", 32, 3, 3, 3)
    normalization("_bn0", 32)
    before, block = 32, 0
    name = next(name for name in efficientnet_lite.BLOCKS if name.lower() == network.name)
    stages = zip(efficientnet_lite.STAGES, efficientnet_lite.BLOCKS[name], strict=True)
    for (kernel, expansion, _), (blocks, channels) in stages:
        for _ in range(blocks):
            prefix, wide = f"_blocks.{block}", before * expansion
            if expansion > 1:
                convolution(f"{prefix}._expand_conv", wide, before, 1, 1)
                normalization(f"{prefix}._bn0", wide)
            convolution(f"{prefix}._depthwise_conv", wide, 1, kernel, kernel)
            normalization(f"{prefix}._bn1", wide)
            convolution(f"{prefix}._project_conv", channels, wide, 1, 1)
            normalization(f"{prefix}._bn2", channels)
            before, block = channels, block + 1
    convolution("_conv_head", 1280, before, 1, 1)
    normalization("_bn1", 1280)
    return tensors


class Watched(dict):
    """A dictionary that keeps which of its keys were used."""

    def __init__(self, values):
        super().__init__(values)
        self.used = set()

    def __getitem__(self, name):
        self.used.add(name)
        return super().__getitem__(name)


def test_the_network_is_as_large_as_the_published_one(network):
    # 4.65 million parameters less the classifier's 1,281,000, and the moving statistics, which PyTorch does not count.
    assert sum(weight.shape.num_elements() for weight in network.trainable_weights) == 3_371_008
    assert network.output.shape == (None, 1, 1, 1280)
    assert [f"block{number}" for number in range(16)] == [
        layer.name for layer in network.layers if layer.name.removeprefix("block").isdigit()
    ]


# 5.42 and 6.09 million, less the same classifier.
@pytest.mark.parametrize(("name", "count"), [("EfficientNetLite1", 4_135_680), ("EfficientNetLite2", 4_811_072)])
def test_the_larger_ones_are_as_large_as_published_and_take_every_tensor(name, count):
    network = efficientnet_lite.builder(name)((32, 32, 3))
    assert sum(weight.shape.num_elements() for weight in network.trainable_weights) == count
    assert "block20" in {layer.name for layer in network.layers}
    tensors = Watched(published(network))
    efficientnet_lite.assign(network, tensors)
    assert all(name.endswith("num_batches_tracked") for name in set(tensors) - tensors.used)


def test_every_published_tensor_is_used(network):
    tensors = Watched(published(network))
    efficientnet_lite.assign(network, tensors)
    assert set(tensors) - tensors.used == {name for name in tensors if name.endswith("num_batches_tracked")}
    expand = network.get_layer("block1_expand_conv").get_weights()[0]
    np.testing.assert_array_equal(expand[0, 0, 3, 5], tensors["_blocks.1._expand_conv.weight"][5, 3, 0, 0])
    depthwise = network.get_layer("block3_depthwise_conv").get_weights()[0]
    np.testing.assert_array_equal(depthwise[1, 4, 7, 0], tensors["_blocks.3._depthwise_conv.weight"][7, 0, 1, 4])
    gamma, beta, mean, variance = network.get_layer("top_bn").get_weights()
    for value, name in ((gamma, "weight"), (beta, "bias"), (mean, "running_mean"), (variance, "running_var")):
        np.testing.assert_array_equal(value, tensors[f"_bn1.{name}"])


def test_tensors_that_do_not_fit_are_errors(network):
    tensors = published(network)
    with pytest.raises(KeyError, match=r"_blocks\.7\._project_conv"):
        efficientnet_lite.assign(network, {k: v for k, v in tensors.items() if k != "_blocks.7._project_conv.weight"})
    with pytest.raises(ValueError, match="shape"):
        efficientnet_lite.assign(network, tensors | {"_conv_stem.weight": np.zeros((32, 3, 5, 5), "float32")})


def test_preprocessing_is_that_of_the_published_weights():
    np.testing.assert_allclose(efficientnet_lite.preprocess_input(np.array([0.0, 127.0, 255.0])), [-127 / 128, 0, 1])


def convolve(x, kernel, stride, depthwise=False):
    """A convolution with TensorFlow's padding `same`, in which an odd pixel of padding is at the end."""
    size, height = kernel.shape[0], -(-x.shape[0] // stride)
    needed = max((height - 1) * stride + size - x.shape[0], 0)
    x = np.pad(x, [(needed // 2, needed - needed // 2)] * 2 + [(0, 0)])
    out = np.zeros((height, height, kernel.shape[2] if depthwise else kernel.shape[3]))
    for row in range(height):
        for column in range(height):
            window = x[row * stride : row * stride + size, column * stride : column * stride + size]
            product = "ijc,ijc->c" if depthwise else "ijc,ijco->o"
            out[row, column] = np.einsum(product, window, kernel[..., 0] if depthwise else kernel)
    return out


@pytest.mark.parametrize(("block", "stride", "adds"), [(1, 2, False), (2, 1, True), (3, 2, False)])
def test_a_block_computes_what_plain_numpy_computes(network, block, stride, adds):
    rng = np.random.default_rng(block)

    def weights(name):
        layer = network.get_layer(f"block{block}_{name}")
        drawn = [rng.uniform(0.2, 1.0, weight.shape) * (1 if "bn" in name else 0.2) for weight in layer.get_weights()]
        layer.set_weights(drawn)
        return drawn

    def normalize(x, name):
        gamma, beta, mean, variance = weights(name)
        return (x - mean) / np.sqrt(variance + 1e-3) * gamma + beta

    before = network.get_layer(f"block{block - 1}")
    # With an even side and stride 2 the padding is uneven.
    x = rng.normal(size=(6, 6, before.output.shape[-1]))
    y = np.clip(normalize(convolve(x, weights("expand_conv")[0], 1), "expand_bn"), 0, 6)
    y = np.clip(normalize(convolve(y, weights("depthwise_conv")[0], stride, True), "depthwise_bn"), 0, 6)
    y = normalize(convolve(y, weights("project_conv")[0], 1), "project_bn") + (x if adds else 0)

    inputs = keras.Input((6, 6, x.shape[-1]))
    output = inputs
    for layer in network.layers:
        if layer.name.startswith(f"block{block}_"):
            output = layer(output)
    output = network.get_layer(f"block{block}")([inputs, output] if adds else output)
    np.testing.assert_allclose(keras.Model(inputs, output)(x[None])[0], y, rtol=1e-4, atol=1e-4)
