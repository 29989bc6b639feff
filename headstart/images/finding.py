"""Which files of a source are images: by the endings of their names; where those say nothing, by their first bytes."""

from collections.abc import Callable
from pathlib import PurePosixPath

from headstart.images import decoding
from headstart.images.archive import Source

# Of the file names of images, in lower case.
ENDINGS = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".bmp", ".tif", ".tiff", ".webp", ".avif", ".jp2")
ENDINGS += (".heic", ".heif", ".hif", ".pbm", ".pfm", ".pgm", ".pnm", ".ppm", ".tga", ".dcm", ".dicom", ".ima")
# Endings that say as little as none; so do digits, as in 1.2.840.113619 or scan.0001.
_VAGUE = ("", ".bin", ".dat", ".data", ".file", ".img", ".tmp")


def is_image_name(name: str) -> bool:
    """Whether a file name, or a path, has one of the `ENDINGS`, in upper or lower case."""
    return name.lower().endswith(ENDINGS)


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
    return "not the file name of an image"


def images(source: Source) -> set[str]:
    """Return the names of all images in a source."""
    return {name for name in source.names() if is_image(name, lambda path: source.head(path))}


def _says_nothing(path: str) -> bool:
    ending = PurePosixPath(path).suffix.lower()
    return ending in _VAGUE or ending[1:].isdigit()
