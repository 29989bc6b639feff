"""KerasHub's transformers that give a map, block by block: MiT and Swin.

As in `unrolled`: block k ends with the layer `block_k`, counted through all stages; dropout and stochastic depth are
left out. MiT becomes layers of Keras's own. Swin's blocks stay those of KerasHub, which a file of theirs then needs.
"""

from headstart.backbones.unrolled import Copies, Tensor, attended, layers, split_heads
from headstart.base.runtime import keras


def mit(backbone: keras.Model, size: int) -> keras.Model:
    """Returns the network of MiT, the encoder of SegFormer: scaled float32 (n, s, s, 3) to (n, s / 32, s / 32, c)."""
    copies, number = Copies(), 0
    images = x = keras.Input((size, size, 3), name="images")
    norms = [layer for layer in backbone.layers if isinstance(layer, layers.LayerNormalization)]
    for level, (depth, norm) in enumerate(zip(backbone.layerwise_depths, norms, strict=True)):
        stem, name = backbone.get_layer(f"patch_and_embed_{level}"), f"level_{level + 1}"
        x = layers.ZeroPadding2D(stem.patch_size // 2, name=f"{name}_padding")(x)
        x = copies.of(stem.proj, f"{name}_embedding")(x)
        side = x.shape[1]
        x = copies.of(stem.norm, f"{name}_norm1")(layers.Reshape((side * side, -1), name=f"{name}_tokens")(x))
        for index in range(depth):
            number += 1
            x = _mit_block(copies, x, f"block_{number}", backbone.get_layer(f"hierarchical_encoder_{level}_{index}"))
        x = layers.Reshape((side, side, -1), name=name)(copies.of(norm, f"{name}_norm2")(x))
    return copies.network(images, x, "mit")


def _mit_block(copies: Copies, x: Tensor, name: str, block: keras.layers.Layer) -> Tensor:
    attention, mlp, side = block.attn, block.mlp, int(x.shape[1] ** 0.5)
    y = seen = copies.of(block.norm1, f"{name}_norm1")(x)
    if attention.sr_ratio > 1:  # keys and values of fewer places
        seen = layers.Reshape((side, side, x.shape[2]), name=f"{name}_places")(seen)
        seen = copies.of(attention.sr, f"{name}_reduced")(seen)
        seen = layers.Reshape((-1, x.shape[2]), name=f"{name}_reduced_tokens")(seen)
        seen = copies.of(attention.norm, f"{name}_reduced_norm")(seen)
    query, key, value = (
        split_heads(copies.of(layer, f"{name}_{what}")(of), attention.num_heads, f"{name}_{what}_heads")
        for layer, what, of in ((attention.q, "query", y), (attention.k, "key", seen), (attention.v, "value", seen))
    )
    y = copies.of(attention.proj, f"{name}_output")(attended(query, key, value, f"{name}_attention"))
    x = layers.Add(name=f"{name}_attended")([x, y])
    y = copies.of(mlp.fc1, f"{name}_dense1")(copies.of(block.norm2, f"{name}_norm2")(x))
    width = y.shape[2]
    y = copies.of(mlp.dwconv, f"{name}_mixed")(layers.Reshape((side, side, width), name=f"{name}_map")(y))
    y = layers.Activation("gelu", name=f"{name}_gelu")(layers.Reshape((side * side, width), name=f"{name}_unmapped")(y))
    return layers.Add(name=name)([x, copies.of(mlp.fc2, f"{name}_dense2")(y)])


def swin(backbone: keras.Model, size: int) -> keras.Model:
    """Returns Swin's network: scaled float32 (n, s, s, 3) to a map (n, s / 32, s / 32, c), for patches of 4 pixels."""
    copies, number, side = Copies(), 0, size // backbone.patch_size
    stem = backbone.patch_embedding
    images = keras.Input((size, size, 3), name="images")
    x = layers.Reshape((side * side, -1), name="patches")(copies.of(stem.proj, "embedding")(images))
    if stem.norm is not None:
        x = copies.of(stem.norm, "embedding_norm")(x)
    for level, stage in enumerate(backbone.stages, 1):
        for block in stage.blocks:
            number += 1
            x = copies.of(block, f"block_{number}")(x)
        if stage.downsample is not None:
            x, side = _merged(copies, x, f"merging_{level}", stage.downsample, side), side // 2
    return copies.network(
        images, layers.Reshape((side, side, -1), name="map")(copies.of(backbone.norm, "norm")(x)), "swin"
    )


def _merged(copies: Copies, x: Tensor, name: str, merging: keras.layers.Layer, side: int) -> Tensor:
    """Four neighbouring places as one: of each column the upper and the lower one."""
    half, width = side // 2, x.shape[2]
    x = layers.Reshape((half, 2, half, 2, width), name=f"{name}_squares")(x)
    x = layers.Permute((1, 3, 4, 2, 5), name=f"{name}_columns")(x)
    x = copies.of(merging.norm, f"{name}_norm")(layers.Reshape((half * half, 4 * width), name=f"{name}_tokens")(x))
    return copies.of(merging.reduction, name)(x)
