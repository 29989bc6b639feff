"""What `split` notes of each image while it decodes them all: its hash, its values, and what was made of it."""

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from headstart.base import wording
from headstart.images import ranges
from headstart.images.ranges import Range

# What is said of images after their number.
_WINDOWED = "seen through the window that the file asks for (DICOM); image.range would take its place"
_REDUCED = "with more than 8 bits in colour (CMYK, JPEG 2000, AVIF, HEIF), of which the upper 8 are used"
_BLANK = "of a single colour, which shows nothing: take such images out, unless that is a class of yours"
_FRAMES = "with several frames or pages in the file, of which the first is used"

BLANK = 1.0  # grey levels of deviation
THUMBNAIL = 64  # pixels
Outcome = TypeVar("Outcome")


@dataclass(frozen=True)
class Facts:
    """What is noted of an image.

    `sha256`: of its pixels before any reduction of depth; `own`: its low and high value (`ranges.of_image`) where it
    has more than 8 bits and is to be seen by the range of the data set, else None; `whole_numbers`: whether its
    values are such; `windowed`: seen through its own window (DICOM); `reduced`: more than 8 bits in CMYK, in colours
    of JPEG 2000, in AVIF or HEIF, of which the upper 8 are used; `frames`: one of several in its file; `colour`: more
    than 8 bits in colour; `thumbnail`: uint8 (64, 64), as `decoding.thumbnail` returns it, of a deep image by its own
    range.
    """

    sha256: str
    own: tuple[float, float] | None = None
    whole_numbers: bool = True
    windowed: bool = False
    reduced: bool = False
    frames: bool = False
    colour: bool = False
    thumbnail: np.ndarray | None = field(default=None, compare=False, repr=False)

    @property
    def blank(self) -> bool:
        """Whether the image is of one colour, or nearly so."""
        return self.thumbnail is not None and float(self.thumbnail.std()) < BLANK


def shelved(outcomes: Iterable[Outcome], count: int, folder: Path) -> Iterator[Outcome]:
    """Yield what was noted of `count` images, as it was, but for the thumbnails, which then lie on disk, in `folder`.

    Of a million images they are 4 GB. What is no `Facts` is handed on. The file has no name and goes with them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as file:
        file.truncate(max(1, count) * THUMBNAIL**2)
        shelf = np.asarray(np.memmap(file, np.uint8, "r", shape=(max(1, count), THUMBNAIL, THUMBNAIL)))
        for row, outcome in enumerate(outcomes):
            if isinstance(outcome, Facts):
                # Not through the memory map: a full disk would end the process there, without a word.
                file.seek(row * THUMBNAIL**2)
                file.write(outcome.thumbnail)
                file.flush()
                outcome = replace(outcome, thumbnail=shelf[row])
            yield outcome


def find_range(train: Sequence[Facts], setting: Sequence[float] | None) -> Range | None:
    """Return the range of a data set: `image.range`, or that of the training images; None where those have 8 bits.

    train: of the training images. setting: low and high, or None.
    """
    deep = [image for image in train if image.own]
    if not deep:
        return None
    plain = any(not image.own and not image.windowed for image in train)
    if setting is not None:
        return Range(*setting, windows=False, plain=plain)
    found = ranges.of_images([image.own for image in deep], all(image.whole_numbers for image in deep))
    return found._replace(plain=plain)


def lines(images: Mapping[str, Facts], value_range: Range | None, setting: Sequence[float] | None) -> list[str]:
    """Return what there is to say of the images in use, by path: a line for each way in which they are changed.

    value_range: what `find_range` returned. setting: the parameter `image.range`.
    """
    said = []
    deep = [path for path, facts in images.items() if facts.own]
    if value_range is not None:
        rest = sum(not facts.own and not facts.windowed for facts in images.values())
        others = f"; the others ({rest:,}) have 8 bits and stay as they are, 0 to 255" if rest else ""
        noun = "image" if any(images[path].colour for path in deep) else "grey image"
        said.append(
            f"{_have(deep, noun)} more than 8 bits: values {value_range.low:g} to {value_range.high:g} are "
            f"taken as black to white (image.range){others}"
        )
    elif setting is not None:
        said.append("image.range has no effect: no training image has more than 8 bits")
    for chosen, what in (
        ([path for path, facts in images.items() if facts.windowed], _WINDOWED),
        ([path for path, facts in images.items() if facts.reduced], _REDUCED),
        ([path for path, facts in images.items() if facts.frames], _FRAMES),
        ([path for path, facts in images.items() if facts.blank], _BLANK),
    ):
        if chosen:
            said.append(f"{wording.count(len(chosen), 'image')} {what}, such as {chosen[0]}")
    return said


def _have(paths: Sequence[str], noun: str) -> str:
    return f"{wording.count(len(paths), noun)} {'has' if len(paths) == 1 else 'have'}"
