"""Vision transformers of KerasHub, layer by layer, in layers of Keras's own.

KerasHub keeps the blocks of a transformer inside one layer, where no cut can reach them, and some of its layers cannot
be saved. Here each becomes a plain graph whose weights are copied: block k ends with the layer `block_k`, and what is
saved needs Keras alone. Dropout and stochastic depth, which belong to another training, are left out.

Token networks give (n, 1 + patches, d): the class token, then the patches, row by row. Register and distillation
tokens are dropped at the end; SigLIP's attention-pooled output takes the place of the class token, which it lacks.
"""

import math
from typing import NamedTuple

import numpy as np

from headstart.base.runtime import keras

layers, ops = keras.layers, keras.ops
Tensor = keras.KerasTensor


class NoSquare(ValueError):
    """A network is of images or patches that are no squares; the message says which."""


class Copies:
    """Layers of a graph in the making, and the weights that they are given once it is whole."""

    def __init__(self):
        self._weights = []

    def of(self, layer: keras.layers.Layer, name: str, **changes) -> keras.layers.Layer:
        """Returns a layer like one of KerasHub's, under another name; `changes`: of its configuration."""
        return self.with_weights(
            type(layer).from_config(layer.get_config() | {"name": name} | changes), layer.get_weights()
        )

    def with_weights(self, layer: keras.layers.Layer, weights: list[np.ndarray]) -> keras.layers.Layer:
        self._weights.append((layer, weights))
        return layer

    def network(self, images: Tensor, features: Tensor, name: str) -> keras.Model:
        """Returns the network, its weights set."""
        network = keras.Model(images, features, name=name)
        for layer, weights in self._weights:
            layer.set_weights(weights)
        return network


class Stem(NamedTuple):
    """What makes tokens of an image: a convolution over its patches (kernel (p, p, 3, d), bias (d,)), tokens (k, d)
    that go before the patches, and what is added at each place, (g, g, d); None: nothing. smooth: whether places of a
    coarser grid are averaged.
    """

    kernel: np.ndarray
    bias: np.ndarray
    tokens: np.ndarray
    places: np.ndarray | None
    smooth: bool = False


def vit(backbone: keras.Model, size: int) -> keras.Model:
    """Returns ViT's network; a map (n, g, g, d) where it has no class token."""
    stem, encoder, copies = backbone.layers[1], backbone.layers[2], Copies()
    added = np.asarray(stem.position_embedding.embeddings)
    count = 1 if stem.use_class_token else 0
    tokens = np.asarray(stem.class_token)[0] + added[:1] if count else added[:0]
    images, x = _stem(copies, size, Stem(*_kernel(stem.patch_embedding), tokens, _square(added[count:])))
    for number, block in enumerate(encoder.encoder_layers, 1):
        x = _block(copies, x, number, block.layer_norm_1, block.mha, block.layer_norm_2, _dense(block.mlp))
    x = copies.of(encoder.layer_norm, "norm")(x)
    grid = size // stem.patch_size[0]
    return copies.network(images, x if count else layers.Reshape((grid, grid, -1), name="map")(x), "vit")


def deit(backbone: keras.Model, size: int) -> keras.Model:
    """Returns DeiT's network."""
    stem, encoder, copies = backbone.layers[1], backbone.layers[2], Copies()
    added = np.asarray(stem.position_embedding)[0]
    tokens = np.concatenate([np.asarray(stem.class_token)[0], np.asarray(stem.distillation_token)[0]]) + added[:2]
    images, x = _stem(copies, size, Stem(*_kernel(stem.patch_embedding), tokens, _square(added[2:])))
    for number, block in enumerate(encoder.encoder_layers, 1):
        dense = [block.mlp.dense, block.output_layer.dense]
        x = _block(copies, x, number, block.layer_norm_1, block.mha, block.layer_norm_2, dense)
    return copies.network(images, _without(copies.of(encoder.layer_norm, "norm")(x), 1), "deit")


