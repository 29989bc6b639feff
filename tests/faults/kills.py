"""kill -9 at random moments over the whole pipeline, push and pull: python tests/faults/kills.py [--count 100]

Each kill hits all processes of a run, or one that is drawn: dvc alone, a stage's parent, the stage itself. The next
run starts at once, beside what may have been left alive. A run that comes to its end is compared byte by byte with an
undisturbed one, and the next one begins from nothing.
"""

import argparse
import collections
import random
import subprocess
import tempfile
import time
from pathlib import Path

import scene
from conftest import Project

REPRO = ["python", "-m", "dvc", "repro"]
# Said of a process that was left alive.
BUSY = ("another process", "still at work", "Unable to acquire lock", "is busy", "waiting for")


class Campaign:
    """Kills, counted, and what came after them."""

    def __init__(self, seed: int):
        self.rng, self.counts = random.Random(seed), collections.Counter()
        self.whole = 0.0  # seconds that the last run took that was not killed

    def to_the_end(self, project: Project, command: list[str], longest: float, kills: int) -> None:
        """Run `command` again and again, killed at random moments within `longest` seconds, until it ends well.

        After `kills` it is left alone. Raises AssertionError for a run that fails by itself, and for a traceback.
        """
        mended, attempts = None, 0
        while True:
            attempts, start = attempts + 1, time.monotonic()
            with tempfile.TemporaryFile("w+") as output:
                process = subprocess.Popen(
                    command, cwd=project.path, env=project.environment, stdout=output, stderr=output, text=True
                )
                moment = time.monotonic() + self.rng.uniform(0, longest)
                while process.poll() is None and (kills <= 0 or time.monotonic() < moment):
                    time.sleep(0.01)
                killed = process.poll() is None
                if killed:
                    which = scene.processes(project)
                    one = which and self.rng.random() < 0.5
                    scene.kill(project, [self.rng.choice(which)] if one else which)
                    kills -= 1
                    self.counts["killed one process" if one else "killed all processes"] += 1
                status = process.wait()
                output.seek(0)
                said = output.read()
            assert "Traceback" not in said, said
            if status == 0:
                # A whole run in one go: other work on the machine has made the first one slower, or this one.
                self.whole = time.monotonic() - start if attempts == 1 else self.whole
                return
            if not killed:
                if not any(word in said for word in BUSY):
                    # DVC writes its own files in place: what is left half of one, the check before a run mends.
                    assert status != mended, f"make check does not mend it\n{said}"
                    self.counts["mended by make check"] += 1
                    mended = status
                else:
                    self.counts["found one still at work"] += 1
                scene.wait_for_none(project)
                project.run("python", "-m", "headstart.check", "--quick")
            else:
                mended = None

    def pipeline(self, fresh: Project, path: Path, expected: dict[str, bytes], longest: float, kills: int) -> Project:
        """A whole run with so many kills, compared with an undisturbed one."""
        project = scene.copy(fresh, path)
        self.to_the_end(project, REPRO, longest, kills)
        assert scene.different(project, expected) == []
        assert Project.ran(project.repro()) == [], "what is done is recorded"
        assert scene.different(project, expected) == []
        self.counts["runs with the same bytes"] += 1
        return project

    def team(self, done: Project, folder: Path, expected: dict[str, bytes], kills: int) -> None:
        """A push and a pull with so many kills each: the colleague has the same bytes, and nothing left to run."""
        remote, colleague = folder / "remote", folder / "colleague"
        done.commit("A run")
        done.run("python", "-m", "headstart.remote", str(remote))
        done.commit("A remote")
        self.to_the_end(done, ["python", "-m", "headstart.sharing", "push"], 3.0, kills)
        subprocess.run(["git", "clone", "-q", done.path, colleague], check=True)
        other = Project(colleague)
        scene.shutil.copytree(done.path / "data/my_images", colleague / "data/my_images", dirs_exist_ok=True)
        scene.shutil.copy(done.path / "data/weights.h5", colleague / "data/weights.h5")
        self.to_the_end(other, ["python", "-m", "headstart.sharing", "pull"], 3.0, kills)
        assert scene.different(other, expected) == []
        assert Project.ran(other.repro()) == []
        self.counts["pushes and pulls with the same bytes"] += 1
        scene.shutil.rmtree(remote)
        scene.shutil.rmtree(colleague)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=100, help="kills of the pipeline (default: %(default)s)")
    parser.add_argument("--sharing", type=int, default=20, help="kills of push, and of pull (default: %(default)s)")
    parser.add_argument("--each", type=int, default=10, help="kills of one run at most (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        fresh = scene.build(folder / "fresh")
        undisturbed, start = scene.copy(fresh, folder / "undisturbed"), time.monotonic()
        undisturbed.repro()
        longest, expected = time.monotonic() - start, scene.written(undisturbed)
        campaign, left = Campaign(options.seed), options.count
        while left > 0:
            kills = min(left, options.each)
            project = campaign.pipeline(fresh, folder / "project", expected, campaign.whole or longest, kills)
            left = options.count - sum(campaign.counts[f"killed {which}"] for which in ("all processes", "one process"))
            print(dict(campaign.counts), flush=True)
        if options.sharing:
            campaign.team(project, folder, expected, options.sharing)
        print(dict(campaign.counts))


if __name__ == "__main__":
    main()
