"""How a photo becomes pixels: decoded, upright, RGB, and resized to a square."""

import hashlib
import io
import warnings

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

ENDINGS = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".bmp", ".tif", ".tiff", ".webp", ".avif", ".jp2")
ENDINGS += (".pbm", ".pgm", ".pnm", ".ppm", ".tga")  # what an image's file name may end with, in lower case
RESIZING = "bilinear, antialiased, to a square, aspect ratio not kept"

# All formats now: Pillow loads them at the first unknown file, and a second thread would not wait for it.
Image.init()
# Pillow gives the memory of each image back to the system and takes it anew for the next one, which costs a third of
# the time of decoding a small photo; so it keeps eight blocks, of 16 MB at most.
Image.core.set_blocks_max(8)
# What Pillow warns of is either decoded all the same or checked below.
warnings.filterwarnings("ignore", module="PIL")


class Broken(ValueError):
    """An image that cannot be decoded; the message is the reason."""


def decode(data: bytes) -> np.ndarray:
    """The pixels of an image file: uint8 (height, width, 3), RGB, upright, the first frame of an animated one.

    Transparent pixels are laid on white; 16-bit grey is scaled so that 65535 becomes 255. Raises `Broken`.
    Safe to call from several threads.
    """
    return np.array(_rgb(data))


def read(data: bytes, size: int) -> np.ndarray:
    """An image file as a square: uint8 (size, size, 3), decoded as by `decode`, then resized as `RESIZING` says.

    Raises `Broken`. Safe to call from several threads.
    """
    return np.array(_rgb(data, size).resize((size, size), Image.Resampling.BILINEAR))


def pixel_hash(pixels: np.ndarray) -> str:
    """The sha256, in hexadecimal, of an array's shape and bytes: the identity of an image, whatever its format."""
    digest = hashlib.sha256(repr(pixels.shape).encode())
    digest.update(np.ascontiguousarray(pixels))
    return digest.hexdigest()


def _rgb(data: bytes, size: int | None = None) -> Image.Image:
    if not data:
        raise Broken("zero bytes")
    try:
        image = Image.open(io.BytesIO(data))
        if image.width * image.height > Image.MAX_IMAGE_PIXELS:
            raise Image.DecompressionBombError
        if size is not None:
            # A JPEG decoder halves at almost no cost: a large photo is decoded at no less than twice the size that
            # is wanted, and the antialiased filter does the rest.
            image.draft("RGB", (2 * size, 2 * size))
        ImageOps.exif_transpose(image, in_place=True)
        return _flat(image)
    except (Broken, MemoryError):
        raise
    except UnidentifiedImageError:
        raise Broken("not an image") from None
    except Image.DecompressionBombError:
        raise Broken(f"a decompression bomb: more than {Image.MAX_IMAGE_PIXELS:,} pixels") from None
    except Exception as error:  # each of Pillow's decoders raises errors of its own kinds
        reason = " ".join(str(error).split()) or type(error).__name__
        raise Broken("truncated" if "truncated" in reason.lower() else f"cannot be decoded: {reason}") from None


def _flat(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        # Pillow's own conversion cuts off at 255 instead of scaling.
        grey = np.clip(np.rint(np.asarray(image, np.float64) / 257), 0, 255).astype(np.uint8)
        return Image.fromarray(grey).convert("RGB")
    if image.mode == "F":
        raise Broken("floating-point pixels, whose range is not known")
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")
