"""Tiny networks of KerasHub with random weights, as the folders that `save_to_preset` writes; shared by tests."""

import json
from pathlib import Path

import numpy as np

BLOCKS = {"num_layers": 3, "num_heads": 2, "hidden_dim": 16}
TOWER = BLOCKS | {"patch_size": 8, "intermediate_dim": 32, "image_shape": (32, 32, 3)}
SIDE = {"image_shape": (32, 32, 3)}
# By family: KerasHub's class, its arguments, where it is cut, and whether its features are tokens.
TINY = {
    "cspnet": (
        "CSPNetBackbone",
        SIDE
        | {"stem_filters": 8, "stem_kernel_size": 3, "stem_strides": 1, "stackwise_depth": [1, 1, 1]}
        | {"stackwise_strides": [2, 2, 2], "stackwise_num_filters": [8, 16, 16], "block_type": "dark_block"}
        | {"bottle_ratio": [1.0], "stage_type": "dark", "stem_padding": "same"},
        "stage_1_block_0_dark_block_add",
    ),
    "deit": ("DeiTBackbone", TOWER, "block_2"),
    "densenet": (
        "DenseNetBackbone",
        SIDE | {"stackwise_num_repeats": [1, 1, 1], "growth_rate": 8},
        "stack2_block1_concat",
    ),
    "dinov2": ("DINOV2Backbone", TOWER | {"num_register_tokens": 2, "position_embedding_shape": (32, 32)}, "block_2"),
    "dinov3": ("DINOV3Backbone", TOWER, "block_2"),
    "mit": (
        "MiTBackbone",
        SIDE
        | {"layerwise_depths": [1, 1], "num_layers": 2, "layerwise_num_heads": [1, 2], "hidden_dims": [8, 16]}
        | {"layerwise_sr_ratios": [2, 1], "max_drop_path_rate": 0.1, "layerwise_patch_sizes": [7, 3]}
        | {"layerwise_strides": [4, 2]},
        "block_1",
    ),
    "resnet": (
        "ResNetBackbone",
        SIDE
        | {"input_conv_filters": [64], "input_conv_kernel_sizes": [3], "block_type": "basic_block"}
        | {"stackwise_num_filters": [64, 64], "stackwise_num_blocks": [1, 1], "stackwise_num_strides": [1, 2]},
        "stack0_block0_add",
    ),
    "siglip": ("SigLIPVisionEncoder", TOWER, "block_2"),
    "swin": (
        "SwinTransformerBackbone",
        SIDE | {"embed_dim": 8, "depths": [2, 2], "num_heads": [2, 2], "window_size": 4, "drop_path": 0.1},
        "block_3",
    ),
    "vgg": ("VGGBackbone", SIDE | {"stackwise_num_repeats": [1, 1], "stackwise_num_filters": [8, 16]}, "block1_pool"),
    "vit": ("ViTBackbone", BLOCKS | SIDE | {"patch_size": (8, 8), "mlp_dim": 32, "dropout_rate": 0.1}, "block_2"),
    "xception": (
        "XceptionBackbone",
        SIDE | {"stackwise_conv_filters": [[8, 16], [16, 16]], "stackwise_pooling": [True, False]},
        "block1_pool",
    ),
}
TOKENS = {"deit", "dinov2", "dinov3", "siglip", "vit"}
CUTS = {family: cut for family, (_, _, cut) in TINY.items()}


def backbone(family: str, **arguments):
    """KerasHub's object, its weights drawn: as it draws them itself, many are nothing."""
    import keras_hub

    from headstart.base.runtime import keras

    keras.utils.set_random_seed(4)
    kind, own, _ = TINY[family]
    made = getattr(keras_hub.models, kind)(**own | arguments)
    rng = np.random.default_rng(5)
    for weights in made.weights:
        if "float" in weights.dtype and "variance" not in weights.path and "seed" not in weights.path:
            weights.assign(np.asarray(weights) + rng.normal(0, 0.05, weights.shape))
    return made


def save(family: str, folder: Path, scaling: dict | None = None, **arguments):
    """Save such a preset to `folder`, with what KerasHub's image converter would say of pixels; returns its object."""
    made = backbone(family, **arguments)
    made.save_to_preset(str(folder))
    if scaling is not None:
        described = {"module": "keras_hub.layers", "class_name": "ImageConverter", "config": scaling}
        (folder / "image_converter.json").write_text(json.dumps(described))
    return made
