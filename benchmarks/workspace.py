"""A scratch copy of the project, in which stages run and are timed."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headstart.base import files, yaml12
from headstart.base.errors import UserError

ROOT = Path(__file__).parent.parent
SCRATCH = ROOT / "tmp/benchmarks"  # Git leaves it out
PARTS = ("headstart", "stages", "benchmarks", "dvc.yaml")
EXTRACTION = ("fetch", "split", "extract")
PHOTOGRAPHS = ("article", "cats_vs_dogs")  # the presets that take the 4,000 photographs


def shared(name: str) -> str:
    """The path of a real image source or weights: in HEADSTART_SHARED, or in ../shared beside the project.

    Raises UserError where it is not there.
    """
    path = Path(os.environ.get("HEADSTART_SHARED", ROOT.parent / "shared")).resolve()
    if not (path / name).exists():
        raise UserError(f"no {name} in {path}: set HEADSTART_SHARED to the folder that has it")
    return str(path / name)


def photographs() -> dict[str, Any]:
    """Parameters that take the 4,000 photographs and the weights of InceptionV3 from local files."""
    return {
        "dataset.source": None,
        "dataset.path": shared("data/cats_dogs_4000.zip"),
        "backbone.weights": shared("weights/inception_v3_imagenet_notop.h5"),
        "backbone.sha256": None,
    }


def parameters(preset: str, values: dict[str, Any]) -> dict[str, Any]:
    """All parameters: params.yaml, with the preset merged into it, and `values` by their dotted names."""
    merged = _merged(yaml12.read(ROOT / "params.yaml"), yaml12.read(ROOT / f"presets/{preset}.yaml"))
    for name, value in values.items():
        *sections, last = name.split(".")
        node = merged
        for section in sections:
            node = node[section]
        if last not in node:
            raise UserError(f"params.yaml has no {name}: take one of {', '.join(node)}")
        node[last] = value
    return merged


def _merged(current: Any, wanted: Any) -> Any:
    if isinstance(current, dict) and isinstance(wanted, dict):
        return current | {name: _merged(current.get(name), value) for name, value in wanted.items()}
    return wanted


@dataclass(frozen=True)
class Work:
    """A process that has ended: its seconds from start to end, its peak of anonymous memory in MB, and its log.

    Pages of memory-mapped files are not counted: the system takes those back when it needs them. Where there is no
    /proc (macOS), the peak is 0. `log`: what `headstart.base.progress` wrote to HEADSTART_LOG.
    """

    seconds: float
    peak: int
    log: list[dict[str, Any]]

    def rate(self, work: str) -> float:
        """Units of `work` per second, without the start of the process."""
        line = next(line for line in self.log if line["work"] == work and "count" in line)
        return line["count"] / line["seconds"]

    def steady(self, work: str) -> float:
        """Units of `work` per second, in the last three quarters of it."""
        return next(line["steady"] for line in self.log if line["work"] == work and "count" in line)

    def epochs(self) -> list[float]:
        """The seconds of each epoch of fine-tuning but the first, which builds the graph."""
        return [line["seconds"] for line in self.log if line["work"] == "fine_tune" and line.get("epoch", 1) > 1]


class Workspace:
    """The project's code, as it is now, and `parameters` in the folder `path`; what stages wrote there stays."""

    def __init__(self, path: Path, parameters: dict[str, Any]):
        self.path = path
        for part in PARTS:
            if (ROOT / part).is_dir():
                shutil.rmtree(path / part, ignore_errors=True)
                shutil.copytree(ROOT / part, path / part, ignore=shutil.ignore_patterns("__pycache__", "records"))
            else:
                shutil.copy(ROOT / part, path / part)
        self.set(parameters)

    def set(self, parameters: dict[str, Any]) -> None:
        """Write all parameters: JSON is YAML too."""
        files.write_text(self.path / "params.yaml", json.dumps(parameters, indent=2))

    def stage(self, name: str, cores: int | None = None, **environment: str) -> Work:
        """Run a stage from its beginning, its progress shown on standard error; cores, environment: as of `python`."""
        return self.python(f"stages.{name}", cores=cores, **environment)

    def python(self, module: str, *arguments: str, cores: int | None = None, **environment: str) -> Work:
        """Run a module of the workspace, as `stage` does. Raises UserError where it fails.

        cores: those that it and what it starts may run on, on Linux; None: all. environment: beside the present one.
        """
        shutil.rmtree(self.path / ".headstart", ignore_errors=True)  # unfinished work would shorten the time
        log = self.path / "log.jsonl"
        log.unlink(missing_ok=True)
        peak, start = 0, time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=self.path,
            env=os.environ | environment | {"HEADSTART_LOG": str(log)},
            stdout=sys.stderr,
            preexec_fn=cores and (lambda: os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])),
        )
        try:
            while process.poll() is None:
                peak = max(peak, _anonymous(process.pid))
                time.sleep(0.05)
        finally:
            process.kill()
            process.wait()
        seconds = time.perf_counter() - start
        if process.returncode:
            raise UserError(f"{module} failed in {self.path} with exit status {process.returncode}: see above")
        lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
        return Work(seconds, peak // 1000, [json.loads(line) for line in lines])

    def megabytes(self) -> float:
        """What the arrays that `extract` wrote take on the disk."""
        return sum(file.stat().st_size for file in (self.path / "data/features").rglob("*.npy")) / 1e6


def _anonymous(process: int) -> int:
    """The anonymous memory, in kB, of a process or a child of its: a stage's work is done in one. Of the largest."""
    with contextlib.suppress(OSError, TypeError):
        own = Path(f"/proc/{process}")
        children = (own / f"task/{process}/children").read_text().split()
        status = re.search(r"RssAnon:\s+(\d+) kB", (own / "status").read_text())
        return max(int(status[1]), *map(_anonymous, map(int, children)), 0)
    return 0


@contextlib.contextmanager
def temporary(parameters: dict[str, Any]) -> Iterator[Workspace]:
    """A workspace that is removed at the end."""
    SCRATCH.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=SCRATCH) as folder:
        yield Workspace(Path(folder), parameters)


def extracted(key: str, parameters: dict[str, Any]) -> tuple[Workspace, dict[str, float]]:
    """A workspace in which fetch, split and extract have run, and the seconds that each of them took.

    key: of the code and the parameters of these stages. The workspace of a key is made once, and kept until one of
        another key is wanted.
    """
    path = SCRATCH / key
    seconds = path / "seconds.json"
    if not seconds.exists() and SCRATCH.exists():
        shutil.rmtree(SCRATCH)
    path.mkdir(parents=True, exist_ok=True)
    workspace = Workspace(path, parameters)
    if not seconds.exists():
        files.write_text(seconds, json.dumps({stage: workspace.stage(stage).seconds for stage in EXTRACTION}))
    return workspace, json.loads(seconds.read_text())