def dinov2(backbone: keras.Model, size: int) -> keras.Model:
    """Returns DINOv2's network, with registers or without."""
    stem, copies = backbone.embeddings, Copies()
    added = np.asarray(stem.interpolated_position_embeddings)[0]
    tokens = [np.asarray(stem.cls_token)[0] + added[:1], *_registers(stem)]
    places, smooth = _square(added[1:]), stem.antialias_in_interpolation
    kernel = _kernel(stem.patch_embeddings.projection)
    images, x = _stem(copies, size, Stem(*kernel, np.concatenate(tokens), places, smooth))
    for number, block in enumerate(backbone.encoder.layers, 1):
        gated = backbone.use_swiglu_ffn
        dense = [block.mlp.weights_in, block.mlp.weights_out] if gated else [block.mlp.fc1, block.mlp.fc2]
        scales = [np.asarray(scale.lambda1) for scale in (block.layer_scale1, block.layer_scale2)]
        x = _block(copies, x, number, block.norm1, block.attention.attention, block.norm2, dense, scales)
    x = copies.of(backbone.layernorm, "norm")(x)
    return copies.network(images, _without(x, backbone.num_register_tokens), "dinov2")


def dinov3(backbone: keras.Model, size: int) -> keras.Model:
    """Returns DINOv3's network, whose places turn what attention compares rather than being added."""
    stem, copies = backbone.embeddings, Copies()
    tokens = np.concatenate([np.asarray(stem.cls_token)[0], *_registers(stem)])
    images, x = _stem(copies, size, Stem(*_kernel(stem.patch_embeddings.projection), tokens, None))
    turn = Turn(
        len(tokens), size // backbone.patch_size, backbone.hidden_dim // backbone.num_heads, backbone.rope_theta
    )
    for number, block in enumerate(backbone.encoder.layers, 1):
        gated, mlp = backbone.use_gated_mlp, block.mlp
        dense = [mlp.gate_proj, mlp.up_proj, mlp.down_proj] if gated else [mlp.up_proj, mlp.down_proj]
        scales = [np.asarray(scale.lambda1) for scale in (block.layer_scale1, block.layer_scale2)]
        x = _block(copies, x, number, block.norm1, block.attention, block.norm2, dense, scales, turn)
    x = copies.of(backbone.layernorm, "norm")(x)
    return copies.network(images, _without(x, backbone.num_register_tokens), "dinov3")


def siglip(backbone: keras.Model, size: int) -> keras.Model:
    """Returns the network of SigLIP's image tower. backbone: the whole of SigLIP, or its image tower alone."""
    tower, copies = getattr(backbone, "vision_encoder", backbone), Copies()
    stem, width = tower.embedding, tower.hidden_dim
    added = np.asarray(stem.position_embedding.embeddings)
    images, x = _stem(copies, size, Stem(*_kernel(stem.patch_embedding), added[:0], _square(added)))
    for number, block in enumerate(tower.encoder_layers, 1):
        dense = [block.mlp.fc1, block.mlp.fc2]
        x = _block(copies, x, number, block.layer_norm1, block.self_attn, block.layer_norm2, dense)
    x = copies.of(tower.post_layer_norm, "norm")(x)
    # The question that the pooling asks of all patches is a weight: nothing, plus a bias.
    nothing = layers.Rescaling(0.0, name="nothing")(layers.Cropping1D((0, x.shape[1] - 1), name="first")(x))
    probe = layers.EinsumDense("btd,d->btd", (1, width), bias_axes="d", name="probe")
    weights = [np.ones(width, "float32"), np.asarray(tower.head.probe).reshape(width)]
    probe = copies.with_weights(probe, weights)(nothing)
    attended = copies.of(tower.head.attention, "pooling_attention", dropout=0.0)(probe, x, x)
    y = copies.of(tower.head.layer_norm, "pooling_norm")(attended)
    y = _mlp(copies, y, "pooling", [tower.head.mlp.fc1, tower.head.mlp.fc2])
    pooled = layers.Add(name="pooled")([attended, y])
    return copies.network(images, layers.Concatenate(axis=1, name="features")([pooled, x]), "siglip")


def _kernel(convolution: keras.layers.Conv2D) -> tuple[np.ndarray, np.ndarray]:
    kernel, *bias = convolution.get_weights()
    if kernel.shape[0] != kernel.shape[1]:
        raise NoSquare(f"patches of {kernel.shape[0]}x{kernel.shape[1]} pixels")
    return kernel, bias[0] if bias else np.zeros(kernel.shape[-1], "float32")


