"""`make repro` in a fresh copy of the project, then `dvc repro` with nothing to do against `dvc status`."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import workspace
from benchmarks.measuring import Measurement
from headstart.base.errors import UserError

TURNS = 5


def measure(measurement: Measurement) -> dict[str, Any]:
    """Seconds of `make repro` after the installation, and of the other two (medians of five, in turns)."""
    workspace.SCRATCH.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=workspace.SCRATCH) as folder:
        path = Path(folder)
        _copy(path)
        first = seconds(path, "make", "repro")
        again, status = [], []
        for _ in range(TURNS):
            again.append(seconds(path, "dvc", "repro"))
            status.append(seconds(path, "dvc", "status"))
    return {"make_repro": round(first, 1), "dvc_repro": round(median(again), 2), "dvc_status": round(median(status), 2)}


def _copy(path: Path) -> None:
    """A Git repository of what Git would keep of the project as it is now, with the environment of this one."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=workspace.ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        if (workspace.ROOT / name).is_file():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(workspace.ROOT / name, path / name)  # make goes by the time of the requirements
    (path / ".venv").symlink_to(workspace.ROOT / ".venv")
    for command in (["init", "-q"], ["add", "-A"], ["-c", "user.name=-", "-c", "user.email=-", "commit", "-qm", "-"]):
        subprocess.run(["git", *command], cwd=path, check=True)


def seconds(path: Path, *command: str) -> float:
    """Returns how long a command takes in the folder `path`. Raises UserError where it fails."""
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "DVC_SITE_CACHE_DIR": str(path / ".dvc/site"),
        "DVC_NO_ANALYTICS": "1",
    }
    start = time.perf_counter()
    done = subprocess.run(command, cwd=path, env=environment, stdout=sys.stderr)
    if done.returncode:
        raise UserError(f"{' '.join(command)} failed in {path} with exit status {done.returncode}: see above")
    return time.perf_counter() - start
