"""The library that the stages share. It imports nothing from stages/.

For programs: `headstart.Classifier`, from `headstart.delivery.classifier`, which is imported when it is asked for.
"""

import importlib
import sys
from typing import Any


def __getattr__(name: str) -> Any:
    if name == "Classifier":
        # What a command says of a full disk or of Ctrl-C is for its user; a program has its own way.
        hook = sys.excepthook
        try:
            return importlib.import_module("headstart.delivery.classifier").Classifier
        finally:
            sys.excepthook = hook
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
