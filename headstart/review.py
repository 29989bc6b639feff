"""Look at the report and correct labels in it: python -m headstart.review, or make review.

A small server on this machine alone shows metrics/report.html and writes what you decide there into
data/corrections.csv; `dvc repro` then takes it. Ctrl-C ends it. With --page the page is opened as a file, and nothing
is served: "Save corrections" then gives the file, to be put into data/.
"""

from headstart.base import errors  # first: from here on Ctrl-C is one line

# isort: split
import json
import secrets
import sys
import webbrowser
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from headstart.artifacts import corrections
from headstart.artifacts.corrections import COLUMNS, CORRECTIONS, Correction
from headstart.artifacts.results import PAGE
from headstart.base import wording
from headstart.base.arguments import Parser
from headstart.base.errors import UserError
from headstart.base.terminal import say

MOST = 10_000_000  # bytes of what a page may send


def merged(
    written: list[Correction], decided: list[Correction], undone: list[str]
) -> tuple[list[Correction], list[Correction]]:
    """Return the corrections with the new ones, and those that were there and are not any more.

    Of one picture, the last decision is kept, also where it has got another name. undone: the paths of those that are
    taken back.
    """
    paths = {correction.path for correction in decided} | set(undone)
    pictures = {correction.sha256 for correction in decided}
    kept = [old for old in written if old.path not in paths and old.sha256 not in pictures]
    same = {correction[1:4] for correction in decided}
    return kept + decided, [old for old in written if old not in kept and old[1:4] not in same]


def decided(body: bytes) -> tuple[list[Correction], list[str]]:
    """Return the corrections that a page sent, as JSON, and the paths of the images whose corrections it takes back.

    Raises UserError where they are none.
    """
    try:
        sent = json.loads(body)
        rows = [[str(entry[name]) for name in COLUMNS] for entry in sent["decided"]]
        undone = [str(path) for path in sent["undone"]]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise UserError(f"these are no corrections: {error}") from None
    return [corrections.checked(number, row) for number, row in enumerate(rows, 1)], undone


def save(new: list[Correction], undone: list[str]) -> str:
    """Write the corrections into the file, and return what to say of it."""
    with corrections.alone():
        written, replaced = merged(corrections.read(), new, undone)
        corrections.write(written)
    said = f"{wording.count(len(new), 'correction')} written to {CORRECTIONS}: dvc repro takes them."
    if replaced:
        gone = [f"{old.path}: {old.label or old.action}{f', by {old.by}' if old.by else ''}" for old in replaced[:3]]
        more = f", and {len(replaced) - 3:,} more" if len(replaced) > 3 else ""
        said += f" No longer there ({'; '.join(gone)}{more})."
    return said


class Server(ThreadingHTTPServer):
    """One that says nothing keeps no other from it. `secret`: without it in the address nothing is answered."""

    def __init__(self, port: int):
        super().__init__(("127.0.0.1", port), _Handler)
        self.secret = secrets.token_urlsafe(16)

    def handle_error(self, request: Any, address: Any) -> None:
        """Say nothing of a browser that does not wait for its answer."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, address)

    def save(self, body: bytes) -> str:
        text = save(*decided(body))
        say(f"review: {text}")
        return text


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == f"/{self.server.secret}/corrections":
            self._tell(lambda: json.dumps([correction._asdict() for correction in corrections.read()]))
        elif self.path != f"/{self.server.secret}/":
            self._refuse()
        else:
            self._show()

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if self.path != f"/{self.server.secret}/corrections" or not length.isdigit() or int(length) > MOST:
            self._refuse()
        else:
            self._tell(partial(self.server.save, self.rfile.read(int(length))))

    def _show(self) -> None:
        try:
            status, kind, content = HTTPStatus.OK, "text/html", PAGE.read_bytes()
        except FileNotFoundError:
            text = f"no {PAGE} any more: while `dvc repro` runs there is none; load this again after it"
            status, kind, content = HTTPStatus.NOT_FOUND, "text/plain", text.encode()
        self._answer(status, kind, content)

    def _tell(self, of: Callable[[], str]) -> None:
        try:
            status, text = HTTPStatus.OK, of()
        except UserError as error:
            status, text = HTTPStatus.BAD_REQUEST, str(error)
        except OSError as error:  # a full disk, a folder that may not be written
            status, text = HTTPStatus.INSUFFICIENT_STORAGE, f"not saved: {errors.in_one_line(error) or error}"
            say(f"review: {text}")
        self._answer(status, "text/plain", text.encode())  # out of the block above: whoever left has still saved

    def _refuse(self) -> None:
        self._answer(HTTPStatus.NOT_FOUND, "text/plain", b"not here")

    def _answer(self, status: HTTPStatus, kind: str, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_) -> None:
        pass


def server(port: int = 0) -> tuple[Server, str]:
    """Return a server on this machine's loopback address alone, and the address of its page.

    The address holds a secret, and nothing is answered without it: no other page in the browser can write corrections.
    port: 0: a free one. Raises UserError where the port is taken.
    """
    try:
        made = Server(port)
    except OSError as error:
        raise UserError(f"--port: got {port}, which cannot be used ({error.strerror}); 0 takes a free one") from None
    return made, f"http://127.0.0.1:{made.server_port}/{made.secret}/"


def main(arguments: list[str] | None = None) -> None:
    parser = Parser(prog="python -m headstart.review", description="Look at the report, and correct labels in it.")
    parser.add_argument("--page", action="store_true", help="open the page as a file, and serve nothing")
    parser.add_argument("--port", type=int, default=0, help="of the server (default: a free one)")
    parser.add_argument("--quiet", action="store_true", help="say the address, and open no browser")
    options = parser.parse_args(arguments)
    if not 0 <= options.port < 65536:
        raise UserError(f"--port: got {options.port}; takes 0 to 65535")
    if not PAGE.exists():
        raise UserError(f"no {PAGE} here: run `dvc repro`, `dvc checkout` (brings back the last one) or `dvc pull`")
    if options.page:
        say(f"The report: {PAGE}")
        if not options.quiet:
            webbrowser.open(PAGE.resolve().as_uri())
        return
    made, address = server(options.port)
    say(f"The report, on this machine alone: {address}  (Ctrl-C ends it)")
    if not options.quiet:
        webbrowser.open(address)
    with made:
        try:
            made.serve_forever()
        except KeyboardInterrupt:
            say("")


if __name__ == "__main__":
    errors.run(main)
