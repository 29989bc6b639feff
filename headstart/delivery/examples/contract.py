"""What a program does around the classifier: a file to pixels, and numbers to a class. Takes NumPy and Pillow."""

import io
import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

HERE = Path(__file__).resolve().parent
ABOUT = json.loads((HERE / "classifier.json").read_text(encoding="utf-8"))
Image.MAX_IMAGE_PIXELS = 2 * 89_478_485  # telephones have 200 megapixels


def pixels(path):
    """An image file as the classifier takes it: uint8 (1, size, size, 3), RGB. What Pillow reads; so no DICOM.

    Raises ValueError for what Pillow takes for other values, and for 16 bits of which it keeps 8.
    """
    # From memory: of a file, Pillow leaves some TIFFs as they lie.
    size, data = ABOUT["size"], Path(path).read_bytes()
    image = Image.open(io.BytesIO(data))
    refuse_misread(image, data)
    kind, white = image.format, 4095 if getattr(image, "tag_v2", {}).get(258) in (12, (12,)) else 65535
    image.draft("RGB", [min(2 * size, side) for side in image.size])  # of a JPEG, as much detail as counts
    image = ImageOps.exif_transpose(image)  # upright, as its EXIF data say
    if image.mode.startswith("I") or image.mode == "F":
        image = Image.fromarray(of_8_bits(np.asarray(image), white))
    else:
        image = in_srgb(image)
    if image.has_transparency_data:  # on white, unless there is nothing else
        image = image.convert("RGBA")
        if kind not in ("BMP", "TGA") or image.getchannel("A").getextrema()[1]:
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.asarray(square(image.convert("RGB"), size))[None]


def square(image, size):
    """The largest square in the middle of an image, or all of it with grey beside it, or out of proportion."""
    sides, how = (size, size), Image.Resampling.BILINEAR  # which is antialiased, too
    if ABOUT["resizing"] == "crop":
        return ImageOps.fit(image, sides, how)
    if ABOUT["resizing"] != "pad":
        return image.resize(sides, how)
    inside = [max(1, round(side / max(image.size) * size)) for side in image.size]  # of a line, one pixel
    return ImageOps.pad(image.resize(inside, how), sides, how, "gray")


def refuse_misread(image, data):
    """Raise ValueError for a TIFF of 8 bits with a sign, or of more where 0 is white, unsigned 32, or with no data.

    Also for 16 bits in colour, or in grey with transparency, and for values that Pillow scales.
    """
    stored = [tile.args for tile in image.tile]
    scaled = image.format == "PPM" and any(isinstance(how, tuple) and 255 < how[1] < 65535 for how in stored)
    if image.format == "JPEG2000" and image.mode == "I;16":
        scaled = data[data.index(b"\xff\x4f\xff\x51") :][42] != 15  # one less than the bits, and a sign before them
    if scaled and image.mode.startswith("I"):
        raise ValueError("a PGM or JPEG 2000 of 10 or 12 bits, which Pillow scales: save it as PNG or TIFF of 16")
    halved = scaled or ("RGB", 65535) in stored or (image.format != "BMP" and any(";16" in str(how) for how in stored))
    if (halved and not image.mode.startswith("I")) or (image.mode == "I;16" and "transparency" in image.info):
        raise ValueError("16 bits in colour, or with transparency: save it with 8 bits, black being 0")
    if ("L;2" in stored or "L;4" in stored) and image.info.get("transparency"):
        raise ValueError("grey of 2 or 4 bits with transparency, of which Pillow takes another value: save it with 8")
    if image.format == "JPEG" and image.mode == "CMYK" and "adobe" not in image.info:
        raise ValueError("a CMYK JPEG without Adobe's mark, which Pillow takes for a negative: save it as RGB")
    tags = getattr(image, "tag_v2", {}) if image.format == "TIFF" else {}
    bits, form = (max(value) if isinstance(value, tuple) else value for value in (tags.get(258, 1), tags.get(339, 1)))
    deep = bits > 8 and (tags.get(262) == 0 or (bits, form) == (32, 1) or tags.get(284) == 2 or 42113 in tags)
    if deep or (bits, form) == (8, 2):
        raise ValueError("a TIFF that Pillow misreads: save it as grey or RGB of 8 bits, or grey of 16, black being 0")


def in_srgb(image):
    """An image in the colours of sRGB: by its profile where that is sound, or by the gamma of a PNG."""
    profile, exponent = image.info.get("icc_profile"), 2.2 * image.info.get("gamma", 0)
    mode = "L" if image.mode in ("L", "LA") else "CMYK" if image.mode == "CMYK" else "RGB"
    whole = image.convert("RGBA") if image.has_transparency_data else image
    if profile and (transform := to_srgb(profile, mode)):
        seen = transform.apply(whole.convert(mode))
    elif not profile and 0.2 < exponent < 5 and abs(exponent - 1) >= 0.05 and "srgb" not in image.info:
        table = [round(255 * (value / 255) ** (1 / exponent)) for value in range(256)]
        seen = whole.convert(mode).point(table * len(mode))
    else:
        return image
    if whole.mode == "RGBA":
        seen.putalpha(whole.getchannel("A"))
    return seen


def to_srgb(profile, mode):
    """What turns the colours of a profile into sRGB's; None for sRGB itself, and for what cannot be used."""
    try:
        how = ImageCms.Intent.RELATIVE_COLORIMETRIC, ImageCms.Flags.BLACKPOINTCOMPENSATION
        own, srgb = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
        transform = ImageCms.buildTransform(own, srgb, mode, "RGB", *how)
    except (ImageCms.PyCMSError, ImportError, OSError, TypeError, ValueError):  # damaged, or of other colours
        return None
    # There are many of sRGB, whose numbers are rounded each in its own way.
    colours = np.stack(np.meshgrid(*[np.arange(0, 256, 17, np.uint8)] * 3), -1).reshape(16, 256, 3)
    colours = np.repeat(colours[..., 1:2], 3, -1) if mode == "L" else colours
    same = np.asarray(transform.apply(Image.fromarray(colours).convert(mode))).astype(int) - colours
    return None if mode != "CMYK" and abs(same).max() <= 3 else transform


def of_8_bits(values, white):
    """Grey values of more than 8 bits, (h, w), from black to white: by the training images' range, or their own."""
    ends = ABOUT.get("range")
    if ends is None and values.dtype.kind in "iu" and values.min() >= 0 and values.max() <= 65535:
        ends = {"low": 0, "high": white}
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
