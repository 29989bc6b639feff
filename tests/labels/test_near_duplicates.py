import io
import time

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance

from headstart.images.decoding import thumbnail
from headstart.labels import near_duplicates
from headstart.labels.groups import sets


def scene(seed, size=(160, 120)):
    """A drawn scene: patches of colour, coarse and fine."""
    rng = np.random.default_rng(seed)
    layers = [rng.integers(0, 256, (rows, rows + 2, 3)).astype(np.uint8) for rows in (3, 7, 15, 31)]
    images = [np.asarray(Image.fromarray(layer).resize(size, Image.Resampling.BICUBIC), float) for layer in layers]
    mixed = sum(weight * image for weight, image in zip((0.4, 0.3, 0.2, 0.1), images, strict=True))
    return Image.fromarray(np.clip(2 * mixed - 127, 0, 255).astype(np.uint8))


def jpeg(image, quality):
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


def brighter(image, factor):
    return ImageEnhance.Brightness(image).enhance(factor)


def resized(image, factor):
    return image.resize([round(side * factor) for side in image.size])


def cropped(image, left, top, right, bottom):
    """Without these shares of its width and height."""
    width, height = image.size
    return image.crop((width * left, height * top, width * (1 - right), height * (1 - bottom)))


COPIES = {
    "jpeg": lambda image: jpeg(image, 50),
    "half": lambda image: resized(image, 0.5),
    "larger": lambda image: resized(image, 1.3),
    "brighter": lambda image: brighter(image, 1.2),
    "darker": lambda image: brighter(image, 0.8),
    "cropped": lambda image: cropped(image, 0.02, 0.02, 0.02, 0.02),
    "cropped on one side": lambda image: cropped(image, 0.04, 0, 0, 0.01),
    "all of it": lambda image: jpeg(brighter(resized(cropped(image, 0.02, 0, 0.01, 0.02), 0.7), 1.1), 75),
}


def find(images):
    return near_duplicates.find({name: thumbnail(np.asarray(image.convert("RGB"))) for name, image in images.items()})


@pytest.mark.parametrize("others", [0, 3, 120])
@pytest.mark.parametrize("copy", COPIES.values(), ids=COPIES)
def test_copies_are_found_among_few_and_many_others(copy, others):
    images = {f"{number:03}": scene(number) for number in range(others + 2)}
    images |= {"000-copy": copy(images["000"]), "001-copy": copy(images["001"])}
    assert find(images) == [("000", "000-copy"), ("001", "001-copy")]


def test_every_photo_three_times():
    images = {f"{number:02}": scene(number) for number in range(40)}
    images |= {f"{name}-{kind}": COPIES[kind](images[name]) for name in list(images) for kind in ("jpeg", "half")}
    assert sets(find(images)) == [[f"{number:02}", f"{number:02}-half", f"{number:02}-jpeg"] for number in range(40)]


def cell(seed):
    """A drawn solar cell: bars, corners and shading, the same in all, noise of its own, and in every third stains."""
    rng = np.random.default_rng(seed)
    pixels = np.full((150, 150), 150.0) + 20 * np.sin(np.linspace(0, 3, 150))[:, None]
    for row in (30, 75, 120):
        pixels[row : row + 4, 8:-8] = 60
    rows, columns = np.mgrid[:150, :150]
    pixels[rows + columns < 15] = 20
    pixels += rng.normal(0, 1.5, (150, 150)) + rng.normal(0, 10)
    for row, column, height, width in rng.integers(10, 120, (4 if seed % 3 == 0 else 0, 4)) // (1, 1, 3, 3):
        pixels[row : row + height, column : column + width] -= 60
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def test_images_that_all_look_alike_are_no_copies_of_each_other():
    images = {f"{number:03}": cell(number) for number in range(150)}
    assert find(images) == []
    images["003-copy"] = jpeg(brighter(images["003"].convert("RGB"), 1.1), 90)
    assert find(images) == [("003", "003-copy")]


