"""How a photo becomes pixels: decoded, upright, RGB of 8 bits, and resized to a square."""

import hashlib
import io
import math
import re
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import pi_heif
from PIL import Image, ImageChops, ImageCms, ImageOps, UnidentifiedImageError, features

from headstart.base import errors
from headstart.images import dicom, ranges, tiff
from headstart.images.facts import THUMBNAIL, Facts
from headstart.images.ranges import Range


class Other(NamedTuple):
    """A kind of file: the ends of its names, in lower case, how it begins, what it is, and what to do about it."""

    endings: tuple[str, ...]
    beginnings: tuple[bytes, ...]
    what: str
    advice: str


# How an image of other proportions becomes a square, always bilinear and antialiased.
RESIZING = {
    "stretch": "to a square, aspect ratio not kept",
    "crop": "to a square, which is the largest in the middle of the image",
    "pad": "to fit into a square, with grey beside it",
}
# Pixels: of a JPEG with more only every second one in each direction is decoded, which is almost free; another format
# may have twice as many. Four times as many are taken for a decompression bomb.
LARGEST = 89_478_485
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "AVIF", "JPEG2000", "HEIF", "PPM")  # that `kind` knows
_SLICES, _EXPORT = "save its slices as TIFF, or as PNG", "save it as PNG, TIFF or JPEG"
# Files that may hold images and are not read.
OTHERS = (
    Other((".nii", ".nii.gz", ".mgz", ".mha", ".mhd", ".nrrd"), (b"\x5c\1\0\0", b"NRRD"), "a volume", _SLICES),
    Other((), (b"\x1f\x8b",), "packed by gzip, as volumes (NIfTI) are", _SLICES),
    Other((".npy", ".npz"), (b"\x93NUMPY",), "an array of NumPy's", "save each image as PNG or TIFF"),
    Other((".cr2", ".cr3", ".nef", ".arw", ".dng", ".orf", ".raf", ".rw2"), (), "a camera's raw file", _EXPORT),
    Other((".mp4", ".mov", ".avi", ".mkv", ".webm"), (), "a film", "save frames of it as JPEG or PNG"),
    Other((".czi", ".lif", ".nd2", ".svs", ".ndpi"), (), "a microscope's own file", "save its images as TIFF or PNG"),
    Other((".pam",), (b"P7\n", b"PF\n"), "a PAM, or a PFM in colour", _EXPORT),
    Other((".jxl",), (b"\xff\x0a", b"\0\0\0\x0cJXL "), "a JPEG XL", _EXPORT),
    Other((".fits", ".fit", ".fts"), (b"SIMPLE  =",), "a FITS file", "save its images as TIFF"),
    Other(
        (".ico", ".icns", ".pcx", ".sgi", ".dds", ".qoi", ".jxr"), (), "an image of a kind that is not read", _EXPORT
    ),
    Other((".exr",), (b"v/1\1", b"#?RADIANCE"), "an image of high dynamic range", _EXPORT),
    Other((".pdf", ".svg", ".eps", ".psd", ".xcf"), (b"%PDF", b"<svg", b"gimp xcf"), "no image of pixels", _EXPORT),
)
_SIZE = "size"  # in a Pillow image's info: (width, height) in the file
# How Pillow is asked for the lower 8 of 16 bits, by how it keeps the upper ones (PNG).
_GREY_AND_ALPHA = "LA;16B"
_OTHER_HALF = {"RGB;16B": "RGB;16L", "RGBA;16B": "RGBA;16L", _GREY_AND_ALPHA: "RGBA"}
# None where Pillow was built without what knows profiles of colours.
_SRGB = ImageCms.createProfile("sRGB") if features.check("littlecms2") else None
_REDUCED = "reduced"  # in a Pillow image's info: whether Pillow keeps 8 bits of more

# Load all formats now: Pillow would at the first file of an unknown one, while other threads do not wait for it.
Image.init()
# Images are decoded side by side as it is: no threads for one of them; and no previews, which nobody looks at.
pi_heif.register_heif_opener(decode_threads=1, thumbnails=False, depth_images=False, aux_images=False)
# Pillow has Ghostscript run what a PostScript file says, whatever the file is called.
Image.ID[:] = (name for name in Image.ID if name != "EPS")
# By default Pillow returns the memory of each image to the system and allocates it anew for the next one, which takes
# a third of the time of decoding a small photo. Keep up to eight blocks of at most 16 MB.
Image.core.set_blocks_max(8)
# Pillow itself refuses what has more than twice as many.
Image.MAX_IMAGE_PIXELS = 2 * LARGEST
# Both warn about files that they decode all the same; Pillow about large ones too, which `_opened` refuses.
warnings.filterwarnings("ignore", module="PIL|pydicom")
# A photo of 108 megapixels takes half a gigabyte while it is decoded: one at a time, whatever the number of threads.
_one_large = threading.Lock()
# Is told of an image that is to be seen by its values which these are, (h, w), (h, w, 3) or (pixels,), without those
# that are transparent, and the `ranges.PADDING` among them; of one with 8 bits None and None.
Note = Callable[[np.ndarray | None, tuple[float, float] | None], None]


