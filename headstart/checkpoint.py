"""Work that is not recorded yet, kept outside of a stage's outs, so that a killed run goes on where it stopped.

A checkpoint is keyed by a hash of everything that its stage depends on: one of other inputs is never taken.
"""

import fcntl
import hashlib
import json
import os
import shutil
from pathlib import Path

from headstart import params
from headstart.errors import UserError

CHECKPOINTS = Path(".headstart")
DVC_STAGE = "DVC_STAGE"  # the variable that DVC sets for what it runs
_held: dict[Path, int] = {}  # file descriptors: the folders that are this process's alone


def folder(stage: str) -> Path:
    """The folder, made if need be, for the half-done work of `stage` on the inputs that it has now.

    It is this process's alone until it ends. Raises UserError where another one has it: a stage goes on when the `dvc`
    that started it is killed.
    """
    path = CHECKPOINTS / f"{stage}-{_key(stage)}"
    path.mkdir(parents=True, exist_ok=True)
    if path.resolve() not in _held:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise UserError(
                f"another process is at work on {stage} here: stop it (pkill -f stages.{stage}) and run this again, "
                "which goes on where that one stopped"
            ) from None
        _held[path.resolve()] = descriptor
    return path


def finish(stage: str) -> None:
    """Remove the work of `stage` on earlier inputs, since it is done on these.

    DVC records a stage only when its process has ended, and a run that is killed before that starts the stage again:
    under DVC the work on these inputs stays, for it to be found whole, until `clear`.
    """
    recorded_later = DVC_STAGE in os.environ
    for path in sorted(CHECKPOINTS.glob(f"{stage}-*")):
        if not (recorded_later and path.resolve() in _held):
            _remove(path)


def clear(stage: str = "*") -> None:
    """Remove the work of `stage`, by default of all stages, on any inputs: it is recorded."""
    for path in sorted(CHECKPOINTS.glob(f"{stage}-*")):
        _remove(path)


def _remove(path: Path) -> None:
    shutil.rmtree(path)
    if (descriptor := _held.pop(path.resolve(), None)) is not None:
        os.close(descriptor)
    if not any(CHECKPOINTS.iterdir()):
        CHECKPOINTS.rmdir()


def _key(stage: str) -> str:
    declaration = params.declaration(stage)
    digest = hashlib.sha256(json.dumps(declaration.values, sort_keys=True).encode())
    for dep in declaration.deps:
        # The manifest names the images by the hash of their pixels: the source need not be read again.
        if dep != declaration.values.get("dataset.path"):
            for file in sorted(Path(dep).rglob("*")) if Path(dep).is_dir() else [Path(dep)]:
                if file.is_file():
                    with file.open("rb") as content:
                        digest.update(f"{file}:{hashlib.file_digest(content, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()[:16]
