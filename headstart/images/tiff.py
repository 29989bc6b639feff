"""TIFF, where Pillow takes some values for others or none at all: read here, or refused by name."""

import io
import itertools
import math
import struct
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImagePalette, TiffImagePlugin
from PIL.TiffImagePlugin import II, MM, ImageFileDirectory_v2, TiffImageFile

from headstart.base import wording
from headstart.images.ranges import ALPHA, ENDS, PADDING, VALUES

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _COLOURS, _FILL_ORDER = 256, 257, 258, 259, 262, 266  # tags
_ORIENTATION, _CHANNELS, _ROWS, _PLANES, _PREDICTOR, _EXTRA, _FORMAT = 274, 277, 278, 284, 317, 338, 339
_STRIPS, _TILE_SIZE, _TILES = (273, 279), (322, 323), (324, 325)  # where they are, and their bytes
_COLOUR_MAP = 320
_NO_DATA = 42113  # tag: GDAL's, a number as text
_WHITE_IS_ZERO, _RGB, _YCBCR = 0, 2, 6  # of `_COLOURS`
_SEPARATE = 2  # of `_PLANES`
_FORMATS = {1: "unsigned", 2: "signed", 3: "floating-point", 4: "of an unknown kind"}
_LETTERS = {1: "u", 2: "i", 3: "f", 4: "u"}
_NAMES = {0: "grey", 1: "grey", 2: "RGB", 3: "palette", 5: "CMYK", 6: "YCbCr", 8: "Lab"}
_COMPRESSIONS = {33003: "JPEG 2000", 33005: "JPEG 2000", 34712: "JPEG 2000", 34887: "LERC", 50002: "JPEG XL"}
_PLAIN, _DEFLATED, _LOSSLESS = 1, (8, 32946), (1, 5, 8, 32773, 32946, 34925, 50000)  # of `_COMPRESSION`
# Bytes of values in a file, at most: those of a grey image of 64 bits and 90 megapixels.
_MOST = 8 * 89_478_485

# Pillow opens these too, then, as far as their head; `loaded` reads their values.
for _order, _colour, _format, _bits, _extra in itertools.product(
    (II, MM), (0, 1, 2), _LETTERS, (8, 12, 16, 32, 64), ((), (0,), (1,), (2,))
):
    if _bits > 12 or (_bits, _format) in ((8, 2), (12, 1)):
        _count = (3 if _colour == _RGB else 1) + len(_extra)
        _mode = "RGB" if _colour == _RGB else "F" if _format == 3 else "I"
        _key = (_order, _colour, (_format,), 1, (_bits,) * _count, _extra)
        TiffImagePlugin.OPEN_INFO.setdefault(_key, (_mode, "RGBA;own"))


def is_deep(image: Image.Image) -> bool:
    """Whether a Pillow image, of any format, is a TIFF whose values `loaded` reads: of more than 8 bits, or signed."""
    tags = getattr(image, "tag_v2", None)
    if tags is None or _first(tags, _COLOURS, _WHITE_IS_ZERO) not in (0, 1, _RGB):
        return False
    bits, kind = _first(tags, _BITS), _first(tags, _FORMAT)
    known = bits in (16, 32, 64) or (bits, kind) in ((8, 2), (12, 1))
    return known and _first(tags, _COMPRESSION) in _LOSSLESS and _first(tags, _FILL_ORDER) == 1


