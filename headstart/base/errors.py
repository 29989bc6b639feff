"""Errors that a user can cause: one line on standard error, exit status 1, no traceback."""

import contextlib
import errno
import gc
import io
import os
import re
import select
import signal
import sys
from collections.abc import Callable, Iterator
from types import TracebackType

from headstart.base import credentials
from headstart.base.terminal import say

# How Python, NumPy, the loader of libraries and TensorFlow say that there is too little memory.
NO_MEMORY = re.compile(
    r"cannot allocate memory|failed to map segment|unable to allocate|bad_alloc|can't start new thread|out of memory|"
    r"\bOOM\b|resource_?exhausted",
    re.IGNORECASE,
)
# How TensorFlow says that a GPU would not compute the same bits each time.
NO_DETERMINISM = re.compile(r"deterministic GPU implementation of (.+?)(?:,| is)? ?not (?:currently )?available", re.I)
CODES = re.compile(r"\x1b\[[0-9;]*m")  # by which Keras makes text bold in a terminal
WHAT_STANDS_THERE = {errno.EEXIST: "is there already", errno.ENOTDIR: "is no folder", errno.EISDIR: "is a folder"}

lower = ""  # the parameters of this stage that take less memory if they are lowered
_kept: list["Explained"] = []


class Explained(Exception):
    """An error whose message is one line for the user: what is wrong, and what to do next."""


class UserError(Explained):
    """An error that the user can correct.

    The message is one line: the value that was given, the values that are accepted, what to do next.
    """


@contextlib.contextmanager
def kept() -> Iterator[None]:
    """Keep an explained error that is raised inside for `run`: TensorFlow makes its own of those of callbacks."""
    try:
        yield
    except Explained as error:
        _kept.append(error)
        raise


class Damaged(Exception):
    """What a file holds cannot be read; the message is one line of 200 characters at most."""


def text_of(error: BaseException) -> str:
    """Return an error's message without line ends and a terminal's codes; the name of its kind where it has none."""
    return " ".join(CODES.sub("", str(error)).split()) or type(error).__name__


@contextlib.contextmanager
def doubted() -> Iterator[None]:
    """Raise `Damaged` for whatever is raised inside, where a file is read that may be damaged.

    Zip, JSON, NumPy, HDF5 and Keras each take a file to be their own, and raise exceptions of dozens of kinds.
    """
    try:
        yield
    except (MemoryError, Damaged):
        raise
    except Exception as error:
        text = text_of(error)
        raise Damaged(text if len(text) <= 200 else text[:199] + "…") from None


def run(main: Callable[[], int | None]) -> None:
    """Run a command's `main` and end the process with its exit status (None counts as 0).

    An explained error, a full disk, a file that may not be read or written, too little memory and Ctrl-C become one
    line on standard error. Where nobody reads any further, as after `| head`, it ends without a word. A letter that the
    terminal's encoding lacks is written out.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    gc.freeze()  # what is imported stays: to look for garbage in it takes a tenth of the time of a training
    try:
        status = main()
    except KeyboardInterrupt:
        _ignore_interrupts()
        fail("interrupted")
        status = 130
    except BrokenPipeError:
        if not _nobody_reads():
            raise  # it is another pipe
        status = 128 + signal.SIGPIPE
    except Exception as error:
        line = in_one_line(error)
        if line is None:
            raise
        status = fail(line)
    _ignore_interrupts()
    raise SystemExit(status)


def in_one_line(error: BaseException) -> str | None:
    """Return what to say of an error that a user can cause; None of one that only a programmer can."""
    if _kept:
        return str(_kept[0])
    if isinstance(error, Explained):
        return str(error)
    if any(_lacks_memory(cause) for cause in _chain(error)):
        return f"too little memory: {memory_advice()}"
    if forbidden := next(filter(None, (NO_DETERMINISM.search(str(cause)) for cause in _chain(error))), None):
        return (
            f"on a GPU TensorFlow has no {forbidden[1]} that gives the same bits each time: compute on the processor "
            "(CUDA_VISIBLE_DEVICES=-1), or take a backbone without it (docs/scale.md)"
        )
    if not isinstance(error, OSError):
        return None
    file = error.filename or "a file"
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return f"the disk is full ({error.filename or 'while writing'}): free some space and run it again"
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return f"no permission for {file}: {error.strerror}; change its owner or its mode"
        case errno.EIO:
            return f"the disk cannot be read or written at {file}: {error.strerror}; look at it before you go on"
        case errno.EEXIST | errno.ENOTDIR | errno.EISDIR:
            return f"{file} is in the way ({WHAT_STANDS_THERE[error.errno]}): move it elsewhere and run it again"
    return None


def fail(message: str) -> int:
    """Write an error in one line to standard error, without the passwords in its addresses. Returns exit status 1."""
    say("error: " + credentials.hidden(" ".join(message.split())), file=sys.stderr)
    return 1


def memory_advice() -> str:
    """What to do where memory is short."""
    return (f"lower {lower}, " if lower else "") + "close other programs, or raise the limit (`ulimit -v`)"


def _nobody_reads() -> bool:
    """Whether standard output or error has lost its reader. It leads nowhere then: Python flushes both at its end."""
    ends = select.poll()
    for number in (1, 2):
        ends.register(number, 0)
    lost = [number for number, event in ends.poll(0) if event & (select.POLLERR | select.POLLHUP)]
    for number in lost:
        os.dup2(os.open(os.devnull, os.O_WRONLY), number)
    return bool(lost)


def _ignore_interrupts() -> None:
    # What is left to do is to end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _lacks_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return True
    # A library that cannot be loaded, a thread that cannot be started, and what TensorFlow raises.
    kinds = isinstance(error, ImportError | OSError | RuntimeError) or type(error).__module__.startswith("tensorflow.")
    return kinds and NO_MEMORY.search(f"{type(error).__name__} {error}") is not None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error, and those that it came of."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _excepthook(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    """Ctrl-C and a want of memory while a command still imports are one line too; other errors are shown as ever."""
    if issubclass(kind, KeyboardInterrupt):
        _ignore_interrupts()
        fail("interrupted")
    elif line := in_one_line(error):
        fail(line)
    else:
        sys.__excepthook__(kind, error, traceback)


sys.excepthook = _excepthook
