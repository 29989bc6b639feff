"""What a program does around the classifier: a file to pixels, and numbers to a class. Takes NumPy and Pillow."""

import json
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

HERE = Path(__file__).resolve().parent
ABOUT = json.loads((HERE / "classifier.json").read_text(encoding="utf-8"))


def pixels(path):
    """An image file as the classifier takes it: uint8 (1, size, size, 3), RGB."""
    size, image = ABOUT["size"], Image.open(path)
    image.draft("RGB", [min(2 * size, side) for side in image.size])  # of a JPEG, as much detail as counts
    image = ImageOps.exif_transpose(image)  # upright, as its EXIF data say
    if image.mode.startswith("I") or image.mode == "F":  # grey, of more than 8 bits
        ends = ABOUT.get("range", {"low": 0, "high": 65535})
        grey = np.clip(np.asarray(image, "float64"), ends["low"], ends["high"]) - ends["low"]
        image = Image.fromarray(np.rint(grey * (255 / (ends["high"] - ends["low"]))).astype("uint8"))
    elif image.has_transparency_data:  # on white
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    # Bilinear and antialiased, to a square, whatever the sides were.
    return np.asarray(image.convert("RGB").resize((size, size), Image.Resampling.BILINEAR))[None]


def decided(given):
    """The class, its probability, all classes that remain possible, and whether it is unlike the training images.

    given: the classifier's arrays for one image, by their names.
    """
    classes, rule, found = ABOUT["classes"], ABOUT["rule"], np.asarray(given["probabilities"], "float64")[0]
    expected = found @ np.array(rule["costs"] or 1 - np.eye(len(classes)))
    best = int(expected[1] <= expected[0]) if len(classes) == 2 else int(expected.argmin())
    at_least = np.inf if rule["at_least"] is None else rule["at_least"]
    possible = [name for index, name in enumerate(classes) if index == best or found[index] >= at_least]
    unlike = bool(given["distance"][0] > ABOUT["unlike"]["limit"]) if "distance" in given else None
    return {"class": classes[best], "probability": float(found[best]), "possible": possible, "unlike": unlike}


def say(path, given):
    """A line of JSON for an image. given: as of `decided`."""
    print(json.dumps({"path": path} | decided(given), ensure_ascii=False))