def refused(image: Image.Image) -> str | None:
    """Return why a TIFF that is opened and not yet loaded cannot be decoded right; None where it can."""
    tags = image.tag_v2
    if is_deep(image):
        size = math.prod(image.size) * _first(tags, _CHANNELS) * _first(tags, _BITS) // 8
        return f"{_described(tags)} and {size:,} bytes, more than {_MOST:,}: save it smaller" if size > _MOST else None
    if _first(tags, _COMPRESSION) != _PLAIN:
        return None
    columns, rows, planes = _blocks(tags)[2:]
    if planes * columns * rows > len(tags[_place(tags)[0]]):
        return "truncated: it has too few strips or tiles"  # Pillow leaves black what it has none for
    stored = sum(tags.get(_place(tags)[1], ()))
    if _first(tags, _COLOURS) == _YCBCR and 0 < stored < 3 * math.prod(image.size):
        return f"{_described(tags)}, uncompressed with fewer colours than pixels, which cannot be read: save it as RGB"
    if _first(tags, _PLANES) != _SEPARATE:
        return None
    # Of how the values are stored, Pillow looks at the first letter alone: `L` of `L;I`.
    white = _first(tags, _COLOURS, _WHITE_IS_ZERO) == _WHITE_IS_ZERO
    if _first(tags, _BITS) in (1, 8) and not white and _first(tags, _FILL_ORDER) == 1:
        return None
    return (
        f"{_described(tags)}, uncompressed and each channel by itself (PlanarConfiguration 2), which cannot be read: "
        "save it interleaved (PlanarConfiguration 1)"
    )


def with_colours(image: Image.Image) -> None:
    """Put right the palette of a TIFF whose colours were written as values of 8 bits instead of 16."""
    colours = image.tag_v2.get(_COLOUR_MAP, ())
    if image.mode in ("P", "PA") and 0 < max(colours, default=0) < 256:
        image.palette = ImagePalette.raw("RGB;L", bytes(colours))


def loaded(image: Image.Image, data: bytes) -> Image.Image:
    """Return the image of a TIFF that `is_deep`, upright; its values are in its `info[VALUES]`.

    They are of the type that they have in the file; of 64 bits they may become 32 where nothing is lost by it. Where 0
    is white, they are turned around: whole numbers within those of their type, floating-point ones by their sign.
    `info[PADDING]` says which of them stand for no data, `info[ALPHA]` what is transparent, `info[ENDS]` what is black
    and white of 12 bits. Channels that are neither colour nor transparency are left out.

    Raises ValueError for a file that is damaged.
    """
    tags, no_data = image.tag_v2, _no_data(image.tag_v2)
    values = _upright(_stored(tags, data), _first(tags, _ORIENTATION))
    colours = 3 if _first(tags, _COLOURS) == _RGB else 1
    values, rest = values[..., :colours], values[..., colours:]
    if _first(tags, _COLOURS, _WHITE_IS_ZERO) == _WHITE_IS_ZERO:
        most = {"f": 0, "i": -1, "u": 2 ** _first(tags, _BITS) - 1}[values.dtype.kind]
        values = np.array(most, values.dtype) - values
        no_data = None if no_data is None else most - no_data
    stand_in = Image.new("L", values.shape[1::-1])
    extra = _first(tags, _EXTRA, 2 if colours == 3 else 0)
    if rest.size and extra in (1, 2):
        most = 1 if rest.dtype.kind == "f" else 4095 if _first(tags, _BITS) == 12 else np.iinfo(rest.dtype).max
        alpha = np.clip(rest[..., :1] / most, 0, 1)
        if extra == 1:  # the colours are as they are seen on black
            values = np.minimum(values / np.where(alpha > 0, alpha, 1), np.inf if most == 1 else most)
            values = values.astype(rest.dtype)
        stand_in.info[ALPHA] = np.rint(255 * alpha[..., 0]).astype(np.uint8)
    stand_in.info[VALUES] = _lean(values if colours == 3 else values[..., 0])
    if no_data is not None:
        stand_in.info[PADDING] = (no_data, no_data)
    if _first(tags, _BITS) == 12:
        stand_in.info[ENDS] = (0, 4095)
    return stand_in


def _lean(values: np.ndarray) -> np.ndarray:
    """Values of 16 bits as they are, others as int32, float32 or float64: the first of these that holds them all."""
    if values.dtype.itemsize == 2 and values.dtype.kind != "f":
        return values
    if values.dtype.kind in "iu":
        ends = np.iinfo(np.int32)
        fits = values.dtype.itemsize < 4 or (values.min() >= ends.min and values.max() <= ends.max)
        return values.astype(np.int32 if fits else np.float64)
    with np.errstate(over="ignore"):
        small = values.astype(np.float32)
    return small if values.dtype.itemsize < 8 or np.array_equal(small, values, equal_nan=True) else values


