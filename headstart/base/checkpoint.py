"""Work that is not recorded yet, kept outside of a stage's outs, so that a killed run goes on where it stopped.

A checkpoint is keyed by a hash of everything that its stage depends on: one of other inputs is never taken, nor one
that another version of what computes has begun.
"""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from headstart.base import files, params, seconds, watch
from headstart.base.alone import DVC_STAGE
from headstart.base.errors import UserError
from headstart.base.seconds import LOCK

CHECKPOINTS = Path(".headstart")
PROCESS = "process"  # the file in a folder that holds the id of the process that works there
FINISHED = "finished"  # the file that says a folder's work is done, and in its place
# What rounds in its own way: a checkpoint of one version would go on differently with another.
LIBRARIES = ("tensorflow", "keras", "openvino")
_locks: dict[Path, int] = {}  # file descriptors of the folders that are this process's alone
_resumed: set[str] = set()  # stages that an earlier process had begun


def folder(stage: str) -> Path:
    """Returns the folder, made if need be, for the unfinished work of `stage` on the inputs that it has now.

    It is this process's alone until it ends. Raises UserError where another process works there: a stage goes on when
    the `dvc` that started it is killed.
    """
    path = CHECKPOINTS / f"{stage}-{_key(stage)}"
    if path.exists() and path.resolve() not in _locks:
        _resumed.add(stage)
    path.mkdir(parents=True, exist_ok=True)
    if not _lock(path):
        process = _process(path)
        raise UserError(
            f"another process{f' ({process})' if process else ''} is at work on {stage} in this folder: wait for it, "
            f"or stop it ({f'kill {process}' if process else 'its id is not known yet'}) and run this again, which "
            "goes on where that one stopped"
        )
    (path / FINISHED).unlink(missing_ok=True)
    return path


def finish(stage: str) -> None:
    """Sync the outs of `stage`, mark its work on these inputs as done, and remove what is left of that on earlier ones.

    Once this returns, the outs stay through a power loss. A stage ends with it, whether it has a checkpoint or not.

    DVC records a stage only when its process has ended, and a run that is killed before that starts the stage again:
    under DVC the work on these inputs stays, to be found whole, until `clear`. Without DVC it goes at once.
    """
    for out in params.declaration(stage).outs:
        if Path(out).exists():
            files.sync_all(Path(out))
    for path in _folders(stage):
        if path.resolve() in _locks and DVC_STAGE in os.environ:
            (path / FINISHED).touch()
        else:
            _remove(path)
    # Without DVC nothing says what the time is of, and of a stage that went on where it stopped it is a part.
    if DVC_STAGE in os.environ and stage not in _resumed:
        seconds.note(stage, time.monotonic() - watch.began)


def clear(stage: str = "*") -> None:
    """Remove the finished work of `stage`, by default of all stages, on any inputs: it is recorded.

    What is unfinished stays, and so does what another process works on.
    """
    if LOCK.exists():
        files.sync_all(LOCK)  # DVC does not: after a power loss the record must be there, or the work
    for path in _folders(stage):
        if (path / FINISHED).exists():
            _remove(path)


def _folders(stage: str) -> Iterator[Path]:
    yield from sorted(CHECKPOINTS.glob(f"{stage}-*"))


def _lock(path: Path) -> bool:
    """Whether the folder is this process's alone, from now on or already."""
    if path.resolve() not in _locks:
        descriptor = os.open(path, os.O_RDONLY)
        if not files.lock(descriptor):
            os.close(descriptor)
            return False
        _locks[path.resolve()] = descriptor
        (path / PROCESS).write_text(str(os.getpid()))
    return True


def _process(path: Path) -> str:
    """The id of the process that works in the folder; empty in the moment before it is written down."""
    try:
        written = (path / PROCESS).read_bytes()
    except FileNotFoundError:
        return ""
    return written.decode() if written.isdigit() else ""


def _remove(path: Path) -> None:
    if _lock(path):
        shutil.rmtree(path)
        os.close(_locks.pop(path.resolve()))
    if not any(CHECKPOINTS.iterdir()):
        CHECKPOINTS.rmdir()


def _key(stage: str) -> str:
    declaration = params.declaration(stage)
    versions = {library: _version(library) for library in LIBRARIES}
    digest = hashlib.sha256(json.dumps([declaration.values, versions], sort_keys=True).encode())
    for dep in declaration.deps:
        # The manifest names the images by the hash of their pixels: the source need not be read again.
        if dep != declaration.values.get("dataset.path"):
            for file in sorted(Path(dep).rglob("*")) if Path(dep).is_dir() else [Path(dep)]:
                if file.is_file() and file.parent.name != "__pycache__":
                    digest.update(f"{file}:{files.sha256(file)}\n".encode())
    return digest.hexdigest()[:16]


def _version(library: str) -> str | None:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return None
