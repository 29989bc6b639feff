"""Each of the long stages, killed at several moments: what was done is not done again, and the bytes are the same."""

import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from conftest import INTERRUPTIBLE, Project

# What a stage writes, and how far it has come.
STAGES = {
    "extract": (["data/features"], "done.json"),
    "train_head": (["models/head.keras", "metrics/head"], "epochs.npz"),
    "fine_tune": (["models/network.keras", "metrics/validation.csv", "metrics/fine_tune"], "epochs.npz"),
}
IMAGES = 32 + 2 * 16  # plain, and two more views of those for training


def contents(project, stage):
    files = {}
    for path in (project.path / name for name in STAGES[stage][0]):
        for file in path.rglob("*") if path.is_dir() else [path]:
            if file.is_file():
                files[str(file.relative_to(project.path))] = file.read_bytes()
    return files


def killed(project, stage, moment):
    """Run `stage`, and kill it -9 when its checkpoint has changed for the `moment`-th time; what it had printed."""

    def state():
        # One look at each file: two would see two states, where the file is replaced between them.
        statuses = [path.stat() for path in project.path.glob(f".headstart/{stage}-*/{STAGES[stage][1]}")]
        return [(status.st_ino, status.st_mtime_ns) for status in statuses]

    with subprocess.Popen(
        ["python", "-m", f"stages.{stage}"],
        cwd=project.path,
        env=project.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    ) as process:
        before, changes, start = state(), 0, time.monotonic()
        while changes < moment:
            assert process.poll() is None and time.monotonic() - start < 120
            time.sleep(0.0005)
            try:
                now = state()
            except FileNotFoundError:
                continue  # replaced in this moment
            changes, before = changes + (now != before), now
        os.killpg(process.pid, signal.SIGKILL)
        return process.communicate()[0]


@pytest.mark.parametrize("stage", STAGES)
def test_a_killed_stage_goes_on_and_ends_in_the_same_bytes(stage, undisturbed, tmp_path):
    expected = contents(Project(undisturbed), stage)
    assert expected and not (undisturbed / ".headstart").exists()
    project = Project(Path(shutil.copytree(undisturbed, tmp_path / "project")))
    for name in STAGES[stage][0]:  # as DVC does before it runs a stage
        path = project.path / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    outputs = [name for name in STAGES[stage][0] if not name.startswith("metrics")]
    moment = 1 if stage == "extract" else 2  # of its four marks the last one is that of its end
    killed(project, stage, moment)
    assert not [name for name in outputs if (project.path / name).exists()]
    printed = killed(project, stage, moment)
    if stage != "extract":
        assert int(re.search(r"going on after epoch (\d)", printed)[1]) >= 1
    assert not [name for name in outputs if (project.path / name).exists()]

    done = project.stage(stage, check=True)
    if stage == "extract":
        left = int(re.search(r"extract: (\d+) images in", done.stderr)[1])
        assert 0 < left <= IMAGES - 2 * 8  # two blocks of eight images were done
    else:
        assert int(re.search(r"going on after epoch (\d)", done.stdout)[1]) >= 3
    assert contents(project, stage) == expected
    assert not (project.path / ".headstart").exists()


def test_a_stage_killed_before_dvc_recorded_it_has_nothing_left_to_do(project):
    project.set(INTERRUPTIBLE)
    project.repro("fetch", "split")
    before = (project.path / "dvc.lock").read_bytes()
    for stage in STAGES:
        project.repro(stage)
        expected = contents(project, stage)
        # As it is when the stage was killed between its end and its record.
        (project.path / "dvc.lock").write_bytes(before)
        shutil.rmtree(project.path / ".dvc/cache/runs")
        done = project.repro(stage)
        assert stage in Project.ran(done)
        nothing_left = "extract: 0 images in" if stage == "extract" else f"{stage}: going on after epoch 4"
        assert nothing_left in done.stdout + done.stderr and "epoch 1/4" not in done.stdout
        assert contents(project, stage) == expected
        before = (project.path / "dvc.lock").read_bytes()
    project.repro("evaluate")
    assert not (project.path / ".headstart").exists()