class Square(NamedTuple):
    """What images become for a network: `size` pixels wide and high, `resizing` being one of `RESIZING`."""

    size: int
    resizing: str = "stretch"

    @classmethod
    def of(cls, image: Any) -> "Square":
        """Return what the section `image` of the parameters says, which are not imported here: `predict` has none."""
        return cls(image.size, image.resizing)


class Broken(ValueError):
    """An image that cannot be decoded; the message is the reason."""


def kind(head: bytes) -> str | None:
    """Return which of the `FORMATS`, or DICOM, a file begins like, by its first 132 bytes; None for no image."""
    if dicom.is_dicom(head):
        return "DICOM"
    accepts = ((name, Image.OPEN[name][1]) for name in FORMATS)
    return next((name for name, accept in accepts if len(head) >= 12 and accept(head) is True), None)


def decode(data: bytes, value_range: Range | None = None) -> np.ndarray:
    """Return the pixels of an image file: uint8 (height, width, 3), RGB, upright.

    Of a JPEG with more pixels than `LARGEST` these are every second one in each direction, and the same each time.
    Of several frames or pages the first one counts. Transparent pixels are laid on white. Colours of 8 bits are sRGB's:
    those of a file with another profile, or of a PNG with another gamma, are converted.

    value_range: what is black and white in an image of more than 8 bits; others need none. None takes the ends that the
        file gives its values (PGM, PPM, JPEG 2000, TIFF of 12 bits, DICOM), of others it does as `ranges.to_8_bits`.

    Raises `Broken`. Safe to call from several threads.
    """
    with _opened(data) as image:
        return np.array(_flat(image, value_range))


def read(data: bytes, square: Square, value_range: Range | None = None, note: Note | None = None) -> np.ndarray:
    """Return an image file as a square: uint8 (size, size, 3), decoded as by `decode`, then resized.

    note: is told of the values. Raises `Broken`. Safe to call from several threads.
    """
    with _opened(data, square.size) as image:
        return _resized(image, square, value_range, note)


def of_array(
    values: np.ndarray, square: Square, value_range: Range | None = None, note: Note | None = None
) -> np.ndarray:
    """Return an image that is in memory already as `read` returns one from a file: uint8 (size, size, 3).

    values: uint8 (h, w), (h, w, 3) or (h, w, 4), or deep ones (h, w) or (h, w, 3): uint16, int32 or float32. note: as
    of `read`. Raises `Broken`.
    """
    try:
        if values.ndim not in (2, 3) or not values.size:
            raise ValueError("it takes height, width and, in colour, 3 or 4 channels")
        deep = values.shape[2:] == (3,) and values.dtype in (np.uint16, np.int32, np.float32)
        return _resized(_of_values(values) if deep else Image.fromarray(values), square, value_range, note)
    except (TypeError, ValueError) as error:
        raise Broken(f"an array {values.shape} of {values.dtype} is no image: {error}") from None


def preview(data: bytes, side: int, value_range: Range | None = None) -> tuple[tuple[int, int], np.ndarray]:
    """Return an image file's (width, height), upright, and its pixels at a longer side of `side` at most.

    The pixels are uint8 (h, w, 3), the aspect ratio kept, decoded as by `decode`, but of a JPEG in less detail.
    Raises `Broken`. Safe to call from several threads.
    """
    with _opened(data, side) as image:
        width, height = image.info[_SIZE]
        if (width > height) != (image.width > image.height):  # it lay on its side in the file
            width, height = height, width
        scale = min(1.0, side / max(image.size))
        wanted = [max(1, round(length * scale)) for length in image.size]
        return (width, height), np.array(_flat(image, value_range).resize(wanted, Image.Resampling.BILINEAR))


