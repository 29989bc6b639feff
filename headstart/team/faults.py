"""What an error of DVC or of a server's library means, and what to do next.

DVC raises each library's errors as they come, "unexpected error" before them, and logs many instead of raising them.
"""

import errno
import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from dvc.config import ConfigError
from dvc.exceptions import DvcException
from dvc.fs import RemoteMissingDepsError

from headstart.base.errors import UserError
from headstart.team import addresses

# Names of exceptions and words in messages of asyncssh, botocore and httpx, none of which need be installed.
REFUSED = re.compile(
    "PermissionDenied|PermissionError|NoCredentialsError|HTTP 40[13]|authentication failures|Partial credentials"
    "|Unauthorized|Forbidden|Access Key|AccessDenied|InvalidAccessKeyId"
    r"|\b40[13] "  # and not the end of a port: "Cannot connect to host 127.0.0.1:40401 ssl:default"
)
UNREACHABLE = (
    "ConnectError",
    "ConnectionError",
    "ConnectionRefused",
    "ConnectTimeout",
    "EndpointConnection",
    "ConnectionLost",
    "ConnectionClosed",
    "ConnectionReset",
    "BrokenPipe",
    "Connect call failed",
    "gaierror",
    "Connection not open",
    "Connection lost",
    "Connection closed",
    "RemoteProtocolError",
    "ReadError",
    "WriteError",
    "ReadTimeout",
)
# What servers call a full disk; over SSH, and where a WebDAV server has no word for it, they name no reason.
FULL = re.compile(r"\b507\b|Insufficient Storage|QuotaExceeded|StorageFull|No space left")


class Refused(UserError):
    """The server answered and refused the user's login."""


def explain(url: str, error: BaseException, here: Sequence[Path] = ()) -> UserError:
    """Returns what `error`, met at the remote `url`, means: one line that says what to do next.

    here: the folders of this machine that a pull writes to, and to nothing else; default: what is written is written at
    the remote.
    """
    kind, chain = addresses.storage(url), list(_chain(error))
    if here and (own := _of_this_disk(chain, here)):
        return own
    if isinstance(error, RemoteMissingDepsError):
        requirements = f"requirements-{kind}.txt"
        return UserError(
            f"{url}: the library for {kind} is not installed: make remote, or pip install -r {requirements}"
        )
    if isinstance(error, ConfigError):
        return UserError(f".dvc/config: {error}: correct it, or make remote URL=…")
    texts = [f"{type(link).__name__} {link}" for link in chain]
    cause = reason(error)
    if any(REFUSED.search(text) for text in texts):
        if kind == "folder":
            return UserError(f"no permission for {url} ({cause}): {addresses.LOGIN_HELP[kind]}")
        return Refused(f"{url} refused your login ({cause}): {addresses.LOGIN_HELP[kind]}")
    if any(word in text for word in UNREACHABLE for text in texts):
        return UserError(
            f"{url} cannot be reached ({cause}): check the address and the network, then run this again: "
            "it goes on from there"
        )
    if isinstance(error, FileNotFoundError):
        return UserError(f"{url} is not there ({cause}): make the bucket or the folder first, or correct the address")
    no_space = any(isinstance(link, OSError) and link.errno in (errno.ENOSPC, errno.EDQUOT) for link in chain)
    if no_space or any(FULL.search(text) for text in texts):
        return UserError(f"{url} is full ({cause}): free some space there and run this again: it goes on from there")
    if isinstance(error, DvcException):
        return UserError(cause)
    return UserError(f"{url}: {cause}: check the address, and that there is space left")


def _of_this_disk(chain: Sequence[BaseException], here: Sequence[Path]) -> UserError | None:
    """What to say where it is a disk of this machine that is full or that may not be written; None: it is not."""
    for link in (link for link in chain if isinstance(link, OSError)):
        place = link.filename2 or link.filename  # of a copy the second one is where it goes
        if link.errno in (errno.ENOSPC, errno.EDQUOT):
            return UserError(
                f"the disk is full ({place or 'while writing'}): free some space here and run this again: it goes on "
                "from there"
            )
        forbidden = link.errno in (errno.EACCES, errno.EPERM, errno.EROFS)
        if forbidden and place and any(Path(place).is_relative_to(folder) for folder in here):
            return UserError(f"no permission for {place}: {link.strerror}; change its owner or its mode")
    return None


def reason(error: BaseException) -> str:
    """Returns the message of the outermost error in the chain that has one, in one line of at most 300 characters."""
    messages = [" ".join(str(link).split()) for link in _chain(error)]
    return next((message for message in messages if message), type(error).__name__)[:300]


@contextmanager
def logged_errors() -> Iterator[list[BaseException]]:
    """Yields a list that collects the errors that DVC logs, file by file, instead of raising them.

    Within the block none of DVC's warnings and errors is printed.
    """
    caught: list[BaseException] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: caught.extend(filter(None, (record.exc_info or (None,))[1:2]))
    # All records come to the root; importing DVC gives its three loggers handlers that print.
    loggers = [logging.getLogger(name) for name in (None, "dvc", "dvc_data", "dvc_objects")]
    previous = [logger.handlers for logger in loggers]
    for logger in loggers:
        logger.handlers = [] if logger.parent else [handler]
    try:
        yield caught
    finally:
        for logger, handlers in zip(loggers, previous, strict=True):
            logger.handlers = handlers


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
