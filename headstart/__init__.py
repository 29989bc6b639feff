"""The library that the stages share. It imports nothing from stages/.

For programs: `headstart.Classifier`, from `headstart.delivery.classifier`, which is imported when it is asked for.
"""

import importlib
from typing import Any


def __getattr__(name: str) -> Any:
    if name == "Classifier":
        return importlib.import_module("headstart.delivery.classifier").Classifier
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