def examine(data: bytes, windows: bool = True) -> Facts:
    """Return what is noted of an image file. Raises `Broken`. Safe to call from several threads.

    windows: whether a DICOM image is to be seen through its own window, where it has one.
    """
    with _opened(data) as image:
        windowed, reduced = windows and dicom.WINDOWED in image.info, image.info[_REDUCED]
        if not is_deep(image):
            pixels = np.asarray(_flat(image, None))
            # Of what Pillow took away nothing is left to compare: only equal files are surely equal.
            sha256 = pixel_hash(np.frombuffer(data, np.uint8) if reduced else pixels)
            return Facts(sha256, reduced=reduced, frames=_has_more(image), thumbnail=thumbnail(pixels))
        values, alpha = _values(image), image.info.get(ranges.ALPHA)
        whole_numbers = values.dtype.kind in "iu"
        # The same values in files of different types have the same hash.
        sha256 = pixel_hash(values.astype(np.int32) if whole_numbers else values)
        sha256 = sha256 if alpha is None else pixel_hash(np.frombuffer(sha256.encode() + alpha.tobytes(), np.uint8))
        low, high = ranges.of_image(_opaque(image), image.info.get(ranges.PADDING))
        small = thumbnail(np.asarray(_flat(image, Range(low, high, windows=windowed))))
        own, colour = None if windowed else (low, high), values.ndim == 3
        return Facts(sha256, own, whole_numbers, windowed, frames=_has_more(image), colour=colour, thumbnail=small)


def is_deep(image: Image.Image) -> bool:
    """Whether a Pillow image has more than 8 bits, or a sign: its values mean nothing without a range."""
    grey = image.mode.startswith("I") or image.mode == "F"
    deep = tiff.is_deep(image) or _halved(image) is not None or _is_deep_ppm(image)
    return grey or deep or ranges.VALUES in image.info


def depth(data: bytes) -> int | None:
    """Return 8 or, for images that are deep, 16, by the head of an image file; None for DICOM and for no image."""
    try:
        return None if dicom.is_dicom(data[:132]) else (16 if is_deep(Image.open(io.BytesIO(data))) else 8)
    except Exception:
        return None  # reading it will say why


def pixel_hash(pixels: np.ndarray) -> str:
    """Return the sha256, in hexadecimal, of an array's shape and bytes: equal for equal pixels of any file format."""
    digest = hashlib.sha256(repr(pixels.shape).encode())
    digest.update(np.ascontiguousarray(pixels))
    return digest.hexdigest()


def thumbnail(pixels: np.ndarray) -> np.ndarray:
    """Return an image as uint8 (64, 64), grey; pixels: as `decode` returns them."""
    grey = Image.fromarray(pixels).convert("L")
    return np.asarray(grey.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BILINEAR, reducing_gap=3))


@contextmanager
def _opened(data: bytes, size: int | None = None) -> Iterator[Image.Image]:
    """The image in a file, upright; what fails inside the block is `Broken`.

    size: that of the square it will become, in pixels; None keeps all pixels, as far as `LARGEST` allows.
    """
    if not data:
        raise Broken("zero bytes")
    try:
        image = dicom.opened(data) if dicom.is_dicom(data[:132]) else Image.open(io.BytesIO(data))
        if image.format == "TIFF" and (reason := tiff.refused(image)):
            raise Broken(reason)
        reduced = not is_deep(image) and _is_reduced(image, data)
        whole, full = image.width * image.height, image.size
        _shrink(image, size)
        # A progressive JPEG is held whole until it is complete, however small it will be.
        held = whole if image.info.get("progressive") else image.width * image.height
        with _one_large if held > LARGEST // 3 else nullcontext():
            image = _upright(image, data)
            image.info |= {_REDUCED: reduced, _SIZE: full}
            yield image
    except (Broken, MemoryError):
        raise
    except ImportError:
        raise Broken("a DICOM file: `pip install -r requirements-dicom.txt` installs what reads it") from None
    except UnidentifiedImageError:
        raise Broken(_unidentified(data)) from None
    except Image.DecompressionBombError:
        raise Broken(f"a decompression bomb: more than {4 * LARGEST:,} pixels") from None
    except Exception as error:  # Pillow's decoders raise errors of many kinds
        reason = errors.text_of(error)
        cut_short = any(words in reason.lower() for words in ("truncated", "end of file"))
        cut_short |= data[:4] == b"RIFF" and len(data) < 8 + int.from_bytes(data[4:8], "little")  # a WebP
        raise Broken("truncated" if cut_short else f"cannot be decoded: {reason}") from None


