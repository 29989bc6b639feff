"""A fetched preset, as `base.bundle` packs it: KerasHub's backbone with its weights, and how it wants pixels scaled."""

import importlib
import json
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import h5py

from headstart.backbones.safetensors import Tensors
from headstart.backbones.weights import refuse_bomb
from headstart.base import bundle
from headstart.base.errors import UserError, text_of
from headstart.base.runtime import keras

# By what Hugging Face calls them; KerasHub has a module for each that tells how its weights are named.
CONVERTERS = {
    "deit": "convert_deit",
    "dinov2": "convert_dinov2",
    "dinov2_with_registers": "convert_dinov2",
    "dinov3_vit": "convert_dinov3",
    "swin": "convert_swin_transformer",
    "vit": "convert_vit",
}
# Of a network's description: more would take hours to build.
MOST_BLOCKS, WIDEST = 200, 2**20
OTHERS = (ArithmeticError, RuntimeError, SystemError)  # HDF5's own are among them


class Scaling(NamedTuple):
    """Pixels from 0 to 255 times `factors`, plus `offsets`, for red, green and blue."""

    factors: tuple[float, float, float]
    offsets: tuple[float, float, float]


class Preset(NamedTuple):
    """What a folder says of its network: `kind`, the name of its class in KerasHub; its `arguments`; how it scales
    pixels, where it says that; `model_type`: what Hugging Face calls it, None for KerasHub's own format.
    """

    kind: str
    arguments: dict[str, Any]
    scaling: Scaling | None
    model_type: str | None


def load(
    weights: Path, kinds: tuple[str, ...], options: Callable[[str, dict[str, Any]], dict[str, Any]]
) -> tuple[keras.Model, Scaling | None]:
    """Returns KerasHub's backbone with the weights of an archive, and how it scales pixels, if the archive says so.

    kinds: the names of KerasHub's classes; others are refused. options: of such a name and the network's arguments,
    those that are set whatever the archive says; it may raise UserError.

    Raises UserError for an archive that is damaged, of another kind, or whose weights do not fit.
    """
    import keras_hub

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bundle.unpack(weights, folder)
        try:
            preset = _described(folder)
            if preset.kind not in kinds:
                raise ValueError(f"it is of {preset.kind}; takes {', '.join(sorted(kinds))}")
            arguments = preset.arguments | options(preset.kind, preset.arguments)
            # What belongs to another training.
            arguments |= {key: 0.0 for key in arguments if "drop" in key and isinstance(arguments[key], float)}
            backbone = getattr(keras_hub.models, preset.kind).from_config(arguments | {"dtype": "float32"})
            _fill(backbone, folder, preset)
        except UserError:
            raise
        # Keras, HDF5 and JSON raise errors of many kinds for what a file says wrongly.
        except (ValueError, TypeError, LookupError, AttributeError, OSError, *OTHERS) as error:
            reason = f"it lacks {error}" if isinstance(error, KeyError) else text_of(error)[:200]
            raise UserError(f"backbone.weights: {weights} is not a network of KerasHub's: {reason}") from None
    return backbone, preset.scaling


def _described(folder: Path) -> Preset:
    config = _json(folder / bundle.DESCRIPTION)
    if "registered_name" in config:
        _refuse_foreign(config)
        arguments = dict(config["config"])
        arguments.pop("dtype", None)
        kind, model_type, scaling = config["class_name"], None, _converter(folder / "image_converter.json")
    elif config.get("model_type") in CONVERTERS:
        converter = _converter_of(config["model_type"])
        kind, model_type = converter.backbone_cls.__name__, config["model_type"]
        # Where KerasHub has no word for it, it takes its own default.
        named = {"layer_norm_epsilon": config.get("layer_norm_eps", 1e-12)} if model_type == "vit" else {}
        arguments = converter.convert_backbone_config(config) | named
        scaling = _preprocessor(folder / "preprocessor_config.json")
    else:
        found = config.get("model_type", config.get("architecture", "no model_type"))
        raise ValueError(f"KerasHub converts no {found} of Hugging Face; takes {', '.join(sorted(CONVERTERS))}")
    _refuse_giants(arguments)
    return Preset(kind, arguments, scaling, model_type)


