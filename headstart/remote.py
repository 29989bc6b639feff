"""`python -m headstart.remote [URL]`: where a team keeps its results, tried out before it is written down.

The address goes into `.dvc/config`, which Git keeps for everyone; your name, your key's file and secrets go into
`.dvc/config.local`, which Git never sees.
"""

import argparse
import errno
import getpass
import io
import os
import secrets
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from dvc.config import Config
from dvc.config import ConfigError as DvcConfigError
from dvc.exceptions import DvcException, NotDvcRepoError
from dvc.fs import RemoteMissingDepsError, get_cloud_fs
from dvc.repo import Repo
from dvc.scm import SCM

from headstart import errors
from headstart.errors import UserError

NAME = "team"
KINDS = {"s3": "s3", "ssh": "ssh", "webdav": "webdav", "webdavs": "webdav"}  # with requirements-KIND.txt each
TAKEN = "a folder, ssh://host/folder, s3://bucket/folder, webdav://host/folder or webdavs://host/folder"
SECRETS = {
    "s3": {"access_key_id": "AWS_ACCESS_KEY_ID", "secret_access_key": "AWS_SECRET_ACCESS_KEY"},
    "ssh": {"password": "HEADSTART_REMOTE_PASSWORD"},
    "webdav": {"password": "HEADSTART_REMOTE_PASSWORD"},
}
MEND = {
    "folder": "change its owner or its mode",
    "s3": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, then `make remote` again",
    "ssh": "name yourself with LOGIN=…, your key with KEY=… or set HEADSTART_REMOTE_PASSWORD, then `make remote` again",
    "webdav": "name yourself with LOGIN=… and set HEADSTART_REMOTE_PASSWORD, then `make remote` again",
}
# Names of exceptions and words in messages of asyncssh, botocore and httpx, none of which need be installed.
REFUSED = ("PermissionDenied", "PermissionError", "NoCredentialsError", "HTTP 401", "HTTP 403")
REFUSED += (
    "authentication failures",
    "Partial credentials",
    "401 ",
    "403 ",
    "Unauthorized",
    "Forbidden",
    "Access Key",
    "AccessDenied",
    "InvalidAccessKeyId",
)
UNREACHABLE = ("ConnectError", "ConnectionError", "ConnectionRefused", "ConnectTimeout", "EndpointConnection")
UNREACHABLE += (
    "ConnectionLost",
    "ConnectionClosed",
    "ConnectionReset",
    "BrokenPipe",
    "Connect call failed",
    "gaierror",
)
UNREACHABLE += ("Connection not open", "Connection lost", "Connection closed")
UNREACHABLE += ("RemoteProtocolError", "ReadError", "WriteError", "ReadTimeout")


class Refused(UserError):
    """The server is there and does not let this user in."""


def settle(
    url: str | None,
    user: str | None = None,
    keyfile: str | None = None,
    endpoint: str | None = None,
    replace: bool = False,
) -> list[str]:
    """Try the remote out and write it down; gives what to tell the user, one line each.

    url: a folder, `ssh://`, `s3://`, `webdav://` or `webdavs://`; None is the one that is configured.
    user: the name at an SSH or WebDAV server; None is the one before, or the server's custom.
    keyfile: the private key for SSH; None leaves it to the agent and `~/.ssh`.
    endpoint: the URL of an S3-compatible store; None is the one before, or Amazon's.
    replace: take another address than the one that is configured.

    Secrets come from the environment (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; HEADSTART_REMOTE_PASSWORD) or, at a
    terminal where the server asks for one, from a prompt. Nothing is written unless the remote answers.
    Raises UserError.
    """
    config = configuration()
    name, before = configured(config)
    if url is None:
        if before is None:
            raise UserError(f"no remote is configured: make remote URL=…, {TAKEN}")
        url = before
    else:
        url, in_url = _address(url)
        user = user or in_url
    other = before not in (None, url)
    if other and not replace:
        raise UserError(
            f"got {url}, but the remote is {before} (.dvc/config), and what was pushed stays there; to take the "
            "other address all the same, make remote URL=… REPLACE=1"
        )
    shared = {"url": url} | ({} if other else _section(config, "repo", name)) | {"verify": "true"}
    shared |= _given(endpointurl=endpoint)
    if endpoint and kind(url) != "s3":
        raise UserError(f"endpoint: got {endpoint}, which goes with an s3:// address; the address is {url}")
    if keyfile and not Path(keyfile).expanduser().is_file():
        raise UserError(f"keyfile: no file {keyfile}: name your private key, or leave it to the agent and ~/.ssh")
    own = {} if other else _section(config, "local", name)
    own |= _given(user=user, keyfile=keyfile and str(Path(keyfile).expanduser().resolve())) | _from_environment(url)
    try:
        note = check(shared | own)
    except Refused:
        if not sys.stdin.isatty():
            raise
        own |= _asked(url, own)
        note = check(shared | own)
    # DVC, which writes them down, empties the file over any other letter.
    for key, value in (shared | own).items():
        if not value.isascii():
            shown = "one" if any(key in names for names in SECRETS.values()) else value
            raise UserError(f"{key}: got {shown} with letters that are not ASCII, which DVC cannot keep: take another")
    _write(config, name, shared, own)
    said = [f"the remote was {before}: what was pushed there stays there"] if other else []
    said.append(f"{url} answers; its address is in .dvc/config: commit that file for the others")
    if own:
        said.append(f"{', '.join(sorted(own))}: in .dvc/config.local, which Git leaves out")
    return said + ([note] if note else [])


