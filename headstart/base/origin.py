"""`origin.json`: where the content of `data/raw/` and of `data/raw/weights/` came from. `fetch` alone writes it."""

import json
import os
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import urlsplit

from headstart.base import files
from headstart.base.errors import UserError

FILE = "origin.json"
RAW = Path("data/raw")
WEIGHTS = RAW / "weights"
HUB = "hub:"  # what the names of KerasHub's networks begin with
INSTALL_HUB = "pip install -r requirements-kerashub.txt"


class Origin(NamedTuple):
    """Where the content of a folder came from."""

    origin: str | None  # the source, as its parameter names it; None for the user's own images
    file: str | None  # the name of the fetched file, inside the folder; None where there is none
    sha256: str | None  # of the file as published
    file_sha256: str | None  # of `file` itself, which may be a part of the published file


def is_remote(source: str | Path) -> bool:
    """Whether images lie on S3, at s3://bucket/folder, rather than at a path."""
    return str(source).startswith("s3:/")


def absolute(source: str | Path) -> str:
    """The same source for processes that work in other folders."""
    return str(source if is_remote(source) else Path(source).absolute())


def read(folder: Path) -> Origin | None:
    """Returns what `write` recorded for `folder`; None where there is no record or a damaged one."""
    try:
        record = Origin(**json.loads((folder / FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, RecursionError):
        return None
    # The file is one in the folder: what is read, replaced and removed by this name never lies elsewhere.
    if not all(isinstance(value, str | None) for value in record):
        return None
    if record.file is not None and (record.file != Path(record.file).name or record.file in ("", "..")):
        return None
    try:
        os.lstat(folder / (record.file or FILE))
    except FileNotFoundError:
        pass  # a name like any other
    except (OSError, ValueError):  # too long, or with a NUL in it
        return None
    return record


def write(folder: Path, origin: Origin) -> None:
    """Record `origin` for `folder`, which is made where it is missing."""
    files.write_text(folder / FILE, json.dumps(origin._asdict(), indent=2, sort_keys=True) + "\n")


def is_of_hub(backbone: str) -> bool:
    """Whether a backbone is one of KerasHub's, by its name."""
    return backbone.startswith(HUB)


def weights_folders(count: int) -> list[Path]:
    """Returns the folders of the weights of so many backbones: `WEIGHTS`, and in it `2`, `3`, …"""
    return [WEIGHTS, *(WEIGHTS / str(number) for number in range(2, count + 1))]


def is_preset(weights: str) -> bool:
    """Whether `backbone.weights` is a folder of the user's, or a preset of a hub: what `fetch` makes an archive of."""
    if weights in ("imagenet", "random"):
        return False
    return weights.startswith(("hf://", "kaggle://")) or ("://" not in weights and Path(weights).is_dir())


def ending(backbone: str) -> str:
    """Returns how the name of a file of weights ends for a backbone."""
    if is_of_hub(backbone):
        return ".zip"
    return ".pth" if backbone.startswith("EfficientNetLite") else ".h5"


def refuse_ending(weights: str, backbone: str) -> None:
    """Raise UserError for weights whose name does not fit the backbone: `extract` would refuse what was fetched.

    weights: as `backbone.weights` has it. Of a file that is not there `fetch` says more; it alone looks into a wheel,
    and into a preset, which has no ending.
    """
    if is_preset(weights):
        if "://" in weights and not is_of_hub(backbone):
            raise UserError(
                f"backbone.weights: got {weights}, a preset, which backbone.name: hub:NAME takes; {backbone} takes a "
                f"{ending(backbone)} file: name one"
            )
        return
    is_address = "://" in weights
    if not is_address and not Path(weights).is_file():
        return
    path = urlsplit(weights).path if is_address else weights
    if PurePosixPath(path).suffix != ending(backbone):
        raise UserError(f"backbone.weights: got {weights}; {backbone} takes a {ending(backbone)} file: name one")
