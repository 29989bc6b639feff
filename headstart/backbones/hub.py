"""The image networks of KerasHub, by `backbone.name: hub:NAME`.

KerasHub is optional (requirements-kerashub.txt), and imported only where such a name is given. NAME is one of
`FAMILIES`, or one of KerasHub's presets (`dinov2_small`), which says which family is meant. What a network looks like
comes with its weights; without any, it is a small one of its family, for trying things out.

A network is a plain graph of Keras, from scaled float32 (n, size, size, 3) to a map (n, h, w, c), or to tokens
(n, 1 + patches, d), the class token first.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from headstart.backbones import hierarchical, presets, unrolled
from headstart.backbones.presets import Scaling
from headstart.base.errors import UserError, text_of
from headstart.base.origin import HUB, INSTALL_HUB
from headstart.base.runtime import keras
from headstart.base.wording import did_you_mean

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's pixels, divided by 255
IMAGENET = Scaling(
    tuple(1 / (255 * deviation) for deviation in DEVIATION),
    tuple(-mean / deviation for mean, deviation in zip(MEAN, DEVIATION, strict=True)),
)
CENTRED = Scaling((1 / 127.5,) * 3, (-1.0,) * 3)  # from -1 to 1


class Family(NamedTuple):
    """Networks that are alike.

    kinds: KerasHub's classes of them, the first of which is built without weights, from the arguments `small`.
    network: makes a plain graph of such an object; None: it is one. scaling: of pixels, where the weights do not say.
    sized: whether it is built for the size of the images; others keep their own, and places are interpolated.
    """

    kinds: tuple[str, ...]
    small: dict[str, Any]
    network: Callable[[keras.Model, int], keras.Model] | None = None
    scaling: Scaling = IMAGENET
    sized: bool = False


_BLOCKS = {"num_layers": 4, "num_heads": 4, "hidden_dim": 64}
_STAGES = {"stackwise_num_filters": [64, 64, 128, 256], "stackwise_num_blocks": [1, 1, 1, 1]}
FAMILIES = {
    "deit": Family(("DeiTBackbone",), _BLOCKS | {"patch_size": 16, "intermediate_dim": 256}, unrolled.deit),
    "cspnet": Family(
        ("CSPNetBackbone",),
        {
            "stem_filters": 16,
            "stem_kernel_size": 3,
            "stem_strides": 2,
            "stackwise_depth": [1, 1, 1, 1],
            "stackwise_strides": [2, 2, 2, 2],
            "stackwise_num_filters": [32, 64, 128, 256],
            "bottle_ratio": [1.0],
            "block_type": "dark_block",
            "stage_type": "dark",
            "stem_padding": "same",
        },
        sized=True,
    ),
    "densenet": Family(("DenseNetBackbone",), {"stackwise_num_repeats": [1, 2, 2, 1], "growth_rate": 16}, sized=True),
    "dinov2": Family(("DINOV2Backbone",), _BLOCKS | {"patch_size": 14, "intermediate_dim": 256}, unrolled.dinov2),
    "dinov3": Family(("DINOV3Backbone",), _BLOCKS | {"patch_size": 16, "intermediate_dim": 256}, unrolled.dinov3),
    "mit": Family(
        ("MiTBackbone",),
        {
            "layerwise_depths": [1, 1, 1, 1],
            "num_layers": 4,
            "layerwise_num_heads": [1, 2, 4, 4],
            "layerwise_sr_ratios": [8, 4, 2, 1],
            "max_drop_path_rate": 0.0,
            "layerwise_patch_sizes": [7, 3, 3, 3],
            "layerwise_strides": [4, 2, 2, 2],
            "hidden_dims": [16, 32, 64, 128],
        },
        hierarchical.mit,
        sized=True,
    ),
    "resnet": Family(
        ("ResNetBackbone",),
        _STAGES
        | {
            "input_conv_filters": [64],
            "input_conv_kernel_sizes": [7],
            "stackwise_num_strides": [1, 2, 2, 2],
            "block_type": "basic_block",
        },
        sized=True,
    ),
    "siglip": Family(
        ("SigLIPVisionEncoder", "SigLIPBackbone"),
        _BLOCKS | {"patch_size": 16, "intermediate_dim": 256},
        unrolled.siglip,
        CENTRED,
    ),
    "swin": Family(
        ("SwinTransformerBackbone",),
        {"embed_dim": 16, "depths": [2, 2, 2, 2], "num_heads": [1, 2, 4, 4], "window_size": 7, "drop_path": 0.0},
        hierarchical.swin,
        sized=True,
    ),
    "vgg": Family(
        ("VGGBackbone",),
        {"stackwise_num_repeats": [1, 1, 1, 1, 1], "stackwise_num_filters": [16, 32, 64, 128, 128]},
        sized=True,
    ),
    "vit": Family(("ViTBackbone",), _BLOCKS | {"patch_size": 16, "mlp_dim": 256}, unrolled.vit, CENTRED),
    "xception": Family(
        ("XceptionBackbone",),
        {
            "stackwise_conv_filters": [[16, 32], [64, 64], [128, 128], [256, 256]],
            "stackwise_pooling": [True, True, True, False],
        },
        scaling=CENTRED,
        sized=True,
    ),
}
KINDS = {kind: name for name, family in FAMILIES.items() for kind in family.kinds}


def build(name: str, size: int, weights: Path | None) -> keras.Model:
    """Returns the network of `backbone.name` for images of `size` x `size` pixels; `scale` knows how it wants them.

    weights: an archive as `fetch` packs it; None: the small network of a family, with random weights.

    Raises UserError where KerasHub is not installed, for an unknown name, weights of another family or that do not fit,
    a preset's name without weights or for images that are no squares, and a size that the network does not take.
    """
    family = family_of(name)

    def options(kind: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """What is set of a network, whatever its archive says of it."""
        if KINDS[kind] != family:
            raise UserError(f"backbone.weights: {weights} is of hub:{KINDS[kind]}; got {name}: correct one of the two")
        _refuse_size(name, size, arguments)
        return {"image_shape": (size, size, 3)} if FAMILIES[family].sized else {}

    if weights is not None:
        backbone, scaling = presets.load(weights, tuple(KINDS), options)
    elif name != HUB + family:
        raise UserError(
            f"backbone.weights: got random; what {name} looks like comes with its weights: take {_handle(name)}, or "
            f"{HUB}{family}, a small network of that kind"
        )
    else:
        backbone, scaling = _small(family, size), None
    make = FAMILIES[family].network
    try:
        network = make(backbone, size) if make else keras.Model(backbone.inputs[0], backbone.output, name=family)
    except unrolled.NoSquare as error:
        raise UserError(f"backbone.weights: {weights} has {error}, and images are made squares: take others") from None
    if 0 in network.output.shape[1:]:
        raise _too_small(name, size, "nothing is left of it")
    network.pixels = scaling or FAMILIES[family].scaling
    return network


def scale(pixels: keras.KerasTensor, network: keras.Model) -> keras.KerasTensor:
    """Returns pixels (n, h, w, 3) from 0 to 255 as a network that `build` made wants them."""
    factors, offsets = network.pixels
    return keras.layers.Rescaling(list(factors), list(offsets), name="scaling")(pixels)


def family_of(name: str) -> str:
    """Returns the family of `backbone.name`. Raises UserError for an unknown one, and without KerasHub."""
    hub, wanted = _installed(name), name.removeprefix(HUB)
    if wanted in FAMILIES:
        return wanted
    known = {preset: family for kind, family in KINDS.items() for preset in getattr(hub.models, kind).presets}
    if wanted not in known:
        near = did_you_mean(name, [HUB + other for other in (*FAMILIES, *known)], cutoff=0.4)
        raise UserError(
            f"backbone.name: got {name}; {near}takes {HUB} with one of KerasHub's presets of images, or with "
            f"{', '.join(FAMILIES)}"
        )
    return known[wanted]


def _installed(name: str):
    try:
        import keras_hub
    except ModuleNotFoundError:
        raise UserError(f"backbone.name: got {name}; KerasHub is not installed: {INSTALL_HUB}") from None
    return keras_hub


def _handle(name: str) -> str:
    """Where a preset's weights are, as `backbone.weights` takes it."""
    import keras_hub

    family = family_of(name)
    for kind in FAMILIES[family].kinds:
        if handle := getattr(keras_hub.models, kind).presets.get(name.removeprefix(HUB), {}).get("kaggle_handle"):
            return handle
    return "kaggle://… or hf://…"


