"""Where a team keeps its results: the remote, tried out before it is written down.

The address goes into `.dvc/config`, which Git keeps for everyone; the user's name, key file and secrets go into
`.dvc/config.local`, which Git never sees.
"""

import io
import os
import re
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dvc.config import Config, ConfigError
from dvc.exceptions import NotDvcRepoError
from dvc.fs import RemoteMissingDepsError, get_cloud_fs
from dvc.repo import Repo
from dvc.scm import SCM

from headstart.base import account, credentials
from headstart.base.errors import UserError
from headstart.team import addresses
from headstart.team.faults import Refused, explain, reason

NAME = "team"
# Options of DVC's remote that are secret, and the environment variables that they are read from.
CREDENTIALS = {
    "s3": {"access_key_id": "AWS_ACCESS_KEY_ID", "secret_access_key": "AWS_SECRET_ACCESS_KEY"},
    "ssh": {"password": "HEADSTART_REMOTE_PASSWORD"},
    "webdav": {"password": "HEADSTART_REMOTE_PASSWORD"},
}
# What a user gives beside the address, and the addresses that take it.
TAKEN_BY = {"LOGIN": ("ssh", "webdav"), "KEY": ("ssh",), "ENDPOINT": ("s3",)}


def configure(
    url: str | None = None,
    *,
    root: Path = Path(),
    user: str | None = None,
    keyfile: str | None = None,
    endpoint: str | None = None,
    replace: bool = False,
    check: bool = False,
    prompt: Callable[[str, str | None], dict[str, str]] | None = None,
) -> list[str]:
    """Try the remote out and write it down. Returns messages for the user, one line each.

    url: a folder, `ssh://`, `s3://`, `webdav://` or `webdavs://`; None is the configured one.
    root: the project's folder, from which relative paths are taken.
    user: the name at an SSH or WebDAV server; None is the configured one, or the server's default.
    keyfile: the private key for SSH; None leaves it to the agent and `~/.ssh`.
    endpoint: the URL of an S3-compatible store; None is the configured one, or Amazon's.
    replace: whether `url` may differ from the configured one.
    check: only raise what is refused before the remote is asked, whose library may not be there.
    prompt: asked where the server refuses the login; takes the address and the user's name or None, and returns
        credentials by the names of DVC's options; None: nobody is asked.

    Secrets come from the environment: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or HEADSTART_REMOTE_PASSWORD.
    Nothing is written unless the remote answers. Raises UserError.
    """
    config, name, previous, shared, own = _plan(url, root, user, keyfile, endpoint, replace)
    if check:
        return []
    url = shared["url"]
    new_folder = addresses.storage(url) == "folder" and not Path(url).exists()
    try:
        note = probe(shared | own)
    except Refused:
        if prompt is None:
            raise
        own |= prompt(url, own.get("user"))
        note = probe(shared | own)
    _write(config, name, shared, own)
    messages = [f"the remote was {previous}: what was pushed there stays there"] if previous not in (None, url) else []
    messages += [f"made the folder {url}"] if new_folder else []
    messages.append(f"{url} answers; its address is in .dvc/config: commit that file for the others")
    if own:
        messages.append(f"{', '.join(sorted(own))}: in .dvc/config.local, which Git leaves out")
    return messages + ([note] if note else [])


def read_config(root: Path) -> Config:
    """Returns DVC's configuration of the project that `root` lies in. Raises UserError."""
    account.require()
    try:
        return Config(Repo.find_dvc_dir(str(root)), validate=False)
    except NotDvcRepoError:
        raise UserError("no .dvc here: run this in the project's folder") from None
    except ConfigError as error:
        raise UserError(f".dvc/config: {error}: correct it") from None


def default_remote(config: Config) -> tuple[str, str | None]:
    """Returns the name and the address of DVC's default remote; the address is None where there is none."""
    name = config.get("core", {}).get("remote", NAME)
    url = config.get("remote", {}).get(name, {}).get("url")
    return name, None if url is None else str(url)