def _registers(stem: keras.layers.Layer) -> list[np.ndarray]:
    return [np.asarray(stem.register_tokens)[0]] if stem.num_register_tokens else []


def _square(places: np.ndarray) -> np.ndarray:
    side = math.isqrt(len(places))
    if side**2 != len(places):
        raise NoSquare(f"{len(places)} places, which are no square")
    return places.reshape(side, side, -1)


def _stem(copies: Copies, size: int, stem: Stem) -> tuple[Tensor, Tensor]:
    """The input, and the tokens: one matrix for all patches, with a bias of its own for each token.

    Places of another grid are interpolated, as Hugging Face's networks do it.
    """
    patch, width, count = len(stem.kernel), stem.kernel.shape[-1], len(stem.tokens)
    grid = size // patch
    places = np.zeros((grid, grid, width), "float32") if stem.places is None else stem.places
    if len(places) != grid:
        weights = _interpolation(len(places), grid, stem.smooth)
        places = np.einsum("ai,bj,ijd->abd", weights, weights, places).astype("float32")
    images = keras.Input((size, size, 3), name="images")
    x = layers.Reshape((grid, patch, grid, patch * 3), name="rows")(images)
    x = layers.Reshape((grid * grid, patch * patch * 3), name="patches")(
        layers.Permute((1, 3, 2, 4), name="squares")(x)
    )
    if count:
        x = layers.ZeroPadding1D((count, 0), name="tokens")(x)
    embedding = layers.EinsumDense("bpc,cd->bpd", (x.shape[1], width), bias_axes="pd", name="embedding")
    bias = np.concatenate([stem.tokens, places.reshape(-1, width) + stem.bias])
    return images, copies.with_weights(embedding, [stem.kernel.reshape(-1, width), bias])(x)


def _interpolation(before: int, after: int, smooth: bool) -> np.ndarray:
    """How much each of `before` places counts in each of `after`: (after, before), cubic convolution as PyTorch has it.

    smooth: where places become fewer, each is an average over those that it stands for. (Keys, IEEE Transactions on
    Acoustics, Speech, and Signal Processing 29, 1981: a is -0.5 there; without averaging, PyTorch takes -0.75.)
    """
    a, wide = (-0.5, max(before / after, 1.0)) if smooth else (-0.75, 1.0)
    centres = (np.arange(after) + 0.5) * before / after - 0.5
    reach = math.ceil(2 * wide)
    near = np.floor(centres).astype(int)[:, None] + np.arange(-reach, reach + 1)
    distances = np.abs(near - centres[:, None]) / wide
    inner = ((a + 2) * distances - (a + 3)) * distances**2 + 1
    outer = a * (((distances - 5) * distances + 8) * distances - 4)
    counts = np.where(distances < 1, inner, np.where(distances < 2, outer, 0))
    if smooth:  # nothing beyond the edge; otherwise the edge goes on
        counts = np.where((near >= 0) & (near < before), counts, 0)
    weights = np.zeros((after, before))
    np.add.at(weights, (np.arange(after)[:, None], near.clip(0, before - 1)), counts)
    return weights / weights.sum(axis=1, keepdims=True)


def _block(copies, x, number, norm1, attention, norm2, dense, scales=(), turn=None) -> Tensor:
    """One block: attention and perceptron, each on normalised tokens, each added to what was there."""
    name = f"block_{number}"
    y = copies.of(norm1, f"{name}_norm1")(x)
    if turn is None:
        y = copies.of(attention, f"{name}_attention", dropout=0.0)(y, y)
    else:
        y = _turned_attention(copies, y, name, attention, turn)
    x = layers.Add(name=f"{name}_attended")([x, _scaled(copies, y, f"{name}_scale1", scales[:1])])
    y = _mlp(copies, copies.of(norm2, f"{name}_norm2")(x), name, dense)
    return layers.Add(name=name)([x, _scaled(copies, y, f"{name}_scale2", scales[1:])])


def _scaled(copies: Copies, x: Tensor, name: str, scale) -> Tensor:
    if not len(scale):
        return x
    # Each channel by a number of its own. An EinsumDense does so too, but TensorFlow Lite makes a product of it that it
    # refuses.
    layer = layers.DepthwiseConv1D(1, use_bias=False, name=name)
    return copies.with_weights(layer, [np.reshape(of, (1, -1, 1)) for of in scale])(x)


