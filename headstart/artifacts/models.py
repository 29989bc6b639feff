"""Models as files: `.keras` archives with the same bytes for the same weights."""

import contextlib
import json
import tempfile
import warnings
import zipfile
from importlib.util import find_spec
from pathlib import Path

from headstart.base import files
from headstart.base.errors import Damaged, UserError, doubted
from headstart.base.origin import INSTALL_HUB
from headstart.base.runtime import keras

HEAD = Path("models/head.keras")
EPOCHS = "epochs.json"  # in the archive of a head that was trained: how many epochs it was kept after


def save(model: keras.Model, path: Path, additions: dict[str, bytes] | None = None) -> None:
    """Write `model` to `path` (.keras) without its optimizer, the same bytes for the same weights; whole or not at all.

    additions: files to put into the archive beside what Keras reads, by their names there.
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
    entries |= additions or {}
    with files.whole(path) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as archive:
        for name, content in sorted(entries.items()):
            archive.writestr(zipfile.ZipInfo(name), content)


def load(path: Path) -> keras.Model:
    """Returns the model that `save` wrote to `path`.

    Raises `errors.Damaged` for any other file: one that is missing, cut short, changed, or whose configuration and
    weights do not belong together; UserError for one that needs KerasHub, where that is not installed.
    """
    try:
        return _load(path)
    except Damaged:
        if find_spec("keras_hub") is None and _names_kerashub(path):
            raise UserError(f"{path} holds layers of KerasHub, which is not installed: {INSTALL_HUB}") from None
        raise


def _names_kerashub(path: Path) -> bool:
    with contextlib.suppress(Damaged), doubted(), zipfile.ZipFile(path) as archive:
        entry = archive.getinfo("config.json")
        return entry.file_size <= path.stat().st_size and b'"keras_hub.' in archive.read(entry)
    return False


def _load(path: Path) -> keras.Model:
    with doubted(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of weights without a layer: what matters of it is an error too
        with zipfile.ZipFile(path) as archive:
            # Not packed, as `save` leaves it: nothing in it can unpack to more than the file is large.
            if sum(entry.file_size for entry in archive.infolist()) > path.stat().st_size:
                raise ValueError("it is packed")
            if broken := archive.testzip():
                raise ValueError(f"{broken} in it has another checksum")
        model = keras.saving.load_model(path, compile=False)
        if len(model.input.shape) < 2 or len(model.output.shape) != 2:
            raise ValueError(f"its output has the shape {model.output.shape}, not (images, classes)")
        return model


def units(classes: int) -> int:
    """How many numbers a head or a classifier of so many classes gives for an image."""
    return 1 if classes == 2 else classes


def load_head(project: Path = Path(), classes: int | None = None, shape: tuple[int, ...] | None = None) -> keras.Model:
    """Returns the head that `train_head` wrote.

    classes: how many it must tell apart; shape: of the features that it must take, (h, w, c); default: any. Raises
    UserError for a file that is missing or damaged, and for a head that is of another run.
    """
    try:
        head = load(project / HEAD)
        if classes is not None and head.output.shape[-1] != units(classes):
            raise Damaged(f"it gives {head.output.shape[-1]} numbers an image, {units(classes)} are wanted")
        if shape is not None and tuple(head.input.shape[1:]) != tuple(shape):
            raise Damaged(f"it takes features of {tuple(head.input.shape[1:])}, those here are of {tuple(shape)}")
    except Damaged as error:
        raise UserError(
            f"{HEAD} is missing or damaged ({error}): run `dvc repro train_head`; if that does not help, `make check`, "
            "then `dvc repro --force --single-item train_head`"
        ) from None
    return head


def head_epochs(project: Path = Path()) -> int | None:
    """Returns after how many epochs of training the head was kept that `train_head` wrote; None where it was solved.

    `load_head` has told whether the file is whole.
    """
    with zipfile.ZipFile(project / HEAD) as archive:
        return json.loads(archive.read(EPOCHS)) if EPOCHS in archive.namelist() else None


def _numbered(config: bytes) -> dict:
    """A model's configuration with its shared objects counted from 0, where Keras has their addresses."""
    numbers = {}

    def renamed(node: dict) -> dict:
        if "shared_object_id" in node:
            node["shared_object_id"] = numbers.setdefault(node["shared_object_id"], len(numbers))
        return node

    return json.loads(config, object_hook=renamed)
