"""TIFF, where Pillow takes some values for others: what is put right, what is refused, and what stands for no data."""

import io
from typing import Any

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from headstart.base import wording
from headstart.images.dicom import FRAMES
from headstart.images.ranges import PADDING

_BITS, _COMPRESSION, _COLOURS, _FILL_ORDER, _CHANNELS, _PLANES, _FORMAT = 258, 259, 262, 266, 277, 284, 339  # tags
_NO_DATA = 42113  # tag: GDAL's, a number as text
_WHITE_IS_ZERO, _SIGNED = 0, 2  # of `_COLOURS` and of `_FORMAT`
_FORMATS = {1: "unsigned", 2: "signed", 3: "floating-point"}
_NAMES = {0: "grey", 1: "grey", 2: "RGB", 3: "palette", 5: "CMYK", 6: "YCbCr", 8: "Lab"}
# What is decompressed is in the byte order of the machine, and Pillow turns it around all the same.
_NATIVE = {"I;16BS": "I;16NS", "I;32BS": "I;32NS", "F;32BF": "F;32NF"}


def is_signed_bytes(image: Image.Image) -> bool:
    """Whether a Pillow image, of any format, is a grey TIFF of 8 bits with a sign, of which Pillow drops the sign."""
    tags = getattr(image, "tag_v2", None)
    return image.mode == "L" and tags is not None and _first(tags, _FORMAT) == _SIGNED and _first(tags, _BITS) == 8


def prepare(image: Image.Image) -> str | None:
    """Have a TIFF that is opened and not yet loaded decoded right; return why that cannot be, else None."""
    tags = image.tag_v2
    if _first(tags, _COMPRESSION) != 1:
        (tile,) = image.tile
        stored, *others = tile.args
        image.tile = [tile._replace(args=(_NATIVE.get(stored, stored), *others))]
        return None
    if _first(tags, _PLANES) != 2:
        return None
    # Of how the values are stored, Pillow looks at the first letter alone: `R` of `RGB;16L`.
    bits, white = _first(tags, _BITS), _first(tags, _COLOURS, _WHITE_IS_ZERO) == _WHITE_IS_ZERO
    plain = bits in (1, 8) and not white and _first(tags, _FILL_ORDER) == 1
    if plain or (bits == 32 and tags.prefix == b"II" and _first(tags, _CHANNELS) == 1):
        return None
    return (
        f"{_described(tags)}, uncompressed and each channel by itself (PlanarConfiguration 2), which cannot be read: "
        "save it interleaved (PlanarConfiguration 1)"
    )


def mended(image: Image.Image) -> Image.Image:
    """Return a TIFF that is loaded with the values that the file means; `info[PADDING]` says which stand for no data.

    8 bits with a sign become mode I, and 32 without one, where they do not fit into it, F. Where 0 is white, deep
    values are turned around: those of 16 bits within 0 to 65535, floating-point ones by their sign.
    """
    tags, values, no_data = image.tag_v2, None, _no_data(image.tag_v2)
    if is_signed_bytes(image):
        values = np.asarray(image).view(np.int8).astype(np.int32)
    elif image.mode == "I" and _first(tags, _BITS) == 32 and _first(tags, _FORMAT) == 1:
        whole = np.asarray(image).view(np.uint32)
        values = whole.astype(np.float32) if whole.max() >= 2**31 else None
    elif (image.mode == "F" or image.mode.startswith("I;")) and _first(tags, _COLOURS) == _WHITE_IS_ZERO:
        most = 0 if image.mode == "F" else 65535
        values = (most - np.asarray(image)).astype(np.float32 if image.mode == "F" else np.uint16)
        no_data = None if no_data is None else most - no_data
    if values is not None:
        frames = 2 if image.is_animated else 1
        image, info = Image.fromarray(values), image.info
        image.info |= info | {FRAMES: frames}
    if no_data is not None:
        image.info[PADDING] = (no_data, no_data)
    return image


def unidentified(data: bytes) -> str:
    """Why a file that begins like a TIFF is not one that Pillow opens, and what to do."""
    file = io.BytesIO(data)
    try:
        head = file.read(16)
        tags = ImageFileDirectory_v2(head if head[2] == 43 else head[:8])  # 43: BigTIFF
        file.seek(tags.next)
        tags.load(file)
        what = _described(tags) if _BITS in tags else None
    except Exception:  # of what is damaged the tags are, too
        what = None
    little = ", little-endian" if data[:1] == b"M" else ""
    return (
        f"{what or 'a TIFF that is damaged, or of a kind'}{', which' if what else ' that'} cannot be read: save it as "
        f"grey or RGB{little}: one or three channels of 8 or 16 bits, whole numbers, or one channel of 32"
    )


def _described(tags: ImageFileDirectory_v2) -> str:
    bits, numbers = _first(tags, _BITS), _FORMATS.get(_first(tags, _FORMAT), "of an unknown kind")
    colours = _first(tags, _COLOURS, _WHITE_IS_ZERO)
    kind = _NAMES.get(colours, f"PhotometricInterpretation {colours}")
    order = "big" if tags.prefix == b"MM" else "little"
    channels = wording.count(_first(tags, _CHANNELS), "channel")
    return f"a TIFF of {channels} of {bits} bits ({kind}, {numbers}, {order}-endian)"


def _first(tags: ImageFileDirectory_v2, tag: int, missing: int = 1) -> Any:
    value = tags.get(tag, missing)
    return value[0] if isinstance(value, tuple) and value else value


def _no_data(tags: ImageFileDirectory_v2) -> float | None:
    value = _first(tags, _NO_DATA, None)
    try:
        number = float(value.decode() if isinstance(value, bytes) else str(value).strip("\0 "))
    except ValueError:
        return None
    # Written for values of 64 bits, it may be more than 32 can hold.
    most = float(np.finfo(np.float32).max)
    return None if np.isnan(number) else max(-most, min(most, number))