def _dense(mlp: keras.layers.Layer) -> list[keras.layers.Layer]:
    return [mlp.dense_1, mlp.dense_2]


def _mlp(copies: Copies, x: Tensor, name: str, dense: list[keras.layers.Dense]) -> Tensor:
    """The perceptron of a block: of two layers; gated, where it has three, or where the first is as wide as two."""
    first, *up, last = dense
    # SigLIP's activation is a function of KerasHub's, which a file would name.
    approximate = getattr(first.activation, "__name__", "") == "gelu_approximate"
    y = copies.of(first, f"{name}_dense1", **({"activation": "linear"} if approximate else {}))(x)
    if approximate:
        y = ops.gelu(y, approximate=True)
    if up:
        y = layers.Multiply(name=f"{name}_gated")([y, copies.of(up[0], f"{name}_up")(x)])
    elif first.units == 2 * last.kernel.shape[0]:
        half = first.units // 2
        gate = layers.Activation("silu", name=f"{name}_gate")(y[..., :half])
        y = layers.Multiply(name=f"{name}_gated")([gate, y[..., half:]])
    return copies.of(last, f"{name}_dense2")(y)


class Turn(NamedTuple):
    """Rotary places: what comes before `tokens` stays; a patch of the `grid` is turned by angles of its row and column
    (DINOv3: Siméoni et al., arXiv:2508.10104, 2025). width: of a head; theta: the base of the periods.
    """

    tokens: int
    grid: int
    width: int
    theta: float

    def of(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Cosine and sine for the patches among (n, t, heads, width), each (1, patches, 1, width).

        They are computed in the graph, where a file would hold them as long lists of numbers.
        """
        number = ops.cumsum(ops.ones_like(x[:1, self.tokens :, :1, :1]), axis=1) - 1
        row = ops.floor((number + 0.5) / self.grid)
        periods = self.theta ** np.arange(0, 1, 4 / self.width, dtype="float32").reshape(1, 1, 1, -1)
        rates = (2 * math.pi / periods).astype("float32")
        angles = [(2 * (place + 0.5) / self.grid - 1) * rates for place in (row, number - row * self.grid)]
        angles = ops.concatenate(angles * 2, axis=-1)
        return ops.cos(angles), ops.sin(angles)

    def turned(self, x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        patches, half = x[:, self.tokens :], self.width // 2
        other = ops.concatenate([-patches[..., half:], patches[..., :half]], axis=-1)
        return ops.concatenate([x[:, : self.tokens], patches * cosine + other * sine], axis=1)


def _turned_attention(copies: Copies, x: Tensor, name: str, attention: keras.layers.Layer, turn: Turn) -> Tensor:
    heads = attention.num_heads
    query, key = (
        split_heads(copies.of(layer, f"{name}_{what}")(x), heads, f"{name}_{what}_heads")
        for layer, what in ((attention.query_dense, "query"), (attention.key_dense, "key"))
    )
    value = split_heads(copies.of(attention.value_dense, f"{name}_value")(x), heads, f"{name}_value_heads")
    cosine, sine = turn.of(query)
    query, key = (turn.turned(part, cosine, sine) for part in (query, key))
    return copies.of(attention.output_dense, f"{name}_output")(attended(query, key, value, f"{name}_attention"))


def split_heads(x: Tensor, heads: int, name: str) -> Tensor:
    """(n, t, d) as (n, t, heads, d / heads)."""
    return layers.Reshape((x.shape[1], heads, x.shape[2] // heads), name=name)(x)


def attended(query: Tensor, key: Tensor, value: Tensor, name: str) -> Tensor:
    """What each query (n, t, heads, w) finds among keys and values (n, s, heads, w): (n, t, heads * w)."""
    found = ops.dot_product_attention(query, key, value)
    return layers.Reshape((query.shape[1], query.shape[2] * query.shape[3]), name=name)(found)


def _without(x: Tensor, count: int) -> Tensor:
    """The tokens without the `count` that follow the class token."""
    if not count:
        return x
    first = layers.Cropping1D((0, x.shape[1] - 1), name="class_token")(x)
    patches = layers.Cropping1D((1 + count, 0), name="patch_tokens")(x)
    return layers.Concatenate(axis=1, name="features")([first, patches])
