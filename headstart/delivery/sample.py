"""An image for those who write the preparation of images once more: what it must give stands beside it.

It lies on its side in its file, is no square and has fine detail: whoever forgets to turn it, cuts it or resizes it
otherwise gets other probabilities.
"""

import io

import numpy as np
from PIL import Image

NAME = "example.jpg"
WIDTH, HEIGHT = 640, 400  # pixels, in the file
SIDEWAYS, ORIENTATION = 6, 0x0112  # EXIF's tag, and what it says of a photo that is to be turned to the right


def photo() -> bytes:
    """Return the image, a JPEG: the same one each time."""
    down, across = np.mgrid[0:HEIGHT, 0:WIDTH] / HEIGHT
    rings = np.sin(90 * (down - 0.3) ** 2 + 70 * (across - 0.5) ** 2)
    colours = np.stack([across / across.max(), down, (1 + rings) / 2], axis=2)
    exif, file = Image.Exif(), io.BytesIO()
    exif[ORIENTATION] = SIDEWAYS
    Image.fromarray((255 * colours).astype(np.uint8)).save(file, "JPEG", quality=90, exif=exif)
    return file.getvalue()
