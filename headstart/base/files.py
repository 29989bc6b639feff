"""Files that appear whole or not at all: written under a temporary name, then renamed."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from headstart.base import cells


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` when the block ends without an error.

    The folder is made where it is missing. A block that fails leaves what was at `path` before.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    yield part
    part.replace(path)


def write_text(path: Path, text: str) -> None:
    """Write a text file, UTF-8 with plain line feeds, whole or not at all."""
    with whole(path) as part:
        part.write_text(text, encoding="utf-8", newline="\n")


def write_csv(path: Path, rows: Iterable[Iterable]) -> None:
    """Write a table, its header first, whole or not at all; `cells.read` reads it."""
    write_text(path, "".join(map(cells.line, rows)))
