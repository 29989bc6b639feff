"""How a photo becomes pixels: decoded, upright, RGB, and resized to a square."""

import hashlib
import io
import warnings

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

ENDINGS = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".bmp", ".tif", ".tiff", ".webp", ".avif", ".jp2")
ENDINGS += (".pbm", ".pgm", ".pnm", ".ppm", ".tga")  # of the file names of images, in lower case
RESIZING = "bilinear, antialiased, to a square, aspect ratio not kept"

# Load all formats now: Pillow would at the first file of an unknown one, while other threads do not wait for it.
Image.init()
# By default Pillow returns the memory of each image to the system and allocates it anew for the next one, which takes
# a third of the time of decoding a small photo. Keep up to eight blocks of at most 16 MB.
Image.core.set_blocks_max(8)
# Pillow warns about files that it decodes all the same, and about large ones, which `_rgb` refuses.
warnings.filterwarnings("ignore", module="PIL")


class Broken(ValueError):
    """An image that cannot be decoded; the message is the reason."""


def is_image_name(name: str) -> bool:
    """Whether a file name, or a path, has one of the `ENDINGS`, in upper or lower case."""
    return name.lower().endswith(ENDINGS)


def decode(data: bytes) -> np.ndarray:
    """Return the pixels of an image file: uint8 (height, width, 3), RGB, upright.

    Of an animated image the first frame counts. Transparent pixels are laid on white; 16-bit grey is scaled so that
    65535 becomes 255. Raises `Broken`. Safe to call from several threads.
    """
    return np.array(_rgb(data))


def read(data: bytes, size: int) -> np.ndarray:
    """Return an image file as a square: uint8 (size, size, 3), decoded as by `decode`, then resized (`RESIZING`).

    size: pixels. Raises `Broken`. Safe to call from several threads.
    """
    return np.array(_rgb(data, size).resize((size, size), Image.Resampling.BILINEAR))


def pixel_hash(pixels: np.ndarray) -> str:
    """Return the sha256, in hexadecimal, of an array's shape and bytes: equal for equal pixels of any file format."""
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
            # Halving is almost free in a JPEG decoder: a large photo is decoded at no less than twice the size, and
            # the antialiased filter does the rest.
            image.draft("RGB", (2 * size, 2 * size))
        ImageOps.exif_transpose(image, in_place=True)
        return _flat(image)
    except (Broken, MemoryError):
        raise
    except UnidentifiedImageError:
        raise Broken("not an image") from None
    except Image.DecompressionBombError:
        raise Broken(f"a decompression bomb: more than {Image.MAX_IMAGE_PIXELS:,} pixels") from None
    except Exception as error:  # Pillow's decoders raise errors of many kinds
        reason = " ".join(str(error).split()) or type(error).__name__
        raise Broken("truncated" if "truncated" in reason.lower() else f"cannot be decoded: {reason}") from None


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