def probe(options: Mapping[str, Any]) -> str | None:
    """Write a small file to the remote with these options and remove it; DVC has no such command (treeverse/dvc#6927).

    Returns a note where the remote can only be read, else None. Raises UserError where it cannot be read either, and
    `Refused` where that is for want of the right credentials.
    """
    url = options["url"]
    try:
        cls, arguments, path = get_cloud_fs({"remote": {NAME: dict(options)}}, name=NAME)
        fs = cls(**arguments)
    except (ConfigError, RemoteMissingDepsError) as error:
        raise explain(url, error) from None
    file = fs.join(path, f".headstart-{secrets.token_hex(8)}")
    try:
        fs.put_file(io.BytesIO(b"headstart"), file, size=9)
        fs.remove(file)
    # Every kind of remote has errors of its own, with no common base.
    except Exception as error:
        try:
            fs.ls(path)
        except Exception:
            raise explain(url, error) from None
        return f"{url} can be read but not written ({reason(error)}): `make pull` works, `make push` will not"
    return None


def protect(dvc_dir: Path) -> list[Path]:
    """Let nobody but the user read the files with credentials. Returns those that others could read, sorted.

    dvc_dir: the project's `.dvc`. For an experiment outside of the workspace (`--temp`, `--queue`) DVC copies the
    configuration to .dvc/tmp/exps with the mode of any file, and where it is killed the copy stays there.
    """
    configs = [dvc_dir / "config.local", *dvc_dir.glob("tmp/exps/*/.dvc/config.local")]
    configs += dvc_dir.glob("tmp/exps/standalone/*/.dvc/config.local")
    has_section = re.compile(rb"^\s*\['?remote", re.MULTILINE).search
    readable = [
        file
        for file in sorted(configs)
        if file.exists() and file.stat().st_mode & 0o077 and has_section(file.read_bytes())
    ]
    for file in readable:
        file.chmod(0o600)
    return readable


def _close_experiments(dvc_dir: Path) -> None:
    """Make the folder of experiments outside of the workspace the user's alone, before the first one is there."""
    folder = dvc_dir / "tmp/exps"
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)


def _plan(
    url: str | None, root: Path, user: str | None, keyfile: str | None, endpoint: str | None, replace: bool
) -> tuple[Config, str, str | None, dict[str, Any], dict[str, Any]]:
    """DVC's configuration, the remote's name, its address until now, and its options from now on: for all, for one."""
    config = read_config(root)
    name, previous = default_remote(config)
    configured = url is None
    url, user_in_url = _address(url, previous, root, replace)
    _refuse_options(url, {"LOGIN": user or user_in_url, "KEY": keyfile, "ENDPOINT": endpoint})
    _check_letters({"url": url})
    if addresses.storage(url) == "folder":
        _refuse_folder(Path(config.dvc_dir, url).resolve(), config, configured)
    moved = previous not in (None, url)
    # The old server's secrets must never go to the new one.
    shared = {"url": url} | ({} if moved else _section(config, "repo", name)) | {"verify": "true"} | _endpoint(endpoint)
    own = {} if moved else _section(config, "local", name)
    own |= _login(user or user_in_url, root / os.path.expanduser(keyfile) if keyfile else None) | _credentials(url)
    return config, name, previous, shared, own


def _refuse_options(url: str, given: Mapping[str, str | None]) -> None:
    """Raise UserError for what the storage does not take: DVC would blame its own configuration."""
    kind = addresses.storage(url)
    for name, value in given.items():
        if value and kind not in TAKEN_BY[name]:
            takes = " or ".join(f"{scheme}://" for scheme in TAKEN_BY[name])
            none = "; a folder takes no LOGIN, KEY or ENDPOINT" if kind == "folder" else ""
            raise UserError(
                f"{name}: got {credentials.shown(value)}, which goes with an {takes} address; the address is "
                f"{url}{none}: leave {name} out"
            )