def _upright(image: Image.Image, data: bytes) -> Image.Image:
    """The image with its pixels, upright."""
    if tiff.is_deep(image):
        more, image = _has_more(image), tiff.loaded(image, data)
        image.info[dicom.FRAMES] = 2 if more else 1
        return image
    if _is_deep_ppm(image):
        return _of_ppm(image, data)
    if _halved(image):
        return _of_png(image, data)
    if image.format == "TIFF":
        tiff.with_colours(image)
    bits = _bits(image)
    _turn(image)
    if image.format == "JPEG" and image.mode == "CMYK" and "adobe" not in image.info:
        positive = ImageChops.invert(image)  # Pillow takes it for one of Adobe's, which are negatives
        positive.info |= image.info
        return positive
    if image.mode == "I;16" and image.format == "JPEG2000":
        return _of_jpeg_2000(image, data)
    key = image.info.get("transparency")
    if image.mode == "I;16" and key is not None:
        return _of_values(np.asarray(image), _alpha(np.asarray(image), key), _has_more(image))
    if bits < 8 and isinstance(key, int):
        # Pillow has the key as it is in the file, and the pixels from 0 to 255.
        image = image.convert("L") if bits == 1 else image
        image.info["transparency"] = key if bits == 1 else key * 255 // (2**bits - 1)
    return image


def _of_png(image: Image.Image, data: bytes) -> Image.Image:
    """A PNG of 16 bits of which Pillow keeps 8: these, and the others out of a second one."""
    halved, other = _halved(image), Image.open(io.BytesIO(data))
    other.tile = [tile._replace(args=_OTHER_HALF[halved]) for tile in other.tile]
    _turn(image)
    _turn(other)
    if halved == _GREY_AND_ALPHA:
        values = np.asarray(other).view(">u2").astype(np.uint16)
    else:
        values = np.asarray(image).astype(np.uint16) << 8 | np.asarray(other)
    colours, key = values[..., 0] if halved == _GREY_AND_ALPHA else values[..., :3], image.info.get("transparency")
    if values.shape[2] != 3:
        alpha = (values[..., -1] >> 8).astype(np.uint8)
    else:
        alpha = None if key is None else _alpha(values, key)
    return _of_values(colours, alpha, _has_more(image))


def _alpha(values: np.ndarray, key: int | tuple[int, ...]) -> np.ndarray:
    """How opaque values are, uint8 (h, w), of which `key` stands for transparent."""
    other = (values != key).reshape(*values.shape[:2], -1).any(axis=2)
    return np.where(other, 255, 0).astype(np.uint8)


def _turn(image: Image.Image) -> None:
    """Load an image and turn it upright by its EXIF data; one whose EXIF data are damaged stays as it is."""
    image.load()
    try:
        ImageOps.exif_transpose(image, in_place=True)
    except MemoryError:
        raise
    except Exception:  # of many kinds; the pixels are sound
        return


def _is_reduced(image: Image.Image, data: bytes) -> bool:
    """Whether of an image that is not deep, and not loaded yet, Pillow keeps 8 bits of more."""
    if image.format == "JPEG2000":
        return _bits_of_jpeg_2000(data)[0] > 8
    if image.format == "AVIF":
        at = data.find(b"av1C")
        return at > 0 and data[at + 6] & 0x40 > 0  # high_bitdepth
    if image.format == "BMP":  # whose 16 are those of three colours together
        return False
    return image.info.get("bit_depth", 8) > 8 or any(";16" in str(tile.args) for tile in getattr(image, "tile", []))


def _bits_of_jpeg_2000(data: bytes) -> tuple[int, bool]:
    """The bits of the first channel, and whether one of them is a sign, by the head of the code stream."""
    said = data[data.index(b"\xff\x4f\xff\x51") :][42]
    return (said & 127) + 1, said > 127


def _of_jpeg_2000(image: Image.Image, data: bytes) -> Image.Image:
    """A grey JPEG 2000 of more than 8 bits: the values that it has, of which Pillow makes 16 bits without a sign."""
    bits, signed = _bits_of_jpeg_2000(data)
    values = np.asarray(image).astype(np.int32 if signed or bits > 16 else np.uint16)
    values = values << bits - 16 if bits > 16 else values >> 16 - bits
    return _of_values(values - (1 << bits - 1)) if signed else _of_values(values, ends=(0, 2**bits - 1))


def _bits(image: Image.Image) -> int:
    """The bits of a grey PNG that is not loaded yet and has less than 8; 8 of any other image."""
    how = image.tile[0].args if image.format == "PNG" and image.tile else None
    return {"1": 1, "L;2": 2, "L;4": 4}.get(how, 8)


