"""Look at the report and correct labels in it: python -m headstart.review, or make review.

A small server on this machine alone shows metrics/report.html and writes what you decide there into
data/corrections.csv; `dvc repro` then takes it. Ctrl-C ends it. With --page the page is opened as a file, and nothing
is served: "Save corrections" then gives the file, to be put into data/.
"""

from headstart.base import errors  # first: from here on Ctrl-C is one line

# isort: split
import argparse
import json
import secrets
import webbrowser
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer

from headstart.artifacts import corrections
from headstart.artifacts.corrections import COLUMNS, CORRECTIONS, Correction
from headstart.artifacts.results import PAGE
from headstart.base import wording
from headstart.base.errors import UserError
from headstart.base.terminal import say

MOST = 10_000_000  # bytes of what a page may send


def merged(written: list[Correction], decided: list[Correction]) -> list[Correction]:
    """Return the corrections with the new ones: of one image, the last decision is kept."""
    paths = {correction.path for correction in decided}
    return [correction for correction in written if correction.path not in paths] + decided


def decided(body: bytes) -> list[Correction]:
    """Return the corrections that a page sent, as JSON. Raises UserError where they are none."""
    try:
        entries = json.loads(body)
        rows = [[str(entry[name]) for name in COLUMNS] for entry in entries]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise UserError(f"these are no corrections: {error}") from None
    return [corrections.checked(number, row) for number, row in enumerate(rows, 1)]


def server(port: int = 0) -> tuple[HTTPServer, str]:
    """Return a server on this machine's loopback address alone, and the address of its page.

    The address holds a secret, and nothing is answered without it: no other page in the browser can write corrections.
    port: 0: a free one. Raises UserError where the port is taken.
    """
    secret = secrets.token_urlsafe(16)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == f"/{secret}/":
                self._answer(HTTPStatus.OK, "text/html; charset=utf-8", PAGE.read_bytes())
            else:
                self._refuse()

        def do_POST(self) -> None:
            length = self.headers.get("Content-Length", "")
            if self.path != f"/{secret}/corrections" or not length.isdigit() or int(length) > MOST:
                self._refuse()
                return
            try:
                new = decided(self.rfile.read(int(length)))
                corrections.write(merged(corrections.read(), new))
            except UserError as error:
                self._answer(HTTPStatus.BAD_REQUEST, "text/plain; charset=utf-8", str(error).encode())
                return
            text = f"{wording.count(len(new), 'correction')} written to {CORRECTIONS}: dvc repro takes them."
            say(f"review: {text}")
            self._answer(HTTPStatus.OK, "text/plain; charset=utf-8", text.encode())

        def _refuse(self) -> None:
            self._answer(HTTPStatus.NOT_FOUND, "text/plain; charset=utf-8", b"not here")

        def _answer(self, status: HTTPStatus, kind: str, content: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_) -> None:
            pass

    try:
        made = HTTPServer(("127.0.0.1", port), Handler)
    except OSError as error:
        raise UserError(f"--port: got {port}, which cannot be used ({error.strerror}); 0 takes a free one") from None
    return made, f"http://127.0.0.1:{made.server_port}/{secret}/"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m headstart.review", description="Look at the report, and correct labels in it."
    )
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
