"""The user's account: DVC asks for a name and a home, and ends in a traceback where there are none."""

import getpass
import os
from pathlib import Path

from headstart.base.errors import UserError


def require() -> None:
    """Raise UserError where this user has no name or no home: an id that /etc/passwd lacks, as in some containers."""
    try:
        getpass.getuser()
        Path.home()
    except (KeyError, OSError, RuntimeError):
        raise UserError(
            f"the user id {os.getuid()} has no entry in /etc/passwd, and DVC wants a name and a home: set both, as in "
            "export LOGNAME=me HOME=/path/to/a/folder/of/yours"
        ) from None
