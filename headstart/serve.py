"""Answer over HTTP: python -m headstart.serve, or make serve.

A page to try the classifier, and an interface to call it: POST /predict. It runs on an export of the classifier, and
needs no TensorFlow. This machine alone is answered, unless --host says otherwise. Ctrl-C ends it, when what has begun
is finished.
"""

from headstart.base import errors  # first: from here on Ctrl-C is one line

# isort: split
import argparse
import errno
import ipaddress
import os
import signal
import socket
from pathlib import Path

from headstart.base.arguments import Parser
from headstart.base.errors import UserError
from headstart.base.terminal import say

try:
    from headstart.serving import about, app, connections, limits, project
    from headstart.serving.guard import Access
    from headstart.serving.limits import Limits
    from headstart.serving.service import Service
except ModuleNotFoundError as error:
    raise UserError(f"serving takes {error.name}, which is not here: pip install -r requirements-serve.txt") from None

TOKEN = "HEADSTART_TOKEN"  # the variable of the environment that holds it
EXPORT = Path("models/exports/onnx")
HELP = {
    "megabytes": "of a request",
    "megapixels": "of an image, by its header",
    "files": "of a request",
    "seconds": "for receiving a request and answering it",
    "queue": "images that are under way at once",
    "batch": "images that the network is given at once",
    "wait": "milliseconds for which an image waits for others of its batch",
}


def main(arguments: list[str] | None = None) -> None:
    options = _options(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # `docker stop` is as good as Ctrl-C
    allowed = limits.checked(Limits(**{name: getattr(options, name) for name in Limits._fields}))
    access = Access(_token(), tuple(options.name), tuple(app.PAGE))
    open_to_all = not _is_loopback(options.host)
    classifier = about.load(options.model)
    here = project.find(classifier.classes)
    if open_to_all and access.token is None:
        here = None  # anybody could write, and fill the disk
    known = None if here is None else project.training_images(here, classifier)
    service = Service(classifier, allowed, known)
    model = about.describe(options.model, classifier, here, allowed)
    with _listening(options.host, options.port) as listening:
        for line in _lines(listening, access, open_to_all):
            say(line)
        if here is not None and about.is_older(classifier):
            say(f"serve: WARNING: {about.CLASSIFIER} is another one by now: `make export FORMAT=onnx` exports it")
        connections.serve(app.build(model, service, allowed, access, here), listening, allowed)
    say("serve: stopped, and all that had begun is answered")


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = Parser(
        prog="python -m headstart.serve",
        description="Answer over HTTP: a page to try the classifier, and POST /predict for programs.",
        epilog=f"With {TOKEN} in the environment every request has to bring it: Authorization: Bearer TOKEN.",
    )
    parser.add_argument(
        "--model", type=Path, default=EXPORT, metavar="PATH", help="an export of the classifier (default: %(default)s)"
    )
    parser.add_argument(
        "--host", default="127.0.0.1", help="the address to listen on; 0.0.0.0: all (default: this machine alone)"
    )
    parser.add_argument("--port", type=int, default=8000, help="0: a free one (default: %(default)s)")
    parser.add_argument(
        "--name", action="append", default=[], help="of a host that it is reached by; where there is a token, any"
    )
    for name, value in Limits()._asdict().items():
        help_ = f"at most, {HELP[name]} (default: %(default)s)"
        parser.add_argument(f"--{name}", type=int, default=value, metavar="N", help=help_)
    return parser.parse_args(arguments)


def _token() -> str | None:
    token = os.environ.get(TOKEN)
    if token is not None and len(token.strip()) < 8:
        raise UserError(
            f"{TOKEN}: got {len(token.strip())} letters; takes 8 or more, such as `openssl rand -hex 16` gives, or "
            f"`unset {TOKEN}`"
        )
    return token and token.strip()


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _listening(host: str, port: int) -> socket.socket:
    if not 0 <= port < 65536:
        raise UserError(f"--port: got {port}; takes 0 to 65535")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except (OSError, UnicodeError) as error:  # UnicodeError: of what can be no name
        unknown = isinstance(error, UnicodeError) or error.errno < 0  # below 0: a name that is not known
        if unknown or error.errno == errno.EADDRNOTAVAIL:
            raise UserError(
                f"--host: got {host}, which is no address of this machine; 127.0.0.1 is this machine alone, 0.0.0.0 "
                "all of its addresses"
            ) from None
        reason = error.strerror.partition(" (")[0]
        raise UserError(f"--port: got {port}, which cannot be used ({reason}): 0 takes a free one") from None


def _lines(listening: socket.socket, access: Access, open_to_all: bool) -> list[str]:
    """What is said before it begins."""
    host, port = listening.getsockname()[:2]
    if not open_to_all:
        return [f"serve: http://{_in_address(host)}:{port}/ answers this machine alone (Ctrl-C ends it)"]
    said = [f"serve: port {port} of {'all addresses' if host in ('0.0.0.0', '::') else host} (Ctrl-C ends it)"]
    if access.token is None:
        said.append(
            f"serve: WARNING: whoever reaches this machine can use it: set {TOKEN}, such as to what "
            "`openssl rand -hex 16` gives; corrections are off"
        )
    return said


def _in_address(host: str) -> str:
    return f"[{host}]" if ":" in host else host


if __name__ == "__main__":
    errors.run(main)