def _small(family: str, size: int) -> keras.Model:
    import keras_hub

    small, shape = FAMILIES[family].small, {"image_shape": (size, size, 3)}
    _refuse_size(HUB + family, size, small)
    if family == "dinov2":
        shape["position_embedding_shape"] = (size, size)
    try:
        return getattr(keras_hub.models, FAMILIES[family].kinds[0])(**small | shape, dtype="float32")
    except ValueError as error:
        raise _too_small(f"{HUB}{family}", size, text_of(error).partition(" Received: ")[0]) from None


def _refuse_size(name: str, size: int, arguments: dict[str, Any]) -> None:
    """Raise UserError for a size that a network with these arguments does not take."""
    step = _step(arguments.get("vision_encoder", {}).get("config", arguments))
    if size < step or size % step:
        near = [multiple for multiple in (size // step * step, (size // step + 1) * step) if multiple]
        raise UserError(
            f"image.size: got {size}; {name} takes multiples of {step}, such as {' or '.join(map(str, near))}"
        )


def _too_small(name: str, size: int, reason: str) -> UserError:
    return UserError(
        f"image.size: got {size}; {name} reduces so small an image to nothing ({reason}): take a larger size"
    )


def _step(config: dict[str, Any]) -> int:
    """What an image's side is a multiple of: a patch; of Swin the windows of its last stage, of MiT its strides."""
    if "layerwise_strides" in config:
        return math.prod(config["layerwise_strides"])
    patch = config.get("patch_size", 4 if "window_size" in config else 1)
    patch = patch if isinstance(patch, int) else patch[0]
    return patch * config["window_size"] * 2 ** (len(config["depths"]) - 1) if "window_size" in config else patch