def configuration() -> Config:
    """DVC's configuration of the project in the current folder. Raises UserError."""
    try:
        return Config(Repo.find_dvc_dir(), validate=False)
    except NotDvcRepoError:
        raise UserError("no .dvc here: run this in the project's folder") from None
    except DvcConfigError as error:
        raise UserError(f".dvc/config: {error}: correct it") from None


def configured(config: Config) -> tuple[str, str | None]:
    """The name and the address of the remote that DVC takes by itself; the address is None where there is none."""
    name = config.get("core", {}).get("remote", NAME)
    url = config.get("remote", {}).get(name, {}).get("url")
    return name, None if url is None else str(url)


def check(section: Mapping[str, Any]) -> str | None:
    """Write a small file to the remote and remove it; gives a note where the remote can only be read.

    Raises UserError where it cannot be read either; `Refused` where it is for want of the right credentials.
    """
    url = section["url"]
    if kind(url) == "folder" and not Path(url).parent.is_dir():
        raise UserError(f"got {url}: there is no folder {Path(url).parent}: make it, or mount what belongs there")
    if kind(url) == "folder" and Path(url).is_file():
        raise UserError(f"got {url}, which is a file: takes {TAKEN}")
    try:
        cls, arguments, path = get_cloud_fs({"remote": {NAME: dict(section)}}, name=NAME)
        fs = cls(**arguments)
    except (DvcConfigError, RemoteMissingDepsError) as error:
        raise explain(url, error) from None
    probe = fs.join(path, f".headstart-{secrets.token_hex(8)}")
    try:
        fs.put_file(io.BytesIO(b"headstart"), probe, size=9)
        fs.remove(probe)
    # Every kind of remote has errors of its own, with no common base.
    except Exception as error:
        try:
            fs.ls(path)
        except Exception:
            raise explain(url, error) from None
        return f"{url} can be read but not written ({_reason(error)}): `make pull` works, `make push` will not"
    return None


def explain(url: str, error: BaseException) -> UserError:
    """What an error of DVC or of a server's library means, and what to do next, in one line."""
    room = kind(url)
    if isinstance(error, RemoteMissingDepsError):
        file = f"requirements-{room}.txt"
        return UserError(f"{url}: what speaks {room} is not installed: make remote, or pip install -r {file}")
    if isinstance(error, DvcConfigError):
        return UserError(f".dvc/config: {error}: correct it, or make remote URL=…")
    told = [f"{type(one).__name__} {one}" for one in _chain(error)]
    said = _reason(error)
    if any(word in one for word in REFUSED for one in told):
        return Refused(f"{url} lets you not in ({said}): {MEND[room]}")
    if any(word in one for word in UNREACHABLE for one in told):
        return UserError(
            f"{url} cannot be reached ({said}): check the address and the network, then run it again: "
            "it goes on from there"
        )
    if isinstance(error, FileNotFoundError):
        return UserError(f"{url} is not there ({said}): make the bucket or the folder first, or correct the address")
    if any(isinstance(one, OSError) and one.errno in (errno.ENOSPC, errno.EDQUOT) for one in _chain(error)):
        return UserError(f"{url} is full ({said}): free some space there and run it again: it goes on from there")
    if isinstance(error, DvcException):
        return UserError(said)
    return UserError(f"{url}: {said}: check the address")


