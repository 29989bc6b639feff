"""The head, the whole network that is assembled from backbone and head, and the files that they are kept in."""

import io
import json
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from headstart import backbones, files, images, params
from headstart.errors import UserError
from headstart.runtime import keras

HEAD = Path("models/head.keras")
CLASSIFIER = Path("models/classifier.keras")
# What a classifier file says of itself, beside what Keras reads.
DETAILS = "headstart.json"


def build_head(shape: tuple[int, int, int], classes: int, head: params.Head) -> keras.Model:
    """The head on bottleneck features of `shape` (h, w, c): float32 (n, h, w, c) to (n, 1) or (n, classes).

    Two classes give one sigmoid unit, the probability of class 1; more give a softmax.
    """
    layers = keras.layers
    pooling = (
        layers.Flatten(name="pooling") if head.pooling == "flatten" else layers.GlobalAveragePooling2D(name="pooling")
    )
    x = pooling(inputs := keras.Input(shape, name="features"))
    for number, units in enumerate(head.hidden):
        x = layers.Dense(units, activation="relu", name=f"hidden{number}")(x)
        x = layers.Dropout(head.dropout, name=f"dropout{number}")(x)
    if not head.hidden:
        x = layers.Dropout(head.dropout, name="dropout")(x)
    units, activation = (1, "sigmoid") if classes == 2 else (classes, "softmax")
    return keras.Model(inputs, layers.Dense(units, activation=activation, name="output")(x), name="head")


def join(backbone: keras.Model, head: keras.Model, name: str, scaling: str) -> keras.Model:
    """The whole network: uint8 RGB (n, size, size, 3) to what `head` gives.

    name, scaling: the parameters `backbone.name` and `backbone.scaling`.
    """
    inputs = keras.Input(backbone.input.shape[1:], dtype="uint8", name="image")
    scaled = backbones.scale(inputs, name, scaling)
    return keras.Model(inputs, head(backbone(scaled)), name="classifier")


def averaged(classifier: keras.Model, axes: Sequence[int]) -> keras.Model:
    """A classifier whose answer is the mean of what `classifier` gives for an image and for its mirror images.

    axes: those that images are mirrored along, in every combination: 1 is up and down, 2 left and right; none gives
        `classifier` itself. A mean over n views takes n times as long (test-time augmentation: Krizhevsky et al.,
        ImageNet Classification with Deep Convolutional Neural Networks, NIPS 2012, section 4.1).
    """
    if not axes:
        return classifier
    seen = [keras.Input(classifier.input.shape[1:], dtype="uint8", name="image")]
    for axis in axes:
        seen += [keras.ops.flip(images, axis) for images in seen]
    mean = keras.layers.Average(name="mean")([classifier(images) for images in seen])
    return keras.Model(seen[0], mean, name="mean_classifier")


def probabilities(outputs: np.ndarray) -> np.ndarray:
    """What a head or classifier gives, (n, 1) or (n, k), as (n, k) float32 probabilities, a column a class."""
    outputs = np.asarray(outputs, "float32")
    return np.concatenate([1 - outputs, outputs], axis=1) if outputs.shape[1] == 1 else outputs


def save(model: keras.Model, path: Path, classes: list[str] | None = None) -> None:
    """Write `model` to `path` (.keras) without its optimizer, the same bytes for the same weights; whole or not at all.

    classes: the names of the classes, which make the file a classifier that `load` reads.
    """
    # Not beside `path`: a run that is killed here must leave nothing there.
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder, path.name)
        keras.Model(model.input, model.output, name=model.name).save(written)
        with zipfile.ZipFile(written) as archive:
            entries = {name: archive.read(name) for name in archive.namelist()}
    # Keras puts the time into the archive and its metadata, and addresses in memory into the configuration.
    metadata = json.loads(entries["metadata.json"]) | {"date_saved": None}
    entries["metadata.json"] = json.dumps(metadata, sort_keys=True).encode()
    entries["config.json"] = json.dumps(_numbered(entries["config.json"])).encode()
    if classes is not None:
        details = {"classes": classes, "size": model.input.shape[1], "resizing": images.RESIZING}
        entries[DETAILS] = json.dumps(details, indent=2, ensure_ascii=False).encode()
    with files.whole(path) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as archive:
        for name, content in sorted(entries.items()):
            archive.writestr(zipfile.ZipInfo(name), content)


def load_head() -> keras.Model:
    """The head that `train_head` wrote. Raises UserError for a file that is missing or damaged."""
    try:
        return keras.saving.load_model(HEAD, compile=False)
    except (zipfile.BadZipFile, KeyError, ValueError, OSError) as error:
        raise UserError(f"{HEAD} is missing or damaged ({error}): run `dvc repro train_head`") from None


def load(path: Path) -> tuple[keras.Model, dict]:
    """A classifier and its details: `classes` (list of str), `size` (int, pixels) and `resizing` (str).

    The model takes uint8 RGB (n, size, size, 3). Raises UserError for a file that is missing or no classifier.
    """
    if not path.exists():
        raise UserError(f"no {path}: run `dvc repro`, `dvc checkout` (brings back the last one) or `dvc pull`")
    try:
        with zipfile.ZipFile(path) as archive:
            details = json.load(io.TextIOWrapper(archive.open(DETAILS), "utf-8"))
        return keras.saving.load_model(path, compile=False), details
    except (zipfile.BadZipFile, KeyError, ValueError, OSError) as error:
        raise UserError(f"{path} is not a classifier that Headstart wrote: {error}") from None


def _numbered(config: bytes) -> dict:
    """A model's configuration with its shared objects counted from 0, where Keras has their addresses."""
    numbers = {}

    def renamed(node: dict) -> dict:
        if "shared_object_id" in node:
            node["shared_object_id"] = numbers.setdefault(node["shared_object_id"], len(numbers))
        return node

    return json.loads(config, object_hook=renamed)
