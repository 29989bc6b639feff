"""The weights that `fetch` wrote, for the stages that build a backbone."""

from pathlib import Path

import h5py

from headstart.base import files, origin
from headstart.base.errors import UserError


def fetched(count: int = 1, project: Path = Path()) -> list[Path | None]:
    """Returns the paths of the weights files that `fetch` wrote; None for a backbone that has random weights.

    count: of the backbones. project: the project's folder; default: the current folder.

    Raises UserError where `fetch` has not run, and where its file is gone or not the one that it fetched.
    """
    return [_fetched(project / folder) for folder in origin.weights_folders(count)]


def _fetched(folder: Path) -> Path | None:
    record = origin.read(folder)
    if record is None or (record.file and not (folder / record.file).is_file()):
        raise UserError(f"no weights in {folder}: run `dvc repro fetch` first")
    if record.file is None:
        return None
    path = folder / record.file
    if files.sha256(path) != record.file_sha256:
        raise UserError(
            f"{path} is damaged (it holds something else than was fetched): run `make check`, then `dvc repro --force "
            "--single-item fetch`, which fetches it again, and `dvc repro`"
        )
    return path


def refuse_bomb(file: h5py.File, count: int) -> None:
    """Raise ValueError where a file holds far more than the `count` bytes of the network: by its sizes, unread.

    Compressed zeros, and data that lies in other files, take hardly any room in it.
    """
    sizes = []

    def elsewhere(name: str, item: h5py.Dataset | h5py.Group | h5py.ExternalLink) -> str | None:
        if isinstance(item, h5py.Dataset):
            sizes.append(item.nbytes)
            return name if item.is_virtual or item.external else None
        return name if isinstance(item, h5py.ExternalLink) else None

    # A walk ends with the first name that is returned.
    if name := file.visititems(elsewhere) or file.visititems_links(elsewhere):
        raise ValueError(f"{name} lies in another file")
    # With its top, a network has up to several times as many.
    if sum(sizes) > max(8 * count, 2**28):
        raise ValueError(f"it unpacks to {sum(sizes):,} bytes, and the network has {count:,}")
