import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(body: str) -> subprocess.CompletedProcess:
    """A command whose `main` has this body, ended by `errors.run`."""
    lines = "\n    ".join(body.splitlines())
    imports = "import errno, os, signal\nfrom headstart.base import errors"
    script = f"{imports}\n\ndef main():\n    {lines}\n\nerrors.run(main)\n"
    return subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("body", "status", "line"),
    [
        ("raise errors.UserError('got 3; takes 4: try 4')", 1, "error: got 3; takes 4: try 4"),
        ("raise errors.UserError('two\\n  lines')", 1, "error: two lines"),
        (
            "raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), 'data/x.npy')",
            1,
            "error: the disk is full (data/x.npy): free some space and run it again",
        ),
        (
            "raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))",
            1,
            "error: the disk is full (while writing): free some space and run it again",
        ),
        (
            "raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))",
            1,
            "error: the disk is full (while writing): free some space and run it again",
        ),
        (
            "raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), 'data/raw')",
            1,
            "error: no permission for data/raw: Permission denied; change its owner or its mode",
        ),
        (
            "raise OSError(errno.EROFS, os.strerror(errno.EROFS), 'models')",
            1,
            "error: no permission for models: Read-only file system; change its owner or its mode",
        ),
        (
            "from headstart.base.runtime import tf\n"
            "raise tf.errors.UnimplementedError(None, None, 'A deterministic GPU implementation of '\n"
            "'DepthwiseConvBackpropFilter is not currently available. [Op:X]')",
            1,
            "error: on a GPU TensorFlow has no DepthwiseConvBackpropFilter that gives the same bits each time: compute "
            "on the processor (CUDA_VISIBLE_DEVICES=-1), or take a backbone without it (docs/scale.md)",
        ),
        # What runs in the background of a shell ignores it.
        (
            "signal.signal(signal.SIGINT, signal.default_int_handler)\nsignal.raise_signal(signal.SIGINT)",
            130,
            "error: interrupted",
        ),
    ],
)
def test_what_a_user_can_cause_is_one_line(body, status, line):
    done = run(body)
    assert (done.returncode, done.stdout, done.stderr) == (status, "", line + "\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full, a disk that is always full, on this system")
def test_a_disk_that_is_really_full_is_one_line():
    done = run("with open('/dev/full', 'wb', buffering=0) as file:\n    file.write(b'x')")
    assert done.returncode == 1
    assert done.stderr.startswith("error: the disk is full (")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("body", "last"),
    [
        ("[][1]", "IndexError: list index out of range"),
        ("raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))", "BrokenPipeError: [Errno 32] Broken pipe"),
        ("open('nothing/here')", "FileNotFoundError: [Errno 2] No such file or directory: 'nothing/here'"),
    ],
)
def test_a_mistake_of_the_program_shows_its_traceback(body, last):
    done = run(body)
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback (most recent call last):")
    assert done.stderr.splitlines()[-1] == last


@pytest.mark.parametrize(("body", "status"), [("return None", 0), ("return 0", 0), ("return 1", 1)])
def test_the_status_of_main_is_the_status_of_the_command(body, status):
    done = run(body)
    assert (done.returncode, done.stdout, done.stderr) == (status, "", "")


def test_where_nobody_reads_on_a_command_ends_without_a_word():
    script = "from headstart.base import errors, terminal\n"
    script += "errors.run(lambda: [terminal.say('line') for _ in range(100_000)] and None)"
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"line\n"
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 128 + signal.SIGPIPE


def test_a_letter_that_the_encoding_lacks_is_written_out():
    script = "from headstart.base import errors, terminal\n"
    script += "errors.run(lambda: terminal.say('0.82 – 0.88') or errors.fail('größer'))"
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=environment, capture_output=True)
    assert (done.stdout, done.stderr) == (b"0.82 \\u2013 0.88\n", b"error: gr\\xf6\\xdfer\n")


def test_ctrl_c_while_a_command_imports_is_one_line_too():
    # A shell's background processes ignore the signal, and so would this one.
    script = "import os, signal, time; signal.signal(signal.SIGINT, signal.default_int_handler)"
    script += "; import headstart.base.errors; os.kill(os.getpid(), signal.SIGINT); time.sleep(9)"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (-signal.SIGINT, "error: interrupted\n")


def test_a_fault_before_main_has_its_traceback():
    script = "import headstart.base.errors; 1 / 0"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1 and "Traceback" in done.stderr and "ZeroDivisionError" in done.stderr
