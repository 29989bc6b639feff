"""How a photo becomes pixels: decoded, upright, RGB, and resized to a square."""

import hashlib
import io
import math
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import numpy as np
import pi_heif
from PIL import Image, ImageOps, UnidentifiedImageError

RESIZING = "bilinear, antialiased, to a square, aspect ratio not kept"
# Pixels: of a JPEG with more only every second one in each direction is decoded, which is almost free; another format
# may have twice as many. Four times as many are taken for a decompression bomb.
LARGEST = 89_478_485
THUMBNAIL = 64  # pixels
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "AVIF", "JPEG2000", "HEIF", "PPM")  # that `kind` knows

# Load all formats now: Pillow would at the first file of an unknown one, while other threads do not wait for it.
Image.init()
# Images are decoded side by side as it is: no threads for one of them; and no previews, which nobody looks at.
pi_heif.register_heif_opener(decode_threads=1, thumbnails=False, depth_images=False, aux_images=False)
# By default Pillow returns the memory of each image to the system and allocates it anew for the next one, which takes
# a third of the time of decoding a small photo. Keep up to eight blocks of at most 16 MB.
Image.core.set_blocks_max(8)
# Pillow itself refuses what has more than twice as many.
Image.MAX_IMAGE_PIXELS = 2 * LARGEST
# Pillow warns about files that it decodes all the same, and about large ones, which `_opened` refuses.
warnings.filterwarnings("ignore", module="PIL")
# A photo of 108 megapixels takes half a gigabyte while it is decoded: one at a time, whatever the number of threads.
_one_large = threading.Lock()


class Broken(ValueError):
    """An image that cannot be decoded; the message is the reason."""


def kind(head: bytes) -> str | None:
    """Return which of the `FORMATS` a file begins like, by its first 12 bytes or more; None for no image."""
    accepts = ((name, Image.OPEN[name][1]) for name in FORMATS)
    return next((name for name, accept in accepts if len(head) >= 12 and accept(head) is True), None)


def decode(data: bytes) -> np.ndarray:
    """Return the pixels of an image file: uint8 (height, width, 3), RGB, upright.

    Of a JPEG with more pixels than `LARGEST` these are every second one in each direction, and the same each time.
    Of an animated image the first frame counts. Transparent pixels are laid on white; 16-bit grey is scaled so that
    65535 becomes 255. Raises `Broken`. Safe to call from several threads.
    """
    with _opened(data) as image:
        return np.array(_flat(image))


def read(data: bytes, size: int) -> np.ndarray:
    """Return an image file as a square: uint8 (size, size, 3), decoded as by `decode`, then resized (`RESIZING`).

    size: pixels. Raises `Broken`. Safe to call from several threads.
    """
    with _opened(data, size) as image:
        return np.array(_flat(image).resize((size, size), Image.Resampling.BILINEAR))


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
        image = Image.open(io.BytesIO(data))
        whole = image.width * image.height
        _shrink(image, size)
        # A progressive JPEG is held whole until it is complete, however small it will be.
        held = whole if image.info.get("progressive") else image.width * image.height
        with _one_large if held > LARGEST // 3 else nullcontext():
            ImageOps.exif_transpose(image, in_place=True)
            yield image
    except (Broken, MemoryError):
        raise
    except UnidentifiedImageError:
        raise Broken(_unidentified(kind(data[:32]))) from None
    except Image.DecompressionBombError:
        raise Broken(f"a decompression bomb: more than {4 * LARGEST:,} pixels") from None
    except Exception as error:  # Pillow's decoders raise errors of many kinds
        reason = " ".join(str(error).split()) or type(error).__name__
        cut_short = any(words in reason.lower() for words in ("truncated", "end of file"))
        raise Broken("truncated" if cut_short else f"cannot be decoded: {reason}") from None


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


def _unidentified(name: str | None) -> str:
    if name == "TIFF":
        return "a TIFF that is damaged, or of a kind that cannot be read: save it with 8, 16 or 32 bits per value"
    return f"damaged: a {name} by its first bytes, and no more" if name else "not an image"


def _flat(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        # Pillow's own conversion clips at 255 instead of scaling.
        grey = np.clip(np.rint(np.asarray(image, np.float64) / 257), 0, 255).astype(np.uint8)
        return Image.fromarray(grey).convert("RGB")
    if image.mode == "F":
        raise Broken("floating-point pixels, whose range is not known")
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")
