"""The weights that `fetch` wrote, for the stages that build a backbone."""

from pathlib import Path

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
