"""What stands before the app: who may ask, how much a request may send, and how long it may take."""

import asyncio
import hashlib
import hmac
import ipaddress
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from headstart.serving import problems
from headstart.serving.limits import Limits
from headstart.serving.problems import Problem

PROBES = ("/healthz", "/readyz")  # anybody may ask these
LATER = {"Retry-After": "2"}
SAFE = ("GET", "HEAD", "OPTIONS")  # methods that write nothing
# What a browser is told of every answer: to load nothing from elsewhere, to guess no type, to show it in no frame.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
SECURITY = {
    b"content-security-policy": POLICY.encode(),
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-resource-policy": b"same-origin",
    b"cross-origin-opener-policy": b"same-origin",
    b"cache-control": b"no-store",
}


@dataclass(frozen=True)
class Access:
    """Who may ask.

    `token`: what a request has to bring as a bearer token; None: nothing. `names`: those of hosts that the server is
    reached by, beside addresses and localhost. `open`: paths that take no token.
    """

    token: str | None = None
    names: tuple[str, ...] = ()
    open: tuple[str, ...] = ()

    def check(self, method: str, path: str, headers: Headers) -> None:
        """Raise Problem for a request that may not ask."""
        host = headers.get("host", "")
        if path in PROBES:
            return
        if self.token is None and not self._is_ours(host):
            # A page elsewhere may have its own name lead to this machine (DNS rebinding): a browser then takes the
            # server for a part of that page. With a token it does not matter, since that page has none.
            raise Problem(
                421, f"got the host {host!r}: start the server with --name {_name(host) or 'NAME'} to allow it"
            )
        if method not in SAFE:
            _refuse_other_pages(headers, host)
        if self.token is not None and path not in self.open and not self._is_given(headers):
            raise Problem(401, "send the header Authorization: Bearer TOKEN", {"WWW-Authenticate": "Bearer"})

    def _is_ours(self, host: str) -> bool:
        name = _name(host)
        if name == "localhost" or name in (known.lower() for known in self.names):
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    def _is_given(self, headers: Headers) -> bool:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        # Headers are read as Latin-1. The digests are of one length, whatever was given.
        digests = (hashlib.sha256(text).digest() for text in (given.strip().encode("latin-1"), self.token.encode()))
        return hmac.compare_digest(*digests) and scheme.lower() == "bearer"


@dataclass
class _Exchange:
    """A request while it is received and answered."""

    began: float = field(default_factory=time.monotonic)
    received: int = 0  # bytes
    whole: bool = False
    status: int | None = None


class Guard:
    """An ASGI app around another one. answered: is told method, path, status and seconds of each request."""

    def __init__(self, app: ASGIApp, access: Access, limits: Limits, answered: Callable[[str, str, int, float], None]):
        self._app, self._access, self._limits, self._answered = app, access, limits, answered
        self._held = 0  # bytes of all requests that are not answered yet

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange()

        async def counted() -> Message:
            message = await receive()
            self._count(exchange, message)
            return message

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                exchange.status = message["status"]
                given = {name for name, _ in message["headers"]}
                more = [(name, value) for name, value in SECURITY.items() if name not in given]
                message = message | {"headers": [*message["headers"], *more]}
            await send(message)

        try:
            problem = await self._answer(exchange, scope, counted, noted)
            if problem is not None:
                answer = problems.response(problem.status, problem.detail, problem.headers, **problem.members)
                await answer(scope, receive, noted)
        finally:
            self._held -= exchange.received
            seconds = time.monotonic() - exchange.began
            self._answered(scope["method"], scope["path"], exchange.status or 500, seconds)

    async def _answer(self, exchange: _Exchange, scope: Scope, receive: Receive, send: Send) -> Problem | None:
        """Let the app answer; return why it may not, or did not."""
        headers = Headers(scope=scope)
        # What GET would say, of which uvicorn sends the head alone: proxies and monitors ask so.
        asked = {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope
        try:
            self._access.check(scope["method"], scope["path"], headers)
            if int(headers.get("content-length", 0)) > self._limits.bytes:
                raise self._too_large()
            async with asyncio.timeout(self._limits.seconds):
                await self._app(asked, receive, send)
        except Problem as problem:
            return problem
        except TimeoutError:
            if exchange.status is not None:
                raise
            seconds = f"{self._limits.seconds} seconds"
            if exchange.whole:
                return Problem(504, f"no answer within {seconds}: send fewer images, or try again", LATER)
            return Problem(408, f"the request did not arrive within {seconds}")
        return None

    def _count(self, exchange: _Exchange, message: Message) -> None:
        if message["type"] != "http.request":
            return
        size = len(message.get("body", b""))
        exchange.received += size
        self._held += size
        exchange.whole = not message.get("more_body", False)
        if exchange.received > self._limits.bytes:
            raise self._too_large()
        if self._held > self._limits.bytes_of_all:
            raise Problem(503, "too much is being sent at once: try again", LATER)

    def _too_large(self) -> Problem:
        return Problem(413, f"a request may have {self._limits.megabytes} MB: send fewer or smaller images")


def _name(host: str) -> str:
    """The name in a Host header, without its port."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


def _refuse_other_pages(headers: Headers, host: str) -> None:
    """Raise Problem where a browser sends a request for a page of another site, which could write corrections."""
    origin, site = headers.get("origin"), headers.get("sec-fetch-site", "none")
    if site not in ("same-origin", "none") or (origin is not None and _authority(origin) != host.lower()):
        raise Problem(
            403,
            f"sent by a page of {origin or 'another site'}, and the server is {host}: only its own page may; a proxy "
            "in front of it has to pass the header Host on as it is",
        )


def _authority(origin: str) -> str | None:
    """The name and port of an origin, as Host has them; None for a page without one."""
    try:
        return urlsplit(origin).netloc.lower() or None
    except ValueError:
        return None
