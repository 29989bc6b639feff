"""Work that is half done, kept outside of a stage's outs, so that a killed run goes on where it stopped.

A checkpoint is keyed by a hash of everything that its stage depends on: one of other inputs is never taken.
"""

import hashlib
import json
import shutil
from pathlib import Path

from headstart import params

CHECKPOINTS = Path(".headstart")


def folder(stage: str) -> Path:
    """The folder, made if need be, for the half-done work of `stage` on the inputs that it has now."""
    path = CHECKPOINTS / f"{stage}-{_key(stage)}"
    path.mkdir(parents=True, exist_ok=True)
    return path


def clear(stage: str) -> None:
    """Remove the half-done work of `stage`, of these inputs and of earlier ones: it is done."""
    for path in CHECKPOINTS.glob(f"{stage}-*"):
        shutil.rmtree(path)
    if CHECKPOINTS.exists() and not any(CHECKPOINTS.iterdir()):
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
