"""Addresses of the team's remote: which are taken, and what kind of storage each one names."""

import os.path
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from headstart.base import credentials
from headstart.base.errors import UserError

FORMS = "a folder, ssh://host/folder, s3://bucket/folder, webdav://host/folder or webdavs://host/folder"
STORAGE = {"s3": "s3", "ssh": "ssh", "webdav": "webdav", "webdavs": "webdav"}  # each with a requirements-STORAGE.txt
# What to do where the storage refuses a user.
LOGIN_HELP = {
    "folder": "change its owner or its mode",
    "s3": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, then run make remote again",
    "ssh": "give your name with LOGIN=…, your key with KEY=… or set HEADSTART_REMOTE_PASSWORD, "
    "then run make remote again",
    "webdav": "give your name with LOGIN=… and set HEADSTART_REMOTE_PASSWORD, then run make remote again",
}


def storage(url: str) -> str:
    """Returns what kind of storage `url` names: "folder", "ssh", "s3" or "webdav". Raises UserError."""
    if "://" not in url:
        return "folder"
    scheme = url.partition("://")[0].lower()
    if scheme not in STORAGE:
        shown = credentials.shown(url)
        suggestion = f"; did you mean webdavs{shown.removeprefix(scheme)}?" if scheme in ("http", "https") else ";"
        raise UserError(f"got {shown}{suggestion} takes {FORMS}")
    return STORAGE[scheme]


def parse(url: str, root: Path) -> tuple[str, str | None]:
    """Returns the address as it is written into .dvc/config, and the user that it named or None.

    The path of a folder is taken from `root` and made absolute, without links: DVC would write it relative to
    .dvc/config, where it means another folder in every clone (treeverse/dvc#3159). Raises UserError, also where
    `refuse_secret` does.
    """
    kind = storage(url)
    if kind == "folder":
        if "@" in url and ":" in url and not (root / url).exists():
            raise UserError(f"got {credentials.shown(url)}; for SSH, takes ssh://host/folder")
        return str((root / os.path.expanduser(url)).resolve()), None
    refuse_secret(url)
    parts = _split(url)
    if not parts.hostname or (kind == "ssh" and parts.path in ("", "/")):
        raise UserError(f"got {credentials.shown(url)}; takes {FORMS}")
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=host, path=parts.path.rstrip("/")).geturl(), parts.username


def refuse_secret(url: str) -> None:
    """Raise UserError where an address has a password or a token: DVC takes it, Git keeps it (treeverse/dvc#1615)."""
    if credentials.has_secret(url):
        raise UserError(
            f"got a password or a token in {credentials.shown(url)}, which Git would keep: leave it out, "
            f"{LOGIN_HELP[storage(url)]}"
        )


def _split(url: str) -> SplitResult:
    """The parts of an address. Raises UserError where it is none, as with a port that is no number."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise UserError(f"got {credentials.shown(url)}, which is no address ({error}); takes {FORMS}") from None
    return parts
