"""`metrics/calibration.json`: what `calibrate` set, and on how many images.

images       that were not trained on, by whose probabilities it was set
temperature  that the logits are divided by
threshold    of two classes, the probability from which on the class `of` is taken; null: the likeliest class is
reached      the recall or precision on these images, where it is the goal
set_on       what that is a share of, `SetOn`; missing where it is not the goal
at_least     the probability from which on a class remains possible; null where one is always named
unlike       {images: kept of training, limit: the distance from which on an image is unlike them}
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

from headstart.base import files, wording
from headstart.base.errors import UserError

CALIBRATION = Path("metrics/calibration.json")


class SetOn(NamedTuple):
    """The images by which a threshold was set: `images`, of the class `of`, or called that where precision is the goal.

    `goal`: recall or precision. `wanted`: how much of it. `needed`: how many images it takes to say so of new ones;
    images of one group, of which there are `groups`, are no more than one of them. None: each is alone.
    """

    goal: str
    of: str
    wanted: float
    images: int
    needed: int
    groups: int | None = None

    def warning(self) -> str | None:
        """Says that they are too few, without a full stop; None where they are not."""
        groups = self.images if self.groups is None else self.groups
        if groups >= self.needed:
            return None
        among = f" in {groups:,} groups" if groups < self.images else ""
        which = f"{'called' if self.goal == 'precision' else 'of'} {wording.label(self.of, 30)}"
        return (
            f"a {self.goal} of {self.wanted:g} takes {self.needed:,} images {which} to set it on: there are "
            f"{self.images:,}{among}; add some, or lower decision.at_least"
        )


def write(found: dict[str, Any], project: Path = Path()) -> None:
    """Write what is listed above, whole or not at all. project: its folder; default: the current one."""
    files.write_text(project / CALIBRATION, json.dumps(found, indent=2, ensure_ascii=False) + "\n")


def set_on(project: Path = Path()) -> SetOn | None:
    """What a threshold was set on, of the file in the folder `project`; None where there is no file, or no threshold.

    Raises UserError where it is damaged.
    """
    try:
        found = json.loads((project / CALIBRATION).read_text(encoding="utf-8")).get("set_on")
        return None if found is None else SetOn(**found)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, AttributeError, RecursionError):
        again = "run `dvc repro --force --single-item calibrate`"
        raise UserError(f"{CALIBRATION} is not what the stage calibrate writes: {again}") from None
