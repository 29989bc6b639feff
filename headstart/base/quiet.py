"""What libraries write from C++ onto standard error, past everything that Python could say to them."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def standard_error_closed() -> Iterator[None]:
    """Keep what is written to standard error inside the block off the terminal; what is raised is raised."""
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
