"""Which files of a source are images: by the endings of their names; where those say nothing, by their first bytes."""

import posixpath
import re
from collections.abc import Callable, Iterable
from pathlib import PurePosixPath

from headstart.images import decoding
from headstart.images.archive import Source

# Of the file names of images, in lower case.
ENDINGS = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".bmp", ".tif", ".tiff", ".webp", ".avif")
ENDINGS += (".jp2", ".jpc", ".jpf", ".jpx", ".j2k", ".j2c")
ENDINGS += (".heic", ".heif", ".hif", ".pbm", ".pfm", ".pgm", ".pnm", ".ppm", ".tga", ".dcm", ".dicom", ".ima")
# Endings that say as little as none; so do digits, as in 1.2.840.113619 or scan.0001.
_VAGUE = ("", ".bin", ".dat", ".data", ".file", ".img", ".tmp")
# Of masks beside images: the ends of their names, as in scan_mask_1, and their folders; and folders of images.
_MASK = re.compile(r"[-_ .]\(?(mask|seg|segmentation|ground[-_ ]?truth|gt|trimap)s?\)?([-_ ]?\d+)?$", re.I)
_MASKS = re.compile(r"(.+[-_ ])?(masks|trimaps?|segmentation\w*|annotations?|ground[-_ ]?truths?|gts?|labels)", re.I)
_PICTURES = re.compile(r"(.+[-_ ])?((jpeg)?images?|imgs?|photos?|pictures?|originals?)", re.I)
_TOLD = re.compile("mask|seg|truth|gt|trimap|annotation|label", re.I)  # what all names and folders of masks have


def is_image_name(name: str) -> bool:
    """Whether a file name, or a path, has one of the `ENDINGS`, in upper or lower case."""
    return name.lower().endswith(ENDINGS)


def without_ending(path: str) -> str:
    """The name of a file, or its path, without the ending that makes it an image's: `a.b.png` and `a.b` are `a.b`."""
    return posixpath.splitext(path)[0] if is_image_name(path) else path


def stem(path: str) -> str:
    """The name of a file without its folders and an image's ending: `b/a.png` is `a`."""
    return without_ending(posixpath.basename(path))


def is_image(path: str, head: Callable[[str], bytes]) -> bool:
    """Whether a file is an image: its name has one of the `ENDINGS`, or one that says nothing and an image inside.

    head: returns the first `archive.HEAD` bytes of the file at `path`; called only for an ending that says nothing.
    """
    if is_image_name(path):
        return True
    try:
        return _says_nothing(path) and decoding.kind(head(path)) is not None
    except (OSError, ValueError):  # Unreadable and Broken are ValueErrors
        return False


def why_not(path: str) -> str:
    """Why a file that is not an image, by `is_image`, is none."""
    if _says_nothing(path):
        return "no ending in its name that says what it is, and no image by its first bytes"
    name = path.lower()
    named = (other for other in decoding.OTHERS if name.endswith(other.endings))
    return next((f"{other.what}: {other.advice}" for other in named), "not the file name of an image")


def images(source: Source) -> set[str]:
    """Return the names of all images in a source."""
    return {name for name in source.names() if is_image(name, lambda path: source.head(path))}


def _says_nothing(path: str) -> bool:
    ending = PurePosixPath(path).suffix.lower()
    return ending in _VAGUE or ending[1:].isdigit()


def masks(paths: Iterable[str]) -> dict[str, str]:
    """Return the images that are masks of others by their names, each with the one that it is of; both are paths.

    They lie beside that one and are named as it is with `_mask` or the like behind it, or in a folder such as `masks`,
    where a folder such as `images` has an image of that name.
    """
    paths = list(paths)
    if not any(map(_TOLD.search, paths)):  # of a million names, the rest takes a while
        return {}
    by_stem = {without_ending(path): path for path in paths}
    folders = {posixpath.dirname(stem) for stem in by_stem}
    drawn = {folder for folder in folders if any(map(_MASKS.fullmatch, folder.split("/")))}
    pictures = {folder for folder in folders - drawn if any(map(_PICTURES.fullmatch, folder.split("/")))}
    seen = {posixpath.basename(stem): stem for stem in by_stem if posixpath.dirname(stem) in pictures}
    found = {}
    for stem, path in by_stem.items():
        folder, name = posixpath.split(stem)
        named = _MASK.search(name)
        image = name[: named.start()].rstrip("-_ .") if named else name
        of = posixpath.join(folder, image)
        if folder in drawn and (of == stem or of not in by_stem):
            of = seen.get(image, seen.get(name))
        if of != stem and of in by_stem:
            found[path] = by_stem[of]
    return found
