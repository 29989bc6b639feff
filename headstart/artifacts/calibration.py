"""`metrics/calibration.json`: what `calibrate` set, and on how many images.

images       that were not trained on, by whose probabilities it was set
groups       of how many groups they are: images that belong together are one
temperature  that the logits are divided by
threshold    of two classes, the probability from which on the class `of` is taken; null: the likeliest class is
reached      the recall or precision on these images, where it is the goal
set_on       what that is a share of, `SetOn`; missing where it is not the goal
at_least     the probability from which on a class remains possible; null where one is always named
coverage     how often the true class is to remain possible, and how many images that takes: {wanted, needed}; missing
             where one is always named
unlike       {images: kept of training, limit: the distance from which on an image is unlike them}
"""

import json
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from headstart.artifacts import COUNT, SHARE, of_form, read_json
from headstart.base import files, wording

CALIBRATION = Path("metrics/calibration.json")
# What `read` compares with; what only some runs have, or was not written before, has a question mark.
FORM = {
    "images?": COUNT,
    "groups?": COUNT,
    "reached?": SHARE | {None},
    "set_on?": {"goal": {str}, "of": {str}, "wanted": SHARE}
    | {"images": COUNT, "needed": COUNT, "groups?": COUNT | {None}},
    "coverage?": {"wanted": SHARE, "needed": COUNT},
}


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


def read(project: Path = Path()) -> dict[str, Any]:
    """Return what the file of `project` holds. Raises UserError where it is missing or is not what `write` writes."""
    return read_json(project, CALIBRATION, partial(of_form, FORM), "calibrate")


def warnings(found: dict[str, Any], of: str | None) -> list[str]:
    """Return what is worth a look before a rule is believed, one line each without a full stop.

    found: what `read` returns. of: the class that the rule is about; None where there is none.
    """
    said, coverage, images = [], found.get("coverage"), found.get("images", 0)
    groups = found.get("groups", images)  # as of an earlier version
    if coverage is not None and groups < coverage["needed"]:
        what = f"a decision.coverage of {coverage['wanted']:g} takes {coverage['needed']:,}"
        few = f"images that were not trained on: there are {images:,}, and every class remains possible"
        if images >= coverage["needed"]:
            few = f"groups of images that were not trained on, not {groups:,}: nothing is promised of new groups"
        said.append(f"{what} {few}; add some, or lower it")
    given = found.get("set_on")
    set_on = None if given is None else SetOn(**given)
    if set_on is not None and set_on.of == of:
        said += [warning] if (warning := set_on.warning()) else []
        if (reached := found.get("reached")) is not None and reached < set_on.wanted:
            said.append(f"on the images by which it was set a {set_on.goal} of {reached:.3f} is all that is reached")
    return said