def _stored(tags: ImageFileDirectory_v2, data: bytes) -> np.ndarray:
    """The values of a file: (height, width, channels), as they lie there."""
    width, height, channels = tags[_WIDTH], tags[_HEIGHT], _first(tags, _CHANNELS)
    bits = _first(tags, _BITS)
    kind = np.dtype(f"{_LETTERS[_first(tags, _FORMAT)]}{-(-bits // 8)}")
    across, down, columns, rows, planes = _blocks(tags)
    depth, tiled = channels // planes, _TILES[0] in tags
    if min(across, down, depth) < 1 or columns * across * rows * down * channels * kind.itemsize > 2 * _MOST:
        raise ValueError("its tiles or strips have no size, or far too much")
    if planes * columns * rows > len(tags[_place(tags)[0]]):
        raise ValueError("truncated: it has too few strips or tiles")
    corners = list(itertools.product(range(planes), range(0, rows * down, down), range(0, columns * across, across)))
    # The last strip ends with the image, a tile does not.
    heights = [down if tiled else min(down, height - top) for _, top, _ in corners]
    sizes = [tall * -(-across * depth * bits // 8) for tall in heights]
    pixels = np.zeros((planes, rows * down, columns * across, depth), kind)
    parts = _unpacked(tags, data, sizes)
    for (plane, top, left), part, tall in zip(corners, parts, heights, strict=True):
        part = _of_12_bits(part, tall, across * depth) if bits == 12 else part
        block = _unpredicted(
            part, _first(tags, _PREDICTOR), (tall, across, depth), kind, bits == 12 or tags.prefix == MM
        )
        pixels[plane, top : top + tall, left : left + across] = block
    return np.moveaxis(pixels[:, :height, :width], 0, -1).reshape(height, width, channels)


def _place(tags: ImageFileDirectory_v2) -> tuple[int, int]:
    return _TILES if _TILES[0] in tags else _STRIPS


def _blocks(tags: ImageFileDirectory_v2) -> tuple[int, int, int, int, int]:
    """The width and the height of a tile or strip, and how many there are: across, down, and for the channels."""
    width, height = tags[_WIDTH], tags[_HEIGHT]
    tiled = _TILES[0] in tags
    across, down = (tags[tag] for tag in _TILE_SIZE) if tiled else (width, min(height, tags.get(_ROWS, height)))
    planes = _first(tags, _CHANNELS) if _first(tags, _PLANES) == _SEPARATE else 1
    return across, down, -(-width // across), -(-height // down), planes


def _unpacked(tags: ImageFileDirectory_v2, data: bytes, sizes: Sequence[int]) -> list[bytes | memoryview]:
    """The strips or tiles, whose unpacked bytes are `sizes`."""
    offsets, lengths = (tags.get(tag, sizes) for tag in _place(tags))
    compression = _first(tags, _COMPRESSION)
    lengths = sizes if compression == _PLAIN else lengths
    packed = [data[offset : offset + length] for offset, length in zip(offsets, lengths, strict=False)]
    if compression == _PLAIN:
        parts = packed
    elif compression in _DEFLATED:
        parts = [zlib.decompressobj().decompress(part, size) for part, size in zip(packed, sizes, strict=False)]
    else:
        parts = [_through_libtiff(part, size, compression) for part, size in zip(packed, sizes, strict=False)]
    if any(len(part) < size for part, size in zip(parts, sizes, strict=False)):
        raise ValueError("truncated")
    return [memoryview(part)[:size] for part, size in zip(parts, sizes, strict=False)]


def _through_libtiff(packed: bytes, size: int, compression: int) -> bytes:
    """What is packed, as libtiff unpacks it: as a row of grey pixels of 8 bits."""
    tags = {_WIDTH: size, _HEIGHT: 1, _BITS: 8, _COMPRESSION: compression, _COLOURS: 1}
    tags |= {_STRIPS[0]: 14 + 12 * 8, _CHANNELS: 1, _STRIPS[1]: len(packed)}
    directory = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(tags.items()))
    head = b"II*\0" + struct.pack("<IH", 8, len(tags))
    with TiffImageFile(io.BytesIO(head + directory + bytes(4) + packed)) as image:
        return image.tobytes()


def _of_12_bits(part: bytes | memoryview, rows: int, count: int) -> bytes:
    """Rows of `count` values of 12 bits, two in three bytes, as big-endian ones of 16."""
    packed = np.frombuffer(part, np.uint8).reshape(rows, -1)
    first, middle, last = np.pad(packed, [(0, 0), (0, -packed.shape[1] % 3)]).reshape(rows, -1, 3).transpose(2, 0, 1)
    pairs = [first >> 4, first << 4 | middle >> 4, middle & 15, last]
    return np.ascontiguousarray(np.stack(pairs, -1).reshape(rows, -1)[:, : 2 * count]).tobytes()


def _unpredicted(
    part: bytes | memoryview, predictor: int, shape: tuple[int, int, int], kind: np.dtype, big_endian: bool
) -> np.ndarray:
    """A strip or tile of values, (rows, columns, channels), of which the file may hold differences between neighbours.

    predictor: 2, between values; 3, of floating-point ones, between bytes, the first bytes of a row's values first.
    """
    rows, _, channels = shape
    if predictor == 3:
        summed = np.frombuffer(part, np.uint8).reshape(rows, -1, channels).cumsum(axis=1, dtype=np.uint8)
        ordered = summed.reshape(rows, kind.itemsize, -1).swapaxes(1, 2)
        return np.ascontiguousarray(ordered).view(kind.newbyteorder(">")).reshape(shape)
    values = np.frombuffer(part, kind.newbyteorder("><"[not big_endian])).reshape(shape)
    if predictor == 2:
        whole = values.astype(kind).view(f"u{kind.itemsize}")
        return whole.cumsum(axis=1, dtype=whole.dtype).view(kind)
    return values


def _upright(values: np.ndarray, orientation: int) -> np.ndarray:
    values = values.swapaxes(0, 1) if orientation in (5, 6, 7, 8) else values
    values = values[:, ::-1] if orientation in (2, 3, 6, 7) else values
    return values[::-1] if orientation in (3, 4, 7, 8) else values


def unidentified(data: bytes) -> str:
    """Why a file that begins like a TIFF is not one that Pillow opens, and what to do."""
    file, packed = io.BytesIO(data), None
    try:
        head = file.read(16)
        tags = ImageFileDirectory_v2(head if head[2] == 43 else head[:8])  # 43: BigTIFF
        file.seek(tags.next)
        tags.load(file)
        what = _described(tags) if _BITS in tags else None
        compression = _first(tags, _COMPRESSION)
        if compression not in TiffImagePlugin.COMPRESSION_INFO:
            packed = _COMPRESSIONS.get(compression, f"number {compression}")
    except Exception:  # of what is damaged the tags are, too
        what = None
    if packed:
        return f"a TIFF whose compression, {packed}, cannot be read: save it with LZW, Deflate or no compression"
    little = ", little-endian" if data[:1] == b"M" else ""
    return (
        f"{what or 'a TIFF that is damaged, or of a kind'}{', which' if what else ' that'} cannot be read: save it as "
        f"grey or RGB{little}: one or three channels of 8, 16 or 32 bits"
    )


def _described(tags: ImageFileDirectory_v2) -> str:
    forms = tags.get(_FORMAT, (1,))
    forms = set(forms) if isinstance(forms, tuple) else {forms}
    numbers = " and ".join(_FORMATS.get(form, "of an unknown kind") for form in sorted(forms))
    colours = _first(tags, _COLOURS, _WHITE_IS_ZERO)
    kind = _NAMES.get(colours, f"PhotometricInterpretation {colours}")
    order = "big" if tags.prefix == MM else "little"
    channels = wording.count(_first(tags, _CHANNELS), "channel")
    return f"a TIFF of {channels} of {_first(tags, _BITS)} bits ({kind}, {numbers}, {order}-endian)"


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
