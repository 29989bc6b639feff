"""`metrics/calibration.json`: what `calibrate` set, and on how many images.

images       that were not trained on, by whose probabilities it was set
temperature  that the logits are divided by
threshold    of two classes, the probability from which on the class `of` is taken; null: the likeliest class is
reached      the recall or precision on these images, where it is the goal
at_least     the probability from which on a class remains possible; null where one is always named
unlike       {images: kept of training, limit: the distance from which on an image is unlike them}
"""

import json
from pathlib import Path
from typing import Any

from headstart.base import files

CALIBRATION = Path("metrics/calibration.json")


def write(found: dict[str, Any], project: Path = Path()) -> None:
    """Write what is listed above, whole or not at all. project: its folder; default: the current one."""
    files.write_text(project / CALIBRATION, json.dumps(found, indent=2, ensure_ascii=False) + "\n")
