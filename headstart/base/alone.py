"""One stage at a time in a project: a stage runs on when the `dvc` that started it is killed.

It may be of parameters that have changed since. What it wrote late would lie where the stage of now writes, or be read
by the stages after it, and DVC would keep it as theirs.
"""

import os
from pathlib import Path
from typing import IO

from headstart.base import files
from headstart.base.errors import UserError

DVC_STAGE = "DVC_STAGE"  # the variable that DVC sets for what it runs
FILE = Path(".dvc/tmp/stage")  # holds the process's id and the stage's name, and is locked as long as it runs
_held: list[IO[str]] = []


def begin(stage: str) -> None:
    """Be the project's only stage until this process ends. Raises UserError where another one is still at work.

    A stage that is not run by DVC leaves its outputs to whoever runs it, and is not held up.
    """
    if DVC_STAGE not in os.environ or _held:
        return
    FILE.parent.mkdir(parents=True, exist_ok=True)
    file = FILE.open("a+", encoding="utf-8")
    if not files.lock(file.fileno()):
        process, name = _holder(file)
        raise UserError(
            f"{name} is still at work in this folder, of an earlier run: wait for it, or stop it ({process}), and run "
            "this again, which goes on where that one stopped"
        )
    file.truncate(0)
    file.write(f"{os.getpid()} {stage}")
    file.flush()
    _held.append(file)


def at_work(project: Path) -> str | None:
    """Returns the name of the stage that is at work in a project; None where there is none that DVC started."""
    try:
        # To be written, too: a file that is on another machine (NFS) cannot be locked otherwise.
        with (project / FILE).open("r+", encoding="utf-8") as file:
            return None if files.lock(file.fileno()) else _holder(file)[1]
    except FileNotFoundError:
        return None


def _holder(file: IO[str]) -> tuple[str, str]:
    """How to stop what holds the lock, and its name; in the moment before they are written down, words for both."""
    file.seek(0)
    process, _, stage = file.read().partition(" ")
    return (f"kill {process}", stage) if process.isdigit() else ("its process is not known yet", "another stage")