def shape(seed):
    """A drawn circle or square, each of its own size, place and colours."""
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", (96, 96), tuple(rng.integers(150, 256, 3).tolist()))
    radius, (x, y) = int(rng.integers(18, 30)), rng.integers(40, 56, 2).tolist()
    draw = ImageDraw.Draw(image).ellipse if seed % 2 else ImageDraw.Draw(image).rectangle
    draw([x - radius, y - radius, x + radius, y + radius], fill=tuple(rng.integers(0, 140, 3).tolist()))
    return image


def test_drawn_shapes_of_other_colours_and_places_are_no_copies_of_each_other():
    images = {f"{number:03}": shape(number) for number in range(120)}
    found = sets(find(images))
    assert max(map(len, found)) <= 5 and sum(map(len, found)) <= 40
    images |= {f"{number:03}-{kind}": COPIES[kind](shape(number)) for number in (0, 1) for kind in ("jpeg", "larger")}
    joined = {name: number for number, names in enumerate(sets(find(images))) for name in names}
    for number in ("000", "001"):
        assert joined[number] == joined[f"{number}-jpeg"] == joined[f"{number}-larger"]


@pytest.mark.parametrize("side", [0.015, 0.02])
def test_drawn_shapes_that_are_cropped_and_brightened_are_copies(side):
    images = {f"{number:03}": shape(number) for number in range(200)}
    copies = {f"{name}~": brighter(cropped(image, *4 * [side]), 1.1) for name, image in images.items()}
    found = set(find(images | copies))
    assert sum((name, f"{name}~") in found for name in images) >= 190
    alike = {tuple(sorted(name.removesuffix("~") for name in pair)) for pair in found}
    assert max(map(len, sets([pair for pair in alike if len(set(pair)) == 2]))) <= 12


@pytest.mark.parametrize("copy", ["jpeg", "half", "darker", "cropped"])
def test_copies_of_a_picture_of_few_grey_levels_are_found(copy):
    """As of a plain object before a plain wall."""
    images = {f"{number:03}": scene(number) for number in range(30)} | {
        "plain": shape(2),
        "copy": COPIES[copy](shape(2)),
    }
    assert find(images) == [("copy", "plain")] or find(images) == [("plain", "copy")]


def test_blank_images_are_no_copies_and_take_no_time():
    start = time.perf_counter()
    blank = {f"{number:04}": Image.new("RGB", (20, 20), (number % 200, 0, 0)) for number in range(3000)}
    assert find(blank) == []
    assert time.perf_counter() - start < 30


@pytest.mark.parametrize("size", [(1, 1), (2, 3000), (3000, 2), (28, 28)])
def test_images_of_any_size(size):
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    assert find({"a": Image.fromarray(noise), "b": scene(1), "c": scene(2)}) == []
    assert find({}) == find({"a": Image.fromarray(noise)}) == []


def test_the_same_images_give_the_same_pairs_in_order():
    images = {
        f"{number:02}": scene(number // 2) if number % 2 else jpeg(scene(number // 2), 60) for number in range(60)
    }
    assert find(images) == find(images) == [(f"{number:02}", f"{number + 1:02}") for number in range(0, 60, 2)]


def test_thousands_of_images_are_compared_in_seconds():
    rng = np.random.default_rng(0)
    noise = {f"{number:05}": image for number, image in enumerate(rng.integers(0, 256, (3000, 64, 64), np.uint8))}
    noise["copy"] = np.clip(noise["00007"] + 20.0, 0, 255).astype(np.uint8)
    start = time.perf_counter()
    assert near_duplicates.find(noise) == [("00007", "copy")]
    assert time.perf_counter() - start < 60


def test_of_many_images_those_near_a_common_one_are_compared(monkeypatch):
    originals = [scene(seed) for seed in range(120)]
    images = {f"{number:03}": image for number, image in enumerate(originals)}
    images |= {f"{number:03} {name}": COPIES[name](originals[number]) for number in range(0, 120, 3) for name in COPIES}
    every = find(images)
    assert {name for pair in every for name in pair} >= {name for name in images if " " in name}
    monkeypatch.setattr(near_duplicates, "ALL", 100)
    monkeypatch.setattr(near_duplicates, "LEAD", 10)
    found = find(images)
    assert set(found) <= set(every) and found == find(images)
    assert len(found) >= 0.97 * len(every)
