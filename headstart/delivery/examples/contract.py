"""What a program does around the classifier: a file to pixels, and numbers to a class. Takes NumPy and Pillow."""

import io
import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

HERE = Path(__file__).resolve().parent
ABOUT = json.loads((HERE / "classifier.json").read_text(encoding="utf-8"))
Image.MAX_IMAGE_PIXELS = 2 * 89_478_485  # telephones have 200 megapixels


def pixels(path):
    """An image file as the classifier takes it: uint8 (1, size, size, 3), RGB. What Pillow reads; so no DICOM.

    Raises ValueError for a TIFF of which Pillow takes the values for others, and for 16 bits of which it keeps 8.
    """
    # From memory: of a file, Pillow leaves some TIFFs as they lie.
    size, image = ABOUT["size"], Image.open(io.BytesIO(Path(path).read_bytes()))
    refuse_misread(image)
    image.draft("RGB", [min(2 * size, side) for side in image.size])  # of a JPEG, as much detail as counts
    image = ImageOps.exif_transpose(image)  # upright, as its EXIF data say
    if image.mode.startswith("I") or image.mode == "F":
        image = Image.fromarray(of_8_bits(np.asarray(image)))
    elif image.has_transparency_data:  # on white
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    # Bilinear and antialiased, to a square, whatever the sides were.
    return np.asarray(image.convert("RGB").resize((size, size), Image.Resampling.BILINEAR))[None]


def refuse_misread(image):
    """Raise ValueError for a TIFF of 8 bits with a sign, or of more where 0 is white, unsigned 32, or with no data.

    Also for 16 bits in colour, or in grey with transparency.
    """
    stored = [tile.args for tile in image.tile]
    deep_ppm = image.format == "PPM" and any(isinstance(how, tuple) and how[1] > 255 for how in stored)
    halved = deep_ppm or any(";16" in str(how) for how in stored)
    if (halved and not image.mode.startswith("I")) or (image.mode == "I;16" and "transparency" in image.info):
        raise ValueError("16 bits in colour, or with transparency: save it with 8 bits, black being 0")
    tags = getattr(image, "tag_v2", {}) if image.format == "TIFF" else {}
    bits, form = (max(value) if isinstance(value, tuple) else value for value in (tags.get(258, 1), tags.get(339, 1)))
    deep = bits > 8 and (tags.get(262) == 0 or (bits, form) == (32, 1) or tags.get(284) == 2 or 42113 in tags)
    if deep or (bits, form) == (8, 2):
        raise ValueError("a TIFF that Pillow misreads: save it as grey or RGB of 8 bits, or grey of 16, black being 0")


def of_8_bits(values):
    """Grey values of more than 8 bits, (h, w), from black to white: by the training images' range, or their own."""
    ends = ABOUT.get("range")
    if ends is None and values.dtype.kind in "iu" and values.min() >= 0 and values.max() <= 65535:
        ends = {"low": 0, "high": 65535}
    elif ends is None:
        some = values.ravel()[:: max(1, values.size // 2**20)]
        ends = dict(zip(("low", "high"), np.percentile(some[np.isfinite(some)], (0.1, 99.9)), strict=True))
    low, high = ends["low"], ends["high"] if ends["high"] > ends["low"] else ends["low"] + 1
    grey = np.clip(np.nan_to_num(values.astype("float64"), nan=low), low, high) - low
    return np.rint(grey * (255 / (high - low))).astype("uint8")


def decided(given):
    """The class, its probability, all classes that remain possible, and whether it is unlike the training images.

    given: the classifier's arrays for one image, by their names.
    """
    classes, rule, found = ABOUT["classes"], ABOUT["rule"], np.asarray(given["probabilities"], "float64")[0]
    expected = found @ np.array(rule["costs"] or 1 - np.eye(len(classes)))
    best = int(expected[1] <= expected[0]) if len(classes) == 2 else int(expected.argmin())
    at_least = np.inf if rule["at_least"] is None else rule["at_least"]
    open_ = [index for index in range(len(classes)) if index == best or found[index] >= at_least]
    possible = [classes[index] for index in sorted(open_, key=lambda index: (index != best, -found[index]))]
    unlike = bool(given["distance"][0] > ABOUT["unlike"]["limit"]) if "distance" in given else None
    return {"class": classes[best], "probability": float(found[best]), "possible": possible, "unlike": unlike}


def classify(run):
    """Print a line of JSON for each image on the command line; one that cannot be read has an `error` in it.

    run: returns the classifier's arrays by their names, of `pixels`.
    """
    if not sys.argv[1:]:
        sys.exit(f"takes images: python {sys.argv[0]} photo.jpg another.png")
    failed = False
    for path in sys.argv[1:]:
        try:
            said = decided(run(pixels(path)))
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:  # which Pillow raises
            unknown = isinstance(error, UnidentifiedImageError)
            said, failed = {"error": "not an image that Pillow reads" if unknown else str(error)}, True
        print(json.dumps({"path": path} | said))
    sys.exit(1 if failed else 0)
