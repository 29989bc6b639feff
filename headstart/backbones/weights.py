"""The weights that `fetch` wrote, for the stages that build a backbone."""

from pathlib import Path

from headstart.base import origin
from headstart.base.errors import UserError


def fetched(project: Path = Path()) -> Path | None:
    """Returns the path of the weights file that `fetch` wrote; None where the backbone has random weights.

    project: the project's folder; default: the current folder.

    Raises UserError where `fetch` has not run, or its file is gone.
    """
    folder = project / origin.WEIGHTS
    record = origin.read(folder)
    if record is None or (record.file and not (folder / record.file).is_file()):
        raise UserError(f"no weights in {folder}: run `dvc repro fetch` first")
    return folder / record.file if record.file else None