def _halved(image: Image.Image) -> str | None:
    """How a PNG that is not loaded yet has 16 bits, of which Pillow would keep the upper 8; None if it has not.

    That is so in colour, and in grey with transparency.
    """
    how = image.tile[0].args if image.format == "PNG" and image.tile else None
    return how if how in _OTHER_HALF else None


def _is_deep_ppm(image: Image.Image) -> bool:
    """Whether an image that is not loaded yet is a PGM or PPM of more than 8 bits, which Pillow would scale."""
    how = image.tile[0].args if image.format == "PPM" and image.tile else None
    return isinstance(how, tuple) and how[0] in ("L", "RGB") and how[1] > 255


def _of_ppm(image: Image.Image, data: bytes) -> Image.Image:
    """A PGM or PPM of more than 8 bits: the values that it has, from 0 to what it says is white."""
    (_, _, at, (mode, most)), shape = image.tile[0], (image.height, image.width, 3)
    shape = shape if mode == "RGB" else shape[:2]
    if data[:2] in (b"P5", b"P6"):
        words = np.frombuffer(data[at:][: len(data[at:]) // 2 * 2], ">u2")
    else:
        try:
            words = np.array(re.sub(rb"#[^\r\n]*", b"", data[at:]).split()[: math.prod(shape)], np.uint16)
        except (OverflowError, ValueError):
            raise ValueError("it has values that are no numbers from 0 to 65535") from None
    if words.size < math.prod(shape):
        raise ValueError("truncated")
    return _of_values(words[: math.prod(shape)].reshape(shape).astype(np.uint16), ends=(0, most))


def _of_values(
    values: np.ndarray,
    alpha: np.ndarray | None = None,
    more: bool = False,
    ends: tuple[int, int] | None = None,
) -> Image.Image:
    """An image of deep values, (h, w) or (h, w, 3), which Pillow has no mode for.

    alpha, ends: as `ranges.ALPHA` and `ranges.ENDS`; more: whether its file has other frames or pages.
    """
    image = Image.new("L", values.shape[1::-1])
    image.info |= {ranges.VALUES: values, dicom.FRAMES: 2 if more else 1}
    image.info |= {} if alpha is None else {ranges.ALPHA: alpha}
    image.info |= {} if ends is None else {ranges.ENDS: ends}
    return image


def _values(image: Image.Image) -> np.ndarray:
    return image.info[ranges.VALUES] if ranges.VALUES in image.info else np.asarray(image)


def _opaque(image: Image.Image) -> np.ndarray:
    """The values of a deep image that are not transparent; all where all are."""
    values, alpha = _values(image), image.info.get(ranges.ALPHA)
    return values[alpha > 0] if alpha is not None and alpha.any() else values


def _shrink(image: Image.Image, size: int | None) -> None:
    """Have a JPEG decoded at a half, a quarter or an eighth where that is enough; refuse what is too large."""
    pixels, scale = image.width * image.height, math.ceil(math.sqrt(image.width * image.height / LARGEST))
    wanted = (image.width // scale, image.height // scale)
    if size is not None:
        # No less than twice the size: the antialiased filter does the rest.
        wanted = tuple(min(2 * size, side) for side in wanted)
    if size is not None or scale > 1:
        image.draft("RGB", wanted)
    if image.width * image.height > 2 * LARGEST:
        raise Broken(
            f"{pixels:,} pixels, more than the {2 * LARGEST:,} that are decoded of a {image.format}: save it smaller, "
            "or as a JPEG, which can be decoded at reduced size"
        )


def _unidentified(data: bytes) -> str:
    name = kind(data[:132])
    if name == "TIFF":
        return tiff.unidentified(data)
    deep = re.search(rb"\xff[\xc0-\xc3]..([\x09-\x10])", data, re.DOTALL) if name == "JPEG" else None
    if deep:
        return f"a JPEG of {deep[1][0]} bits, which cannot be read: save it as PNG or TIFF of 16 bits"
    if name == "JPEG" and re.search(rb"\xff\xf7\0[\x0b-\x14]", data):
        return "a JPEG-LS, which cannot be read: save it as PNG or TIFF"
    if name:
        return f"damaged: {'an' if name == 'AVIF' else 'a'} {name} by its first bytes, and no more"
    return next(
        (f"{other.what}: {other.advice}" for other in OTHERS if data.startswith(other.beginnings)), "not an image"
    )


def _has_more(image: Image.Image) -> bool:
    """Whether a file has more frames or pages than this one; the small previews beside a photo (MPO) are none."""
    try:
        return image.info.get(dicom.FRAMES, 1) > 1 or (getattr(image, "is_animated", False) and image.format != "MPO")
    except Exception:  # what comes after the first frame is damaged
        return True


def _resized(image: Image.Image, square: Square, value_range: Range | None, note: Note | None) -> np.ndarray:
    flat, (size, resizing), how = _flat(image, value_range, note), square, Image.Resampling.BILINEAR
    if resizing == "stretch":
        return np.array(flat.resize((size, size), how))
    if resizing == "crop":
        return np.array(ImageOps.fit(flat, (size, size), how))
    # Of a line, as `pad` would round it, nothing might be left.
    flat = flat.resize([max(1, round(side / max(flat.size) * size)) for side in flat.size], how)
    return np.array(ImageOps.pad(flat, (size, size), how, "gray"))


def _flat(image: Image.Image, value_range: Range | None, note: Note | None = None) -> Image.Image:
    if is_deep(image):
        if dicom.WINDOWED in image.info and (value_range is None or value_range.windows):
            return image.info[dicom.WINDOWED].convert("RGB")
        padding, alpha, ends = map(image.info.get, (ranges.PADDING, ranges.ALPHA, ranges.ENDS))
        if note is not None:
            note(_opaque(image), padding)
        if value_range is None and ends is not None:
            value_range = Range(*ends)
        seen = Image.fromarray(ranges.to_8_bits(_values(image), value_range, padding)).convert("RGB")
        if alpha is None:
            return seen
        return Image.composite(seen, Image.new("RGB", image.size, "white"), Image.fromarray(alpha))
    if note is not None:
        note(None, None)
    if image.mode in ("La", "RGBa"):
        image = image.convert(image.mode.upper())
    image = _in_srgb(image)
    if image.has_transparency_data:
        whole = image.convert("RGBA")
        # Programs write these with room for transparency that they do not use: nothing would be seen of the image.
        if image.format not in ("BMP", "TGA") or whole.getchannel("A").getextrema()[1]:
            whole = Image.alpha_composite(Image.new("RGBA", image.size, "white"), whole)
        return whole.convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _in_srgb(image: Image.Image) -> Image.Image:
    """An image of 8 bits in the colours of sRGB, where it says to have others; what it says counts only if it is sound.

    A profile comes before the gamma of a PNG, of which 1 / 2.2 is sRGB's, nearly, and 1 that of light itself.
    """
    profile, exponent = image.info.get("icc_profile"), 2.2 * image.info.get("gamma", 0)
    if not profile and ("srgb" in image.info or not 0.2 < exponent < 5 or abs(exponent - 1) < 0.05):
        return image
    opaque = "L" if image.mode in ("L", "LA") else "CMYK" if image.mode == "CMYK" else "RGB"
    transform = _to_srgb(profile, opaque) if profile else None
    if profile and transform is None:
        return image
    whole = image.convert("RGBA") if image.has_transparency_data else image
    seen = whole.convert(opaque)
    if profile:
        seen = transform.apply(seen)
    else:
        seen = seen.point([round(255 * (value / 255) ** (1 / exponent)) for value in range(256)] * len(opaque))
    if whole.mode == "RGBA":
        seen.putalpha(whole.getchannel("A"))
    return seen


@lru_cache(16)
def _to_srgb(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """What turns the colours of a profile into sRGB's; None for sRGB itself, and for what cannot be used.

    That is one that is damaged, or of another kind of colours than the image.
    """
    how = ImageCms.Intent.RELATIVE_COLORIMETRIC, ImageCms.Flags.BLACKPOINTCOMPENSATION
    try:
        transform = ImageCms.buildTransform(ImageCms.ImageCmsProfile(io.BytesIO(profile)), _SRGB, mode, "RGB", *how)
    except (ImageCms.PyCMSError, ImportError, OSError, TypeError, ValueError):
        return None
    # There are many of sRGB, whose numbers are rounded each in its own way.
    colours = np.stack(np.meshgrid(*[np.arange(0, 256, 17, np.uint8)] * 3), -1).reshape(16, 256, 3)
    colours = np.repeat(colours[..., 1:2], 3, -1) if mode == "L" else colours
    same = np.asarray(transform.apply(Image.fromarray(colours).convert(mode))).astype(int) - colours
    return None if mode != "CMYK" and abs(same).max() <= 3 else transform
