"""`metrics/inspection.json`: what is odd about the images, their labels and their splits.

suspects     images of training and validation whose labels are likely to be wrong, the likeliest first: [{path, label,
             looks_like, probability (of what it looks like), own_probability (of its label)}]
outliers     images unlike all others, the farthest first: [{path, times: of the usual distance to the nearest ones}]
alike        pairs across splits that are nearly the same image, which the split did not know of, the nearest first:
             [{paths: [path, path], splits: [split, split]}]
looks        {one of `LOOKS`: [path, ...]}, the oddest first
elsewhere    where the source fixed the splits: {class: area under the ROC curve of a classifier that tells test images
             from training images of this class}; {} where they are Headstart's own
warnings     what is worth a look before the result is believed, one line each
counts       of each of the above: {suspects, outliers, alike, ...: number}, of which `dvc metrics diff` tells

Lists, since DVC would print a number for each image otherwise; at most `MOST` images each, of which `counts` are all.
"""

import json
from functools import partial
from pathlib import Path
from typing import Any

from headstart.artifacts import AMOUNT, ANY, COUNT, SHARE, of_form, read_json
from headstart.base import files, wording

INSPECTION = Path("metrics/inspection.json")
MOST = 500
LOOKS = {
    "blank": "show nothing",
    "dark": "are dark",
    "bright": "are overexposed",
    "blurred": "are blurred",
    "odd_size": "are of an odd size",
    "odd_shape": "are of an odd shape",
}

# What `read` compares with.
SUSPECT = {"path": {str}, "label": {str}, "looks_like": {str}, "probability": SHARE, "own_probability": SHARE}
FORM = {
    "suspects": [SUSPECT],
    "outliers": [{"path": {str}, "times": AMOUNT}],
    "alike": [{"paths": ({str}, {str}), "splits": ({str}, {str})}],
    "looks": {name: [{str}] for name in LOOKS},
    "elsewhere": {ANY: SHARE},
    "warnings": [{str}],
    "counts": dict.fromkeys(("suspects", "outliers", "alike", *LOOKS), COUNT),
}


def in_words(count: int, name: str) -> str:
    """What is said of so many images with one of the `LOOKS`: `1 image is dark`, `1,200 images show nothing`."""
    what = LOOKS[name]
    if count == 1:
        what = what.replace("are ", "is ").replace("show ", "shows ")
    return f"{wording.count(count, 'image')} {what}"


def write(found: dict[str, Any], project: Path = Path()) -> None:
    """Write what is listed above, whole or not at all. project: its folder; default: the current one."""
    files.write_text(project / INSPECTION, json.dumps(found, indent=1, ensure_ascii=False) + "\n")


def read(project: Path = Path()) -> dict[str, Any]:
    """Return what the file of `project` holds. Raises UserError where it is missing or is not what `write` writes."""
    return read_json(project, INSPECTION, partial(of_form, FORM), "inspect")