def kind(url: str) -> str:
    """`folder`, `ssh`, `s3` or `webdav`. Raises UserError."""
    scheme = urlsplit(url).scheme
    if "://" not in url:
        return "folder"
    if scheme not in KINDS:
        near = f"; did you mean webdavs{url.removeprefix(scheme)}? " if scheme in ("http", "https") else "; "
        raise UserError(f"got {url}{near}takes {TAKEN}")
    return KINDS[scheme]


def _section(config: Config, level: str, name: str) -> dict[str, Any]:
    return dict(config.load_one(level).get("remote", {}).get(name, {}))


def _address(url: str) -> tuple[str, str | None]:
    """The address as it is written down, and the user that it named."""
    room = kind(url)
    if room == "folder":
        if "@" in url and ":" in url and not Path(url).exists():
            raise UserError(f"got {url}; for SSH, takes ssh://host/folder")
        # What stands in .dvc/config has to mean the same in every clone.
        return str(Path(url).expanduser().absolute().resolve()), None
    parts = urlsplit(url)
    if parts.password is not None:
        raise UserError(
            f"got a password in the address of {parts.hostname}, which Git would keep: leave it out, {MEND[room]}"
        )
    if not parts.hostname or (room == "ssh" and parts.path in ("", "/")):
        raise UserError(f"got {url}; takes {TAKEN}")
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=host, path=parts.path.rstrip("/")).geturl(), parts.username


def _from_environment(url: str) -> dict[str, str]:
    wanted = SECRETS.get(kind(url), {})
    # Credentials with a session token end after hours: boto takes them from the environment itself.
    if os.environ.get("AWS_SESSION_TOKEN") and kind(url) == "s3":
        return {}
    found = {key: os.environ[variable] for key, variable in wanted.items() if os.environ.get(variable)}
    return found if len(found) == len(wanted) else {}


def _asked(url: str, own: Mapping[str, str]) -> dict[str, str]:
    if kind(url) == "folder":
        return {}
    print(f"{url} asks who you are; what you type goes into .dvc/config.local", file=sys.stderr)
    if kind(url) == "s3":
        return {"access_key_id": input("access key id: "), "secret_access_key": getpass.getpass("secret access key: ")}
    user = own.get("user") or input("name: ")
    return {"user": user, "password": getpass.getpass(f"password of {user}: ")}


def _write(config: Config, name: str, shared: Mapping[str, Any], own: Mapping[str, str]) -> None:
    """Into the repository's file what is for all, into the local one what is this user's.

    What was written for an address before is gone with it: its password must never go to the new one.
    """
    local = Path(config.files["local"])
    if own and not SCM(str(Path(config.dvc_dir).parent)).is_ignored(str(local)):
        raise UserError(f"{local.name} would go into Git: put the line /{local.name} into .dvc/.gitignore")
    for level, values in (("local", own), ("repo", shared)):
        if not values and not _section(config, level, name):
            continue
        if level == "local":
            local.touch(mode=0o600)
            local.chmod(0o600)
        # Not validated: between the two, a name may stand beside an address that takes none.
        with config.edit(level, validate=False) as there:
            section = there.setdefault("remote", {}).setdefault(name, {})
            section.clear()
            section.update(values)
            if level == "repo":
                there.setdefault("core", {})["remote"] = name


def _given(**options: str | None) -> dict[str, str]:
    return {name: value for name, value in options.items() if value}


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _reason(error: BaseException) -> str:
    """The words of the innermost error that has any."""
    words = [" ".join(str(one).split()) for one in _chain(error)]
    return next((word for word in words if word), type(error).__name__)[:300]


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m headstart.remote",
        description="Say where the team keeps its results (DVC's remote), and try it out.",
        epilog="Secrets are taken from the environment or from a prompt; see the README, Working as a team.",
    )
    parser.add_argument("url", nargs="?", metavar="URL", help=f"{TAKEN}; without it, the configured one")
    parser.add_argument("--user", metavar="NAME", help="your name at an SSH or WebDAV server")
    parser.add_argument("--keyfile", metavar="FILE", help="your private key for SSH")
    parser.add_argument("--endpoint", metavar="URL", help="of an S3-compatible store that is not Amazon's")
    parser.add_argument("--replace", action="store_true", help="take another address than the configured one")
    given = parser.parse_args()
    print("\n".join(settle(given.url, given.user, given.keyfile, given.endpoint, given.replace)))


if __name__ == "__main__":
    errors.run(main)
