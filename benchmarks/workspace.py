"""A scratch copy of the project, in which stages run and are timed."""

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from headstart.errors import UserError

ROOT = Path(__file__).parent.parent
PARTS = ("headstart", "stages", "presets", "params.yaml", "dvc.yaml")


def shared() -> Path:
    """The folder of the real photographs and weights: HEADSTART_SHARED, or ../shared beside the project."""
    path = Path(os.environ.get("HEADSTART_SHARED", ROOT.parent / "shared")).resolve()
    if not (path / "data/cats_dogs_4000.zip").exists():
        raise UserError(f"no data/cats_dogs_4000.zip in {path}: set HEADSTART_SHARED to the folder of the photographs")
    return path


def photographs() -> dict[str, Any]:
    """Parameters that take the 4,000 photographs and the weights of InceptionV3 from local files."""
    return {
        "dataset.source": None,
        "dataset.path": str(shared() / "data/cats_dogs_4000.zip"),
        "backbone.weights": str(shared() / "weights/inception_v3_imagenet_notop.h5"),
        "backbone.sha256": None,
    }


class Workspace:
    """The project's code and parameters in a folder of their own."""

    def __init__(self, path: Path):
        self.path = path
        for part in PARTS:
            if (ROOT / part).is_dir():
                shutil.copytree(ROOT / part, path / part, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / part, path / part)

    def preset(self, name: str, **values: Any) -> None:
        """Apply a preset, then `values` by their dotted names."""
        self._run(sys.executable, "-m", "headstart.preset", name, stdout=subprocess.DEVNULL)
        self.set(values)

    def set(self, values: dict[str, Any]) -> None:
        yaml, path = YAML(), self.path / "params.yaml"
        document = yaml.load(path)
        for name, value in values.items():
            *sections, last = name.split(".")
            node = document
            for section in sections:
                node = node[section]
            node[last] = value
        yaml.dump(document, path)

    def stage(self, name: str) -> float:
        """Run a stage, its progress shown on standard error, and give its seconds, start-up and all."""
        start = time.perf_counter()
        self._run(sys.executable, "-m", f"stages.{name}", stdout=sys.stderr)
        return time.perf_counter() - start

    def anonymous(self, name: str) -> tuple[float, int]:
        """Run a stage, and give its seconds and its peak of anonymous memory in MB (Linux).

        Pages of memory-mapped files are not counted: the system takes those back when it needs them.
        """
        start, peak = time.perf_counter(), 0
        process = subprocess.Popen([sys.executable, "-m", f"stages.{name}"], cwd=self.path, stdout=sys.stderr)
        while process.poll() is None:
            with contextlib.suppress(OSError, TypeError):
                status = Path(f"/proc/{process.pid}/status").read_text()
                peak = max(peak, int(re.search(r"RssAnon:\s+(\d+) kB", status)[1]))
            time.sleep(0.1)
        if process.returncode:
            raise UserError(f"stages.{name} failed in {self.path} with exit status {process.returncode}")
        return time.perf_counter() - start, peak // 1000

    def rate(self, name: str) -> float:
        """Run a stage, and give the images a second that its progress says at the end."""
        done = self._run(sys.executable, "-m", f"stages.{name}", stdout=sys.stderr, stderr=subprocess.PIPE, text=True)
        count, seconds = re.findall(rf"^{name}: ([\d,]+) images in ([\d.]+) s", done.stderr, re.MULTILINE)[-1]
        return int(count.replace(",", "")) / float(seconds)

    def epochs(self) -> list[float]:
        """Run `fine_tune`, and give the seconds of each epoch but the first, which builds the graph."""
        done = self._run(sys.executable, "-m", "stages.fine_tune", stdout=subprocess.PIPE, text=True)
        return [float(found) for found in re.findall(r"epoch \d+/\d+ .* ([\d.]+) s$", done.stdout, re.MULTILINE)[1:]]

    def _run(self, *command: str, **options: Any) -> subprocess.CompletedProcess:
        done = subprocess.run(command, cwd=self.path, **options)
        if done.returncode:
            raise UserError(f"{' '.join(command[1:])} failed in {self.path} with exit status {done.returncode}")
        return done


@contextlib.contextmanager
def workspace() -> Iterator[Workspace]:
    """A workspace that is removed at the end."""
    with tempfile.TemporaryDirectory(prefix="headstart-") as folder:
        yield Workspace(Path(folder))
