"""A stage that dies of a signal cannot say so itself: it runs in a child process, and its parent says it in one line.

A stage's script starts with `watch.start`, before it imports what takes seconds: what happens meanwhile (Ctrl-C, too
little memory) is one line, too, since this imports `errors`.
"""

from headstart.base import errors  # first: from here on Ctrl-C is one line

# isort: split
import ctypes
import os
import resource
import signal
import sys
import time
from pathlib import Path
from types import FrameType

PASSED_ON = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2}
PR_SET_PDEATHSIG = 1  # of Linux's prctl: the signal that a process gets when its parent dies
began = time.monotonic()  # when this process did
_interrupted = float("-inf")  # when the last Ctrl-C came


def start(name: str, lower: str = "") -> None:
    """Go on in a child process, while this one waits for its end, and ends as it does.

    name: the script's `__name__`: where it is imported rather than run, nothing is done. lower: the parameters that
    take less memory if they are lowered, for messages.

    On other systems than Linux it stays one process: macOS's frameworks do not survive a fork.
    """
    if name != "__main__":
        return
    global began
    errors.lower, began = lower, time.monotonic()
    if sys.platform != "linux":
        return
    # Waited for, these are neither lost nor handled in between.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_ON | {signal.SIGCHLD})
    parent, child = os.getpid(), os.fork()
    if child:
        _end_as(_waited_for(child))
    # The other way round, too: whoever kills the one process kills the stage.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _interrupt(signal_: int, frame: FrameType | None) -> None:
    # What is sent to both processes comes twice, and the second must not break what the first has begun.
    global _interrupted
    before, _interrupted = _interrupted, time.monotonic()
    if _interrupted - before > 1:
        raise KeyboardInterrupt


def _waited_for(child: int) -> int:
    """The exit status of a child, or minus the signal that it died of; signals to this process are passed on to it."""
    while True:
        got = signal.sigwaitinfo(PASSED_ON | {signal.SIGCHLD})
        if got.si_signo == signal.SIGCHLD:
            process, status = os.waitpid(child, os.WNOHANG)
            if process:
                return os.waitstatus_to_exitcode(status)
        elif got.si_code <= 0:  # sent by a process; what the terminal sends (Ctrl-C) the child has got itself
            os.kill(child, got.si_signo)


def _end_as(status: int) -> None:
    """End this process with an exit status, or by a signal, which is named."""
    if status < 0:
        if -status != signal.SIGINT:  # the child has said that it was interrupted
            errors.fail(_cause(signal.Signals(-status)))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # the child has left one, where the system keeps them
        signal.signal(-status, signal.SIG_DFL) if -status != signal.SIGKILL else None
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {-status})
        os.kill(os.getpid(), -status)
    os._exit(status)


def _cause(died_of: signal.Signals) -> str:
    stage = Path(sys.argv[0]).stem
    match died_of:
        case signal.SIGKILL:
            why = f", by which a system ends what takes too much memory: if nobody killed it, {errors.memory_advice()}"
        case signal.SIGABRT | signal.SIGBUS | signal.SIGSEGV | signal.SIGILL | signal.SIGFPE:
            why = f", a fault in a library, often for want of memory: {errors.memory_advice()}"
        case _:
            why = ""
    return f"{stage} died of {died_of.name}{why}; run it again, and it goes on where it stopped"
