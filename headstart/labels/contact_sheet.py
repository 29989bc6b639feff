"""A picture of sets of images beside each other, such as near-duplicates: does the eye agree?"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageOps

from headstart.base import files, wording

SIDE, GAP, LINE = 96, 6, 20  # pixels: an image, between images, a line of text
MOST, WIDE = 40, 8  # sets, and images of a set, that are shown


def draw(path: Path, sets: list[list[str]], read: Callable[[str], np.ndarray]) -> None:
    """Write a PNG with one row per set, its number from 1 on before it; without sets, it says so.

    sets: paths of images. read: returns the pixels of one, uint8 (height, width, 3).
    """
    shown = sets[:MOST]
    columns = max([len(paths) for paths in shown], default=0)
    columns = max(3, min(columns, WIDE))
    sheet = Image.new("RGB", (4 * LINE + columns * (SIDE + GAP), 2 * LINE + len(shown) * (SIDE + GAP)), "white")
    pen = ImageDraw.Draw(sheet)
    rest = f", the first {MOST}" if len(sets) > MOST else ""
    pen.text((GAP, GAP), f"{wording.count(len(sets), 'set')} of near-duplicates{rest}", fill="black")
    for row, paths in enumerate(shown):
        top = 2 * LINE + row * (SIDE + GAP)
        more = f"\n… {len(paths)}" if len(paths) > WIDE else ""
        pen.text((GAP, top), f"{row + 1}{more}", fill="black")
        for column, name in enumerate(paths[:WIDE]):
            image = ImageOps.pad(Image.fromarray(read(name)), (SIDE, SIDE), color="white")
            sheet.paste(image, (4 * LINE + column * (SIDE + GAP), top))
    with files.whole(path) as part:
        sheet.save(part, format="png")
