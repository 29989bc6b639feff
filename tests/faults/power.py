"""Power loss in the middle and at the end of each stage: python tests/faults/power.py [--count 20]; as root, on Linux.

The project lies on a disk of its own, a file. All processes are killed, and the file is copied as it is: what was not
synced by then is not in it. The copy is mounted in place of the disk, the pipeline is run to its end, and its result is
compared byte by byte with that of an undisturbed run.
"""

import argparse
import collections
import random
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import scene
from conftest import Project

MEGABYTES = 400
# The second shows more: names are on the disk at once, and what is in the files is not waited for.
OPTIONS = ("defaults", "commit=1,data=writeback")


def possible() -> bool:
    """Whether a disk can be made of a file, and mounted."""
    if sys.platform != "linux" or not shutil.which("mkfs.ext4"):
        return False
    with tempfile.TemporaryDirectory() as folder:
        try:
            with Disk(Path(folder), megabytes=8).mounted():
                return True
        except subprocess.CalledProcessError:
            return False


class Disk:
    """An ext4 file system in the file `disk` of a folder, mounted at `mount`."""

    def __init__(self, folder: Path, megabytes: int = MEGABYTES, options: str = OPTIONS[0]):
        self.file, self.place, self._options = folder / "disk", folder / "mount", options
        self.place.mkdir()
        with self.file.open("wb") as file:
            file.truncate(megabytes << 20)
        subprocess.run(["mkfs.ext4", "-q", self.file], check=True, capture_output=True)

    def mount(self) -> None:
        options = f"loop,{self._options}"
        subprocess.run(["mount", "-o", options, self.file, self.place], check=True, capture_output=True)

    def unmount(self) -> None:
        subprocess.run(["umount", self.place], check=True, capture_output=True)

    @contextmanager
    def mounted(self):
        self.mount()
        try:
            yield self.place
        finally:
            self.unmount()

    def lose_power(self) -> None:
        """Leave on the mounted disk what is on it without what was still to be written."""
        left = self.file.with_name("left")
        subprocess.run(["cp", "--sparse=always", self.file, left], check=True)
        self.unmount()
        left.replace(self.file)
        self.mount()


def run_to(project: Project, stage: str, middle: float | None) -> None:
    """Run the pipeline, and kill all of it when `stage` has ended; or `middle` seconds after its start."""
    command = ["python", "-m", "dvc", "repro", *([stage] if middle is None else [])]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    with subprocess.Popen(command, cwd=project.path, env=project.environment, **pipes) as process:
        if middle is not None:
            for line in process.stdout:
                if line == f"> python -m stages.{stage}\n":
                    time.sleep(middle)
                    break
            scene.kill(project, scene.processes(project))
        process.stdout.read()
    scene.wait_for_none(project)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=24, help="losses, in turn at each stage (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng, counts = random.Random(options.seed), collections.Counter()
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        fresh = scene.build(folder / "fresh")
        undisturbed = scene.copy(fresh, folder / "undisturbed")
        undisturbed.repro()
        expected = scene.written(undisturbed)
        for number in range(options.count):
            stage = scene.STAGES[number % len(scene.STAGES)]
            middle = rng.uniform(0, 2.5) if number // len(scene.STAGES) % 2 else None
            (place := folder / f"disk{number}").mkdir()
            disk = Disk(place, options=OPTIONS[number // (2 * len(scene.STAGES)) % 2])
            with disk.mounted():
                project = scene.copy(fresh, disk.place / "project")
                subprocess.run(["sync", "-f", disk.place], check=True)
                run_to(project, stage, middle)
                disk.lose_power()
                outcome = recovered(project, expected)
            shutil.rmtree(place)
            counts[outcome] += 1
            print(f"{stage}, {'end' if middle is None else f'{middle:.1f} s'}: {outcome}; {dict(counts)}", flush=True)


def recovered(project: Project, expected: dict[str, bytes]) -> str:
    """What comes after a power loss: the same bytes at once, or after an error of one line and what it advises."""
    done = project.repro(check=False)
    assert "Traceback" not in done.stderr, done.stderr
    if done.returncode == 0:
        assert scene.different(project, expected) == [], f"a wrong result without a word\n{done.stdout}\n{done.stderr}"
        return "the same bytes"
    errors = [line for line in done.stderr.splitlines() if line.strip()]
    project.run("python", "-m", "headstart.check")
    project.repro()
    assert scene.different(project, expected) == [], errors
    return f"an error, make check, the same bytes ({errors[0]})"


if __name__ == "__main__":
    main()
