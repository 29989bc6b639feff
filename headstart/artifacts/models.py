"""Models as files: `.keras` archives with the same bytes for the same weights."""

import json
import tempfile
import zipfile
from pathlib import Path

from headstart.base import files
from headstart.base.errors import UserError
from headstart.base.runtime import keras

HEAD = Path("models/head.keras")
# What Keras and the zip format raise on a file that is missing or damaged.
DAMAGED = (zipfile.BadZipFile, KeyError, ValueError, OSError)


def save(model: keras.Model, path: Path, additions: dict[str, str] | None = None) -> None:
    """Write `model` to `path` (.keras) without its optimizer, the same bytes for the same weights; whole or not at all.

    additions: texts to put into the archive beside what Keras reads, by their names there.
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
    entries |= {name: text.encode() for name, text in (additions or {}).items()}
    with files.whole(path) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as archive:
        for name, content in sorted(entries.items()):
            archive.writestr(zipfile.ZipInfo(name), content)


def load_head(project: Path = Path()) -> keras.Model:
    """Returns the head that `train_head` wrote. Raises UserError for a file that is missing or damaged."""
    try:
        return keras.saving.load_model(project / HEAD, compile=False)
    except DAMAGED as error:
        raise UserError(f"{HEAD} is missing or damaged ({error}): run `dvc repro train_head`") from None


def _numbered(config: bytes) -> dict:
    """A model's configuration with its shared objects counted from 0, where Keras has their addresses."""
    numbers = {}

    def renamed(node: dict) -> dict:
        if "shared_object_id" in node:
            node["shared_object_id"] = numbers.setdefault(node["shared_object_id"], len(numbers))
        return node

    return json.loads(config, object_hook=renamed)
