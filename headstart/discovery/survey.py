"""What images are like, from a part of them: sizes, colours, depth, unreadable files, and copies of the same file."""

import hashlib
import io
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from PIL import Image

from headstart.artifacts.dataset import LeftOut
from headstart.base import progress
from headstart.base.threads import in_order
from headstart.images import archive, decoding
from headstart.images.ranges import Range
from headstart.labels import near_duplicates

LOOKED_AT = 1000  # images that are decoded, at most
BYTES = 400 * 2**20  # of the files that are decoded, and again of those that are compared, at most
BITS_PER_SAMPLE = 258  # the tag of TIFF
DEPTHS = {"1": "1 bit", "I;16": "16 bits", "I;16B": "16 bits", "I;16L": "16 bits", "I": "32 bits", "F": "float"}


class Look(NamedTuple):
    """An image: (width, height) in pixels, upright; black and white, grey or colour; bits per channel; a thumbnail.

    thumbnail: uint8 (64, 64), grey.
    """

    size: tuple[int, int]
    tones: str
    depth: str
    thumbnail: np.ndarray


class Survey(NamedTuple):
    """What was found in `looked_at` of the `images` of a source.

    seconds: per image, decoding with all threads at once. broken: those that cannot be read. copies: groups of files
    of the same bytes, of all images where `compared` is true, else of those below a limit of bytes. alike: pairs of
    near-duplicates among those that were looked at.
    """

    images: int
    looked_at: int
    looks: dict[str, Look]
    broken: list[LeftOut]
    seconds: float
    copies: list[list[str]]
    compared: bool
    alike: list[tuple[str, str]]


def survey(path: str, paths: Sequence[str], seed: int) -> Survey:
    """Look at the images at `paths` of the source at `path`: at all of them, or at a part that `seed` draws."""
    with archive.open_source(path) as source:
        return _survey(source, paths, seed)


def _survey(source: archive.Source, paths: Sequence[str], seed: int) -> Survey:
    sizes = {path: source.size(path) for path in paths}
    sample = _sample(paths, sizes, seed)
    start = time.perf_counter()
    outcomes = list(progress.track(in_order(partial(_look, source), sample), "looking", len(sample)))
    seconds = (time.perf_counter() - start) / max(1, len(sample))
    looks = {path: look for path, look in zip(sample, outcomes, strict=True) if isinstance(look, Look)}
    broken = [outcome for outcome in outcomes if isinstance(outcome, LeftOut)]
    copies, compared = _copies(source, sizes)
    same = {path: group[0] for group in copies for path in group[1:]}
    alike = near_duplicates.find({path: look.thumbnail for path, look in looks.items() if path not in same})
    return Survey(len(paths), len(sample), looks, broken, seconds, copies, compared, alike)


def _sample(paths: Sequence[str], sizes: dict[str, int], seed: int) -> list[str]:
    drawn, left = [], BYTES
    for index in np.random.default_rng(seed).permutation(len(paths)):
        left -= sizes[paths[index]]
        if drawn and (left < 0 or len(drawn) == LOOKED_AT):
            break
        drawn.append(paths[index])
    return sorted(drawn)


def _look(source: archive.Source, path: str) -> Look | LeftOut:
    try:
        data = source.read(path)
        # Of the values of a deep image, the image's own range is looked at: that of all images is not known here.
        facts = decoding.examine(data) if decoding.depth(data) != 8 else None
        pixels = decoding.decode(data, Range(*facts.own) if facts and facts.own else None)
    except (archive.Unreadable, decoding.Broken) as error:
        return LeftOut(path, str(error))
    if decoding.kind(data[: archive.HEAD]) == "DICOM" or (facts and facts.colour):
        depth = "16 bits" if facts.own or facts.windowed else "8 bits"
    else:
        with Image.open(io.BytesIO(data)) as image:
            depth = DEPTHS.get(image.mode, "8 bits")
            if image.mode == "I" and getattr(image, "tag_v2", {}).get(BITS_PER_SAMPLE, (16,))[0] != 32:
                depth = "16 bits"  # Pillow decodes 16 bits with a sign, and those of PGM, to 32
    height, width = pixels.shape[:2]
    few = pixels[:: max(1, height // 64), :: max(1, width // 64)].astype(np.int16)
    # A grey photo that is stored in colour, as JPEG, differs by a little.
    grey = np.abs(few - few[..., :1]).max() <= 8
    two = depth == "1 bit" or (grey and np.isin(few, (0, 255)).all())
    tones = "black and white" if two else "grey" if grey else "colour"
    return Look((width, height), tones, depth, decoding.thumbnail(pixels))


def _copies(source: archive.Source, sizes: dict[str, int]) -> tuple[list[list[str]], bool]:
    """The groups of files of the same bytes, and whether all were compared that could be the same."""
    by_size, left, compared = defaultdict(list), BYTES, True
    for path, size in sizes.items():
        by_size[size].append(path)
    by_content = defaultdict(list)
    for size, paths in sorted(by_size.items()):
        if len(paths) == 1:
            continue
        if size * len(paths) > left:
            compared = False
            continue
        left -= size * len(paths)
        for path in paths:
            try:
                by_content[hashlib.sha256(source.read(path)).digest()].append(path)
            except archive.Unreadable:
                continue
    return sorted(group for group in by_content.values() if len(group) > 1), compared


def most(values: Sequence[str]) -> str:
    """In words, how often each value is there, the commonest first: `grey`, or `colour (290), grey (10)`."""
    counts = Counter(values).most_common()
    return counts[0][0] if len(counts) == 1 else ", ".join(f"{value} ({count:,})" for value, count in counts)
