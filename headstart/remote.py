"""`python -m headstart.remote [URL]`: say where the team keeps its results (DVC's remote), and try it out."""

from headstart.base import errors  # first: from here on Ctrl-C is one line

# isort: split
import getpass
import sys

from headstart.base.arguments import Parser
from headstart.base.errors import UserError
from headstart.base.terminal import say
from headstart.team import addresses, remote


def ask(url: str, user: str | None) -> dict[str, str]:
    """Ask at the terminal who the user is. Returns credentials by the names of DVC's options.

    Raises UserError where the answer is Ctrl-D.
    """
    say(f"{url} asks who you are; what you type goes into .dvc/config.local", file=sys.stderr)
    try:
        if addresses.storage(url) == "s3":
            key = input("access key id: ")
            return {"access_key_id": key, "secret_access_key": getpass.getpass("secret access key: ")}
        user = user or input("name: ")
        return {"user": user, "password": getpass.getpass(f"password of {user}: ")}
    except EOFError:
        kind = addresses.storage(url)
        raise UserError(f"{url} was not told who you are: {addresses.LOGIN_HELP[kind]}") from None


def main() -> None:
    parser = Parser(
        prog="python -m headstart.remote",
        description="Say where the team keeps its results (DVC's remote), and try it out.",
        epilog="Secrets are taken from the environment (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or "
        "HEADSTART_REMOTE_PASSWORD) or from a prompt.",
    )
    parser.add_argument("url", nargs="?", metavar="URL", help=f"{addresses.FORMS}; without it, the configured one")
    parser.add_argument("--user", metavar="NAME", help="your name at an SSH or WebDAV server")
    parser.add_argument("--keyfile", metavar="FILE", help="your private key for SSH")
    parser.add_argument("--endpoint", metavar="URL", help="of an S3-compatible store that is not Amazon's")
    parser.add_argument("--replace", action="store_true", help="take another address than the configured one")
    parser.add_argument("--check", action="store_true", help="only say whether the address can be one; ask nobody")
    arguments = parser.parse_args()
    prompt = ask if sys.stdin.isatty() else None
    say(*remote.configure(**vars(arguments), prompt=prompt))


if __name__ == "__main__":
    errors.run(main)
