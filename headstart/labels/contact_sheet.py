"""A picture of sets of images beside each other, such as near-duplicates: does the eye agree?"""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from anyascii import anyascii
from PIL import Image, ImageDraw, ImageOps

from headstart.base import files, wording

SIDE, GAP, LINE = 96, 6, 20  # pixels: an image, between images, a line of text
LETTERS = 15  # of a class's name below an image
MOST, WIDE = 40, 8  # sets, and images of a set, that are shown


def draw(
    path: Path, sets: list[list[str]], read: Callable[[str], np.ndarray], labels: Mapping[str, str] | None = None
) -> None:
    """Write a PNG with one row per set, its number from 1 on before it; without sets, it says so.

    Sets with images of several classes come first, with the classes in red: one of the labels may be wrong.

    sets: paths of images. read: returns the pixels of one, uint8 (height, width, 3). labels: the class of each image,
    written below it in Latin letters; default: nothing is written.
    """
    labels = labels or {}
    torn = [number for number, paths in enumerate(sets) if len({labels.get(name) for name in paths}) > 1]
    order = [*torn, *(number for number in range(len(sets)) if number not in set(torn))][:MOST]
    columns = max([len(sets[number]) for number in order], default=0)
    columns, high = max(3, min(columns, WIDE)), SIDE + GAP + (LINE if labels else 0)
    sheet = Image.new("RGB", (4 * LINE + columns * (SIDE + GAP), 2 * LINE + len(order) * high), "white")
    pen = ImageDraw.Draw(sheet)
    rest = f", {MOST} of them here" if len(sets) > MOST else ""
    different = f"; {wording.count(len(torn), 'set')} of several classes, in red" if torn else ""
    pen.text((GAP, GAP), f"{wording.count(len(sets), 'set')} of near-duplicates{rest}{different}", fill="black")
    for row, number in enumerate(order):
        top, paths = 2 * LINE + row * high, sets[number]
        more = f"\n… {len(paths)}" if len(paths) > WIDE else ""
        pen.text((GAP, top), f"{number + 1}{more}", fill="black")
        for column, name in enumerate(paths[:WIDE]):
            left = 4 * LINE + column * (SIDE + GAP)
            image = ImageOps.pad(Image.fromarray(read(name)), (SIDE, SIDE), color="white")
            sheet.paste(image, (left, top))
            text = wording.label(anyascii(labels.get(name, "")) or " ", LETTERS)
            pen.text((left, top + SIDE), text if labels else "", fill="red" if number in torn else "black")
    with files.whole(path) as part:
        sheet.save(part, format="png")
