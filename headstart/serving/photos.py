"""Image files from anybody: what would take too long, or too much memory, is refused by its header."""

import base64
import io
from typing import NamedTuple

import numpy as np
from PIL import Image

from headstart.images import decoding
from headstart.images.decoding import Broken, Note, Square
from headstart.images.ranges import Range

# Each scan of a progressive JPEG goes over all of its pixels; programs write ten to fifteen.
SCANS = 40
SIDE = 640  # pixels: the longer side of a preview
ENDINGS = {
    "JPEG": "jpg", "PNG": "png", "GIF": "gif", "BMP": "bmp", "TIFF": "tif", "WEBP": "webp", "AVIF": "avif",
    "JPEG2000": "jp2", "HEIF": "heic", "PPM": "ppm", "DICOM": "dcm",
}  # fmt: skip


class Photo(NamedTuple):
    """An image file that was decoded.

    `pixels`: uint8 (size, size, 3). `preview`: the image upright and small, as the text that a page has in the place
    of an address; empty where nobody asked for it.
    """

    pixels: np.ndarray
    preview: str = ""


def read(
    data: bytes, square: Square, value_range: Range | None, most: int, preview: bool = False, note: Note | None = None
) -> Photo:
    """Return an image file for a network, decoded as `decoding.read` does it, which takes `note`.

    most: pixels of the whole image. Raises `Broken`. Safe to call from several threads.
    """
    kind(data, most)
    pixels = decoding.read(data, square, value_range, note)
    return Photo(pixels, picture(data, SIDE, value_range) if preview else "")


def kind(data: bytes, most: int) -> str:
    """Return which of `ENDINGS` an image file is, by its header, and that it has at most so many pixels.

    Raises `Broken`. Only formats that are known by their first bytes are taken: Pillow would have PostScript run.
    """
    if not data:
        raise Broken("zero bytes")
    name = decoding.kind(data[:132])
    if name is None:
        raise Broken(f"not an image by its first bytes: {', '.join(ENDINGS)} are read")
    pixels = _pixels(data, name)
    if pixels is not None and pixels > most:
        raise Broken(f"{pixels:,} pixels, more than the {most:,} that this server takes: send it smaller")
    if name == "JPEG" and (scans := data.count(b"\xff\xda")) > SCANS:
        raise Broken(f"a JPEG of {scans:,} scans, more than the {SCANS} that this server takes: save it again")
    return name


def picture(data: bytes, side: int, value_range: Range | None) -> str:
    """Return an image file, upright and at a longer side of `side` pixels at most, as a page's address of it."""
    _, pixels = decoding.preview(data, side, value_range)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "WEBP", quality=80, method=2)
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"


def _pixels(data: bytes, name: str) -> int | None:
    """How many pixels an image has by its header; None where that cannot be read, and decoding it will say why."""
    try:
        if name == "DICOM":
            return _pixels_of_dicom(data)
        # Pillow refuses by itself what is far too large.
        width, height = Image.open(io.BytesIO(data), formats=[name]).size
    except Image.DecompressionBombError:
        raise Broken(f"more than {2 * Image.MAX_IMAGE_PIXELS:,} pixels: send it smaller") from None
    except Exception:  # Pillow's decoders raise errors of many kinds
        return None
    return width * height


def _pixels_of_dicom(data: bytes) -> int | None:
    try:
        from pydicom import dcmread
    except ImportError:
        return None  # `decoding` says what to install
    tags = ["Rows", "Columns", "NumberOfFrames"]
    header = dcmread(io.BytesIO(data), stop_before_pixels=True, force=True, specific_tags=tags)  # with no mark, too
    return int(header.Rows) * int(header.Columns) * max(1, int(header.get("NumberOfFrames") or 1))
