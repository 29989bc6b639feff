"""A network's folder as one archive: what KerasHub's `save_to_preset` or Hugging Face's `save_pretrained` wrote.

`fetch` writes it, the same bytes for the same files, and what builds the backbone unpacks it. Only what describes an
image network and its weights is taken: JSON, HDF5 and safetensors, never a pickle.
"""

import contextlib
import errno
import re
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from headstart.base import files
from headstart.base.errors import UserError, text_of

LARGEST = 4 * 2**30  # bytes, unpacked
LARGEST_TEXT = 2**24  # bytes of a JSON file
DESCRIPTION = "config.json"
WEIGHTS = r"model(_\d+)?\.weights\.h5|model(-\d+-of-\d+)?\.safetensors"
TEXTS = r"(config|image_converter|preprocessor_config|model\.weights|model\.safetensors\.index)\.json"


def write(folder: Path, to: Path, source: str) -> None:
    """Write what is wanted of a folder to the zip `to`, whole or not at all.

    source: names it in messages. Raises UserError for a folder without a network that can be read.
    """
    paths = {path.name: path for path in folder.iterdir() if _wanted(path.name) and path.is_file()}
    _refuse(
        {name: path.stat().st_size for name, path in paths.items()}, source, [path.name for path in folder.iterdir()]
    )
    with files.whole(to) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as archive:
        for name, path in sorted(paths.items()):
            entry = zipfile.ZipInfo(name)
            entry.external_attr = 0o644 << 16
            with path.open("rb") as file, archive.open(entry, "w", force_zip64=True) as packed:
                shutil.copyfileobj(file, packed, 2**20)


def check(path: Path, source: str) -> None:
    """Raise UserError for a file that `unpack` would refuse by its index. source: names it in messages."""
    with _opened(path, source) as archive:
        _entries(archive, source)


def unpack(path: Path, folder: Path) -> None:
    """Write the wanted files of an archive into `folder`, without the folders that they lie in.

    Raises UserError for a file that is no archive, holds no network, has a name twice, or unpacks to more than LARGEST.
    """
    with _opened(path, str(path)) as archive:
        for name, entry in _entries(archive, str(path)).items():
            with archive.open(entry) as packed, (folder / name).open("wb") as file:
                shutil.copyfileobj(packed, file, 2**20)


@contextlib.contextmanager
def _opened(path: Path, source: str) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except (UserError, MemoryError):
        raise
    # A damaged zip raises nearly anything, by how its entries are compressed; an index that leads nowhere is EINVAL.
    except Exception as error:
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise
        reason = text_of(error)[:200]
        raise UserError(
            f"backbone.weights: {source} is not a complete zip ({reason}): fetch or pack it again"
        ) from None


def _entries(archive: zipfile.ZipFile, source: str) -> dict[str, zipfile.ZipInfo]:
    found: dict[str, zipfile.ZipInfo] = {}
    for entry in archive.infolist():
        name = PurePosixPath(entry.filename).name
        if _wanted(name) and not entry.is_dir():
            if name in found:
                raise UserError(f"backbone.weights: {source} holds {name} twice: pack the folder of one network alone")
            found[name] = entry
    names = [PurePosixPath(entry.filename).name for entry in archive.infolist()]
    _refuse({name: entry.file_size for name, entry in found.items()}, source, names)
    return found


def _wanted(name: str) -> bool:
    return re.fullmatch(f"{TEXTS}|{WEIGHTS}", name) is not None


def _refuse(sizes: dict[str, int], source: str, names: list[str]) -> None:
    """Raise UserError where these files, with their sizes in bytes, are no network. names: all that there are."""
    if DESCRIPTION not in sizes or not any(re.fullmatch(WEIGHTS, name) for name in sizes):
        pickled = [name for name in names if name.endswith((".bin", ".pt", ".pth", ".ckpt"))]
        more = f" ({pickled[0]} may run any code: save it as safetensors)" if pickled else ""
        raise UserError(
            f"backbone.weights: {source} holds no {DESCRIPTION} with model.weights.h5 or model.safetensors{more}; "
            "takes what KerasHub's save_to_preset or Hugging Face's save_pretrained writes"
        )
    if (total := sum(sizes.values())) > LARGEST:
        raise UserError(f"backbone.weights: {source} unpacks to {total:,} bytes; takes at most {LARGEST:,}")
    for name, size in sizes.items():
        if name.endswith(".json") and size > LARGEST_TEXT:
            raise UserError(f"backbone.weights: {name} in {source} has {size:,} bytes; takes at most {LARGEST_TEXT:,}")