def _converter_of(model_type: str):
    return importlib.import_module(f"keras_hub.src.utils.transformers.{CONVERTERS[model_type]}")


def _json(path: Path) -> dict[str, Any]:
    content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise ValueError(f"{path.name} is no object")
    return content


def _refuse_foreign(node: Any) -> None:
    """Raise ValueError where a description names code that is neither Keras's nor KerasHub's."""
    if isinstance(node, dict):
        module = node.get("module")
        if "class_name" in node and not re.match(r"keras(_hub)?(\.|$)", str(module)):
            raise ValueError(f"it names {module}.{node['class_name']}, which is not of KerasHub")
        for value in node.values():
            _refuse_foreign(value)
    elif isinstance(node, list):
        for value in node:
            _refuse_foreign(value)


def _refuse_giants(arguments: dict[str, Any]) -> None:
    """Raise ValueError for a network that nobody can have meant: building it would take all memory."""
    for key, value in arguments.items():
        if isinstance(value, dict):
            _refuse_giants(value.get("config", {}))
            continue
        numbers = [value] if isinstance(value, int) else value if isinstance(value, list | tuple) else []
        most = MOST_BLOCKS if re.search("layers|depth|num_blocks|num_repeats", key) else WIDEST
        if any(isinstance(number, int) and number > most for number in numbers):
            raise ValueError(f"its {key} is {value}; takes at most {most}")


def _converter(path: Path) -> Scaling | None:
    """KerasHub's: pixels times `scale`, plus `offset`; or, as it was written before, `mean` and `variance`."""
    if not path.exists():
        return None
    config = _json(path)["config"]
    scale, offset = config.get("scale") or 1.0, config.get("offset") or 0.0
    if "mean" in config and "variance" in config:
        deviations = [variance**0.5 for variance in config["variance"]]
        offset = [-mean / deviation for mean, deviation in zip(config["mean"], deviations, strict=True)]
        scale = [scale / deviation for deviation in deviations]
    return Scaling(_of_channels(scale), _of_channels(offset))


def _preprocessor(path: Path) -> Scaling | None:
    """Hugging Face's: pixels times `rescale_factor`, less `image_mean`, divided by `image_std`."""
    if not path.exists():
        return None
    config = _json(path)
    factor = config.get("rescale_factor", 1 / 255) if config.get("do_rescale", True) else 1.0
    if not config.get("do_normalize", True):
        return Scaling(_of_channels(factor), _of_channels(0.0))
    means, deviations = _of_channels(config["image_mean"]), _of_channels(config["image_std"])
    offsets = [-mean / deviation for mean, deviation in zip(means, deviations, strict=True)]
    return Scaling(_of_channels([factor / deviation for deviation in deviations]), _of_channels(offsets))


def _of_channels(value: float | list[float]) -> tuple[float, float, float]:
    red, green, blue = value if isinstance(value, list) else [value] * 3
    return float(red), float(green), float(blue)


def _fill(backbone: keras.Model, folder: Path, preset: Preset) -> None:
    """Give a backbone the weights in a folder."""
    if preset.model_type is not None:
        config = _json(folder / bundle.DESCRIPTION)
        _converter_of(preset.model_type).convert_weights(backbone, Tensors(folder), config)
        return
    for path in folder.glob("*.h5"):
        with h5py.File(path) as file:
            refuse_bomb(file, 4 * backbone.count_params())
    shards = folder / "model.weights.json"
    if shards.exists():
        named = {
            name
            for names in _json(shards)["weight_map"].values()
            for name in ([names] if isinstance(names, str) else names)
        }
        if missing := named - {path.name for path in folder.glob("*.h5")}:
            raise ValueError(f"it names {sorted(missing)[0]}, which it does not hold")
    backbone.load_weights(shards if shards.exists() else folder / "model.weights.h5")
