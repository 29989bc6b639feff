"""`dvc.lock` as a kill or a power loss has left it: DVC writes it in place."""

import subprocess
from pathlib import Path

from dvc.dvcfile import LOCK_FILE, Lockfile
from dvc.exceptions import DvcException
from dvc.repo import Repo
from dvc.utils.serialize import parse_yaml

from headstart.base import files
from headstart.base.errors import UserError
from headstart.team import integrity


def mend(repo: Repo, aside: integrity.Aside) -> list[str]:
    """Put a `dvc.lock` aside that is cut short or cannot be read, and bring back what Git's index has.

    What came after that, or all where Git has none, the next run has from DVC's records of runs. Returns messages.
    Raises UserError for the two sides of a merge, which the user has to settle.
    """
    path = Path(repo.root_dir, LOCK_FILE)
    if not path.is_file() or _is_whole(content := path.read_bytes()):
        return []
    if b"\n<<<<<<< " in b"\n" + content:
        raise UserError(
            f"{LOCK_FILE}: got both sides of a merge; takes one: `git checkout --ours {LOCK_FILE}` or `--theirs`, then "
            f"`git add {LOCK_FILE}` and `dvc repro`"
        )
    kept = _in_git(repo.root_dir)
    if kept is not None and not _is_whole(kept):
        return []  # DVC says what is wrong with it
    place = aside.take(path, LOCK_FILE)
    if kept is None:
        then = "the next run writes it anew, from what DVC's cache has"
    else:
        files.write_text(path, kept.decode())
        then = "what Git has of it is here again, and the next run adds to it from what DVC's cache has"
    return [f"{LOCK_FILE}: cut short or damaged; {then}; the damaged file is now {place}"]


def refuse_damaged(repo: Repo) -> None:
    """Raise UserError where `mend` has something to do."""
    path = Path(repo.root_dir, LOCK_FILE)
    if path.is_file() and not _is_whole(path.read_bytes()):
        raise UserError(f"{LOCK_FILE}: cut short or damaged: run make check, which mends it, then `dvc repro`")


def _is_whole(content: bytes) -> bool:
    """Whether DVC can read it, and its last line has an end: what is cut in the middle of a hash can be read, too."""
    try:
        Lockfile.validate(parse_yaml(content.decode(), LOCK_FILE))
    except (DvcException, ValueError):
        return False
    except RecursionError:
        return True  # `objects.refuse_strange` says so
    return content.endswith(b"\n")


def _in_git(root: str) -> bytes | None:
    done = subprocess.run(["git", "-C", root, "show", f":./{LOCK_FILE}"], capture_output=True)
    return None if done.returncode else done.stdout
