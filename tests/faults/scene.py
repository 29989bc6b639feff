"""What the fault injectors share: a project of small images whose run has a middle, and what it writes."""

import os
import shutil
import signal
import sys
import time
from pathlib import Path

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS), str(TESTS.parent)]  # as a command; pytest has both already

import conftest  # noqa: E402
from conftest import INTERRUPTIBLE, Project  # noqa: E402

STAGES = ["fetch", "split", "extract", "inspect", "train_head", "fine_tune", "calibrate", "evaluate", "report"]


def build(path: Path) -> Project:
    """A project at `path`, nothing of which has run."""
    conftest._set_up(path)
    project = Project(path)
    project.set(INTERRUPTIBLE)
    project.commit("More to do")
    return project


def copy(project: Project, path: Path) -> Project:
    """The same at another path."""
    shutil.rmtree(path, ignore_errors=True)
    return Project(Path(shutil.copytree(project.path, path, symlinks=True)))


def written(project: Project) -> dict[str, bytes]:
    """What the pipeline wrote, by its path: what it reads itself and fetched is left out."""
    files = {}
    for folder in ("data", "models", "metrics"):
        for path in sorted((project.path / folder).rglob("*")):
            name = str(path.relative_to(project.path))
            if path.is_file() and path.name != ".gitignore" and not name.startswith(("data/my_images", "data/weights")):
                files[name] = path.read_bytes()
    return files


def different(project: Project, expected: dict[str, bytes]) -> list[str]:
    """The files that are missing, too many or of other content than in an undisturbed run."""
    found = written(project)
    return sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))


def processes(project: Project) -> list[int]:
    """The ids of all processes that work in the project's folder."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "cwd").readlink() == project.path:
                found.append(int(entry.name))
        except OSError:
            continue  # it has ended meanwhile, or is another user's
    return sorted(set(found) - {os.getpid()})


def kill(project: Project, which: list[int]) -> None:
    """Kill -9 some of the project's processes, and wait until none is left of those that they take with them."""
    for process in which:
        try:
            os.kill(process, signal.SIGKILL)
        except ProcessLookupError:
            continue


def wait_for_none(project: Project, seconds: float = 60) -> None:
    """Wait until nothing works in the project's folder any more."""
    end = time.monotonic() + seconds
    while processes(project):
        assert time.monotonic() < end, f"still at work: {processes(project)}"
        time.sleep(0.05)
