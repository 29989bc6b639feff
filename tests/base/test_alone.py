"""One stage at a time: a stage outlives the `dvc` that is killed, and may be of other parameters."""

import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from headstart.base import alone
from headstart.base.errors import UserError

HOLD = "from headstart.base import alone; alone.begin('split'); print(flush=True); input()"


@pytest.fixture
def other(tmp_path, monkeypatch):
    """A process that is at work on split."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(alone, "_held", [])
    environment = os.environ | {"DVC_STAGE": "split", "PYTHONPATH": str(Path(alone.__file__).parents[2])}
    with subprocess.Popen(
        [sys.executable, "-c", HOLD], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        process.stdout.readline()
        yield process
        process.kill()


def test_a_stage_does_not_start_beside_another_one(other, monkeypatch):
    assert alone.at_work(Path()) == "split"
    alone.begin("extract")  # not by DVC
    monkeypatch.setenv("DVC_STAGE", "extract")
    with pytest.raises(UserError, match=rf"^split is still at work in this folder, .* \(kill {other.pid}\)"):
        alone.begin("extract")
    assert alone.FILE.read_text() == f"{other.pid} split"
    other.kill()
    other.wait()
    assert alone.at_work(Path()) is None
    alone.begin("extract")
    alone.begin("extract")
    assert alone.FILE.read_text() == f"{os.getpid()} extract"


def test_what_is_asked_for_the_lock_is_open_to_be_written(other, monkeypatch):
    """On NFS the system refuses to lock for one alone what is open for reading: EBADF, says flock(2)."""
    modes = []
    lock = alone.files.lock
    monkeypatch.setattr(
        alone.files, "lock", lambda descriptor: modes.append(fcntl.fcntl(descriptor, fcntl.F_GETFL)) or lock(descriptor)
    )
    assert alone.at_work(Path()) == "split"
    assert [mode & os.O_ACCMODE for mode in modes] == [os.O_RDWR]


def test_in_the_moment_before_its_name_is_written_it_has_none(other, monkeypatch):
    monkeypatch.setenv("DVC_STAGE", "extract")
    alone.FILE.write_text("")
    with pytest.raises(UserError, match="^another stage is still at work .*its process is not known yet"):
        alone.begin("extract")


def test_a_run_beside_the_stage_of_a_killed_one_is_one_line_and_the_next_one_is_right(reproduced):
    """The orphan is of other parameters than the run beside it, and would write over its result."""
    reproduced.set({"fine_tune.learning_rate": 0.003})
    first = subprocess.Popen(
        [sys.executable, "-m", "dvc", "repro"],
        cwd=reproduced.path,
        env=reproduced.environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    file = reproduced.path / alone.FILE
    while not (file.exists() and file.read_text().endswith("fine_tune")):
        assert first.poll() is None
        time.sleep(0.005)
    orphan = int(file.read_text().split()[0])
    first.kill()
    first.wait()
    os.kill(orphan, signal.SIGSTOP)
    try:
        reproduced.set({"fine_tune.learning_rate": 0.002})
        done = reproduced.repro(check=False)
        assert done.returncode != 0
        line = next(line for line in done.stderr.splitlines() if line.startswith("error: "))
        assert (
            f"fine_tune is still at work in this folder, of an earlier run: wait for it, or stop it (kill {orphan})"
            in line
        )
        assert "Traceback" not in done.stderr
    finally:
        os.kill(orphan, signal.SIGKILL)
    while alone.at_work(reproduced.path):
        time.sleep(0.01)
    assert reproduced.ran(reproduced.repro("fine_tune")) == ["fine_tune"]
