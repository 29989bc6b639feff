"""A stage that dies, of a signal, of Ctrl-C while it imports, of too little memory, is one line and no traceback."""

import os
import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only on Linux a stage is watched by a parent")
SCRIPT = """
from headstart.base import errors, watch
watch.start(__name__, lower="a.batch_size")
import os, signal, sys, time

def main():
    print(os.getpid(), flush=True)
    {body}

errors.run(main)
"""


def started(tmp_path, body, **options):
    """A stage whose `main` has this body, and the id of the process that it runs in."""
    script = tmp_path / "extract.py"
    script.write_text(SCRIPT.format(body=body))
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    # A shell's background processes ignore Ctrl-C, and so would this one.
    options.setdefault("preexec_fn", lambda: signal.signal(signal.SIGINT, signal.default_int_handler))
    process = subprocess.Popen(
        [sys.executable, script], env=os.environ | {"PYTHONPATH": str(ROOT)}, start_new_session=True, **pipes, **options
    )
    return process, int(process.stdout.readline())


@LINUX
@pytest.mark.parametrize(
    ("number", "words"),
    [
        (
            signal.SIGKILL,
            ", by which a system ends what takes too much memory: if nobody killed it, lower a.batch_size",
        ),
        (signal.SIGSEGV, ", a fault in a library, often for want of memory: lower a.batch_size, close other programs"),
        (signal.SIGABRT, ", a fault in a library"),
        (signal.SIGTERM, "; run it again, and it goes on where it stopped\n"),
        (signal.SIGHUP, "; run it again, and it goes on where it stopped\n"),
    ],
)
def test_a_stage_that_dies_of_a_signal_is_a_line_that_says_which(number, words, tmp_path):
    process, worker = started(tmp_path, "time.sleep(60)")
    assert worker != process.pid
    os.kill(worker, number)
    _, err = process.communicate(timeout=30)
    assert process.returncode == -number
    assert err.startswith(f"error: extract died of {number.name}{words}") and err.count("\n") == 1


@LINUX
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_whoever_ends_the_parent_ends_the_stage(number, tmp_path):
    process, _ = started(tmp_path, "time.sleep(60)")
    os.kill(process.pid, number)
    _, err = process.communicate(timeout=30)  # ends when the worker has closed its end too
    assert process.returncode == (130 if number == signal.SIGINT else -number)
    lines = {signal.SIGINT: "error: interrupted\n", signal.SIGKILL: ""}
    assert err == lines.get(number, "error: extract died of SIGTERM; run it again, and it goes on where it stopped\n")


@pytest.mark.parametrize(("body", "status"), [("return 3", 3), ("pass", 0), ("raise errors.UserError('got 3')", 1)])
def test_a_stage_ends_as_its_work_does(body, status, tmp_path):
    process, _ = started(tmp_path, body)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (status, "error: got 3\n" if status == 1 else "")


@pytest.mark.parametrize("both", [False, True])
def test_ctrl_c_is_one_line_however_often_it_comes(both, tmp_path):
    process, worker = started(tmp_path, "time.sleep(60)")
    for _ in range(3):
        os.killpg(process.pid, signal.SIGINT) if both else os.kill(worker, signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (130, "error: interrupted\n")


def test_ctrl_c_while_a_stage_imports_is_one_line():
    """The imports take seconds. Before `errors` is imported, 0.1 s after the start, nobody can help."""
    rng = random.Random(1)
    for _ in range(4):
        process = subprocess.Popen(
            [sys.executable, "-m", "stages.train_head"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        time.sleep(rng.uniform(0.5, 1.5))
        os.killpg(process.pid, signal.SIGINT)
        assert process.communicate(timeout=60)[0] == "error: interrupted\n"
        assert process.returncode in (-signal.SIGINT, 130)


# Ctrl-C at the first import of ours that the handler does not need: what takes seconds comes after it.
INTERRUPTED = """
import sys

class Finder:
    def find_spec(name, *_):
        ready = [f"headstart.base{part}" for part in ("", ".errors", ".credentials", ".terminal")]
        if name.partition(".")[0] in ("numpy", "dvc", "rich") or (name.startswith("headstart.") and name not in ready):
            raise KeyboardInterrupt

__import__("headstart")
command = sys.argv.pop(1)
spec = __import__("importlib.util").util.find_spec(command)
sys.meta_path.insert(0, Finder)
exec(compile(open(spec.origin).read(), spec.origin, "exec"), {"__name__": "__main__"})
"""
COMMANDS = sorted(path.stem for path in (ROOT / "headstart").glob("*.py") if not path.stem.startswith("__"))


@pytest.mark.parametrize("name", COMMANDS)
def test_ctrl_c_while_a_command_imports_is_one_line(name):
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, f"headstart.{name}"], cwd=ROOT, capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == ("", "error: interrupted\n")


MEMORY = "error: too little memory: lower a.batch_size, close other programs, or raise the limit (`ulimit -v`)\n"


@pytest.mark.parametrize(
    "body",
    [
        "raise MemoryError",
        "bytearray(2**62)",
        "raise OSError(12, 'Cannot allocate memory')",
        "raise ImportError('libx.so: failed to map segment from shared object')",
        'raise RuntimeError("can\'t start new thread")',
        "import numpy; numpy.ones(2**50)",
    ],
)
def test_too_little_memory_is_one_line_that_says_what_to_lower(body, tmp_path):
    process, _ = started(tmp_path, body)
    assert (process.communicate(timeout=60)[1], process.returncode) == (MEMORY, 1)


@LINUX
def test_a_limit_of_memory_is_one_line_while_a_stage_imports_too():
    done = subprocess.run(
        [sys.executable, "-m", "stages.train_head"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (6 * 10**8, 6 * 10**8)),
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == MEMORY.replace("a.batch_size", "head.batch_size or image.size")
