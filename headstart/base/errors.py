"""Errors that a user can cause: one line on standard error, exit status 1, no traceback."""

import errno
import sys
from collections.abc import Callable
from types import TracebackType

from headstart.base.terminal import say


class UserError(Exception):
    """An error that the user can correct.

    The message is one line: the value that was given, the values that are accepted, what to do next.
    """


def run(main: Callable[[], int | None]) -> None:
    """Run a command's `main` and end the process with its exit status (None counts as 0).

    A `UserError`, a full disk, a file that may not be read or written and Ctrl-C become one line on standard error.
    """
    try:
        status = main()
    except UserError as error:
        status = _fail(str(error))
    except KeyboardInterrupt:
        _fail("interrupted")
        status = 130
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            status = _fail(f"the disk is full ({error.filename or 'while writing'}): free some space and run it again")
        elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            status = _fail(
                f"no permission for {error.filename or 'a file'}: {error.strerror}; change its owner or its mode"
            )
        else:
            raise
    raise SystemExit(status)


def _fail(message: str) -> int:
    say("error: " + " ".join(message.split()), file=sys.stderr)
    return 1


def _excepthook(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    """Ctrl-C while a command still imports, before its `main`, is one line too; other errors are shown as ever."""
    if issubclass(kind, KeyboardInterrupt):
        _fail("interrupted")
    else:
        sys.__excepthook__(kind, error, traceback)


sys.excepthook = _excepthook