def _refuse_folder(folder: Path, config: Config, configured: bool) -> None:
    """Raise UserError for a folder that is no place for a remote, or that is not there for want of a mount.

    configured: whether it stands in .dvc/config: then it has been there once, and nobody wants it made anew.
    """
    cache = Path(config.dvc_dir, config.get("cache", {}).get("dir", "cache")).resolve()
    for place, what in ((Path(config.dvc_dir).resolve().parent, "the project itself"), (cache, "DVC's cache")):
        if place.is_relative_to(folder) or folder.is_relative_to(place):
            raise UserError(
                f"got {folder}, but {place} is {what}: take a folder that is neither in it nor around it, which "
                "everyone reaches"
            )
    if folder.is_file():
        raise UserError(f"got {folder}, which is a file: takes {addresses.FORMS}")
    if folder.exists():
        return
    if configured:
        raise UserError(f"there is no folder {folder}: mount it or, if it has moved, make remote URL=… REPLACE=1")
    above = folder.parent
    if not above.is_dir():
        raise UserError(f"got {folder}: there is no folder {above}: make it, or mount what belongs there")
    if not os.path.ismount(above) and os.access(above, os.R_OK) and not any(above.iterdir()):
        raise UserError(
            f"got {folder}: {above} is empty and nothing is mounted there: mount what belongs there or, if it is the "
            f"right place, make {folder} yourself"
        )


def _address(url: str | None, previous: str | None, root: Path, replace: bool) -> tuple[str, str | None]:
    """The address to take, and the user that it names or None."""
    if url is None:
        if previous is None:
            raise UserError(f"no remote is configured: make remote URL=…, {addresses.FORMS}")
        addresses.refuse_secret(previous)
        return previous, None
    url, user = addresses.parse(url, root)
    if previous not in (None, url) and not replace:
        raise UserError(
            f"got {url}, but the remote is {previous} (.dvc/config), and what was pushed there stays there; to change "
            "the address, make remote URL=… REPLACE=1"
        )
    return url, user


def _section(config: Config, level: str, name: str) -> dict[str, Any]:
    return dict(config.load_one(level).get("remote", {}).get(name, {}))


def _endpoint(endpoint: str | None) -> dict[str, str]:
    if not endpoint:
        return {}
    if credentials.where(endpoint):
        raise UserError(
            f"endpoint: got a login in {credentials.shown(endpoint)}, which Git would keep: leave it out, "
            f"{addresses.LOGIN_HELP['s3']}"
        )
    return {"endpointurl": endpoint}


def _login(user: str | None, keyfile: Path | None) -> dict[str, str]:
    if keyfile and not keyfile.is_file():
        raise UserError(f"keyfile: no file {keyfile}: give your private key, or leave it to the agent and ~/.ssh")
    return ({"user": user} if user else {}) | ({"keyfile": str(keyfile.resolve())} if keyfile else {})


def _credentials(url: str) -> dict[str, str]:
    """The secrets in the environment, if all that the storage takes are there."""
    variables = CREDENTIALS.get(addresses.storage(url), {})
    # Credentials with a session token end after hours: boto takes them from the environment itself.
    if addresses.storage(url) == "s3" and os.environ.get("AWS_SESSION_TOKEN"):
        return {}
    values = {option: os.environ.get(variable) for option, variable in variables.items()}
    return values if all(values.values()) else {}


def _check_letters(options: Mapping[str, Any]) -> None:
    """Raise UserError for letters that DVC cannot write; `Config._save_config` empties the file over them."""
    for option, value in options.items():
        if not str(value).isascii():
            secret = any(option in variables for variables in CREDENTIALS.values())
            raise UserError(
                f"{option}: got {'a value' if secret else value} with letters that are not ASCII, which DVC cannot "
                "write: take another"
            )


def _write(config: Config, name: str, shared: Mapping[str, Any], own: Mapping[str, str]) -> None:
    """Write what is for all into the repository's file, and what is this user's into the local one.

    DVC would write the secrets with the permissions of any file (treeverse/dvc#9217), and leave those of an earlier
    address where they are (treeverse/dvc#7880).
    """
    _check_letters(shared | own)
    local = Path(config.files["local"])
    if own and not SCM(str(Path(config.dvc_dir).parent)).is_ignored(str(local)):
        raise UserError(f"{local.name} would go into Git: put the line /{local.name} into .dvc/.gitignore")
    for level, options in (("local", own), ("repo", shared)):
        if not options and not _section(config, level, name):
            continue
        if level == "local":
            local.touch(mode=0o600)
            local.chmod(0o600)
            _close_experiments(Path(config.dvc_dir))
        # Not validated: between the two, a name may stand beside an address that takes none.
        with config.edit(level, validate=False) as sections:
            section = sections.setdefault("remote", {}).setdefault(name, {})
            section.clear()
            section.update(options)
            if level == "repo":
                sections.setdefault("core", {})["remote"] = name
