"""The stages after `split`, but that they neither sync what they write nor hash arrays, to measure what that costs."""

import importlib
import sys
from types import SimpleNamespace

from headstart.base import errors, files


class _Nothing:
    """In the place of a hash."""

    def update(self, content) -> None:
        pass

    def hexdigest(self) -> str:
        return "0" * 64


def main() -> None:
    files.sync = files.sync_open = files.sync_all = lambda *_: None
    stage = importlib.import_module(f"stages.{sys.argv[1]}")
    from headstart.artifacts import arrays

    arrays.files = SimpleNamespace(**vars(files) | {"sha256": lambda path: _Nothing().hexdigest()})
    arrays.hashlib = SimpleNamespace(sha256=lambda content=b"": _Nothing())
    stage.main()


if __name__ == "__main__":
    errors.run(main)
