"""uvicorn, with what it leaves to others: connections that never ask, or never read the answer, are cut."""

import asyncio
import logging
import math
import resource
import socket
from contextlib import suppress

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from headstart.serving import problems
from headstart.serving.limits import CONNECTIONS, Limits

HEAD = 10  # seconds at most, within which the head of a connection's first request has to be there


def protocol(seconds: float, most: int = CONNECTIONS) -> type[H11Protocol]:
    """Return uvicorn's protocol, for connections that are cut where for so many seconds no answer was completed.

    That is the case where the head of a request does not arrive (uvicorn waits for it for ever; the first one has
    `HEAD` seconds) and where an answer is not read. most: connections at once; another one is closed.
    """

    class Connection(H11Protocol):
        _cut: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:
            super().connection_made(transport)
            if len(self.connections) > most:
                transport.abort()
            else:
                self._cut = self.loop.call_later(min(HEAD, seconds), self._look)

        def connection_lost(self, exc: Exception | None) -> None:
            if self._cut is not None:
                self._cut.cancel()
            super().connection_lost(exc)

        def on_response_complete(self) -> None:
            self._wait()
            super().on_response_complete()

        def send_400_response(self, msg: str) -> None:
            answer = problems.response(400, f"{msg} It is no HTTP, or its head is too long")
            lines = [b"HTTP/1.1 400 Bad Request", b"connection: close"]
            lines += [name + b": " + value for name, value in answer.raw_headers]
            self.transport.write(b"\r\n".join([*lines, b"", answer.body]))
            self.transport.close()

        def _look(self) -> None:
            if self.cycle is None:
                self.transport.abort()
            else:
                self._wait()

        def _wait(self) -> None:
            if self._cut is not None:
                self._cut.cancel()
            self._cut = self.loop.call_later(seconds, self.transport.abort)

    return Connection


def serve(app: ASGIApp, listening: socket.socket, limits: Limits) -> None:
    """Answer requests until SIGTERM or Ctrl-C; then what has begun is finished, and nothing new is taken."""
    _allow_files(2 * CONNECTIONS)
    # uvicorn raises the signal again when it has stopped.
    with suppress(KeyboardInterrupt):
        server(app, limits).run([listening])


def server(app: ASGIApp, limits: Limits) -> uvicorn.Server:
    """Return what answers requests: its `run` takes a listening socket, and ends when its `should_exit` is set."""
    logging.getLogger("python_multipart").setLevel(logging.ERROR)  # whoever sends nonsense is told so
    config = uvicorn.Config(
        app,
        http=protocol(2 * limits.seconds),
        ws="none",
        lifespan="on",
        access_log=False,
        log_level="error",
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=math.ceil(limits.seconds) + 2,
    )
    return uvicorn.Server(config)


def _allow_files(count: int) -> None:
    """Have this process open as many files as that, where the system allows it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
