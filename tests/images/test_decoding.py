import io
import struct
import time
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from headstart.images import decoding


def encoded(image, kind="PNG", **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def drawn(height=40, width=60):
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 255 // width, y * 255 // height, np.full_like(x, 90)], -1).astype(np.uint8)


def test_a_plain_image_keeps_its_pixels():
    pixels = decoding.decode(encoded(Image.fromarray(drawn())))
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels, drawn())


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "BMP", "TIFF", "GIF"])
def test_formats(kind):
    pixels = decoding.decode(encoded(Image.fromarray(drawn()), kind))
    assert np.abs(pixels.astype(int) - drawn()).mean() < 10


@pytest.mark.parametrize(("name", "turn"), [("upright.heic", 0), ("turned.heic", -1)])  # drawn(32, 48), by libheif
def test_heic_the_format_of_telephones(name, turn):
    pixels = decoding.decode((Path(__file__).parent / name).read_bytes())
    assert np.abs(pixels.astype(int) - np.rot90(drawn(32, 48), turn)).mean() < 10


def test_cmyk():
    pixels = decoding.decode(encoded(Image.fromarray(drawn()).convert("CMYK"), "JPEG", quality=95))
    assert pixels.shape == (40, 60, 3)
    assert np.abs(pixels.astype(int) - drawn()).mean() < 5


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_grey_is_scaled(kind):
    grey = np.array([[0, 257, 25700, 65535]], np.uint16)
    pixels = decoding.decode(encoded(Image.fromarray(grey), kind))
    np.testing.assert_array_equal(pixels, np.repeat([[[0], [1], [100], [255]]], 3, -1))


def test_32_bit_grey_is_scaled_as_16_bit():
    grey = np.array([[0, 25700, 65535, 2**20, -5]], np.int32)
    pixels = decoding.decode(encoded(Image.fromarray(grey), "TIFF"))
    assert pixels[0, :, 0].tolist() == [0, 100, 255, 255, 0]


def test_grey_and_one_bit():
    grey = Image.fromarray(np.array([[0, 100, 255]], np.uint8))
    assert decoding.decode(encoded(grey)).tolist() == [[[0] * 3, [100] * 3, [255] * 3]]
    assert decoding.decode(encoded(Image.fromarray(np.array([[True, False]])))).tolist() == [[[255] * 3, [0] * 3]]


def test_transparency_lies_on_white():
    rgba = Image.fromarray(np.array([[[200, 0, 0, 0], [200, 0, 0, 255], [0, 0, 0, 128]]], np.uint8), "RGBA")
    assert decoding.decode(encoded(rgba)).tolist() == [[[255] * 3, [200, 0, 0], [127] * 3]]
    grey = Image.fromarray(np.array([[[10, 0], [10, 255]]], np.uint8), "LA")
    assert decoding.decode(encoded(grey)).tolist() == [[[255] * 3, [10] * 3]]


@pytest.mark.parametrize("transparency", [1, b"\xff\x00\xff"])
def test_a_palette_with_transparency_lies_on_white(transparency):
    image = Image.fromarray(np.array([[0, 1, 2]], np.uint8), "P")
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    assert decoding.decode(encoded(image)).tolist() == [[[10, 20, 30], [40, 50, 60], [70, 80, 90]]]
    pixels = decoding.decode(encoded(image, transparency=transparency))
    assert pixels.tolist() == [[[10, 20, 30], [255] * 3, [70, 80, 90]]]


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_of_an_animated_image_the_first_frame_counts(kind):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert Image.open(io.BytesIO(data)).n_frames == 2
    assert decoding.decode(data)[0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_rotated_photo_is_turned_upright(orientation):
    upright = Image.fromarray(drawn())
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # orientation: the transposition that a camera would store
    stored = upright.transpose(Image.Transpose(undo[orientation])) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    np.testing.assert_array_equal(decoding.decode(encoded(stored, exif=exif)), drawn())


def png_that_says(width, height):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


HEIC = (Path(__file__).parent / "upright.heic").read_bytes()
JPEG = encoded(Image.fromarray(drawn(200, 300)), "JPEG")
PNG = encoded(Image.fromarray(drawn(200, 300)))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "zero bytes"),
        (b"<html>404</html>", "not an image"),
        (JPEG[:20], "damaged: a JPEG by its first bytes, and no more"),
        (HEIC[:-20], "truncated"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200), "damaged: a HEIF by its first bytes, and no more"),
        (b"II*\0" + bytes(40), "a TIFF that is damaged, or of a kind that cannot be read"),
        (JPEG[: len(JPEG) // 2], "truncated"),
        (PNG[: len(PNG) // 2], "truncated"),
        (PNG[:200] + b"?" * 50 + PNG[250:], "cannot be decoded"),
        (
            png_that_says(20_000, 10_000),
            "200,000,000 pixels, more than the 178,956,970 that are decoded of a PNG: save it",
        ),
        (png_that_says(50_000, 50_000), "a decompression bomb: more than 357,913,940 pixels"),
        (encoded(Image.fromarray(np.ones((2, 2), np.float32)), "TIFF"), "floating-point"),
    ],
)
def test_a_broken_image_says_why(data, reason, recwarn):
    with pytest.raises(decoding.Broken, match=f"^({reason})") as caught:
        decoding.decode(data)
    assert "\n" not in str(caught.value)
    assert "0x" not in str(caught.value)
    with pytest.raises(decoding.Broken, match=f"^({reason})"):
        decoding.read(data, 32)


def test_read_gives_the_square():
    pixels = decoding.read(encoded(Image.fromarray(drawn())), 32)
    expected = Image.fromarray(drawn()).resize((32, 32), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(pixels, np.asarray(expected))
    assert pixels.dtype == np.uint8


def test_read_is_antialiased():
    board = np.indices((256, 256)).sum(0) % 2 * 255
    pixels = decoding.read(encoded(Image.fromarray(board.astype(np.uint8))), 32)
    assert np.abs(pixels.astype(int) - 127).max() <= 2


def test_a_large_jpeg_reads_nearly_as_if_decoded_whole():
    data = encoded(Image.fromarray(drawn(1000, 1600)), "JPEG", quality=95)
    whole = Image.fromarray(decoding.decode(data)).resize((64, 64), Image.Resampling.BILINEAR)
    assert np.abs(decoding.read(data, 64).astype(int) - np.asarray(whole)).max() <= 3


@pytest.fixture
def small_limit(monkeypatch):
    """As if 2,500 pixels were what 90 million are."""
    monkeypatch.setattr(decoding, "LARGEST", 2500)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 5000)
    warnings.simplefilter("ignore", Image.DecompressionBombWarning)


@pytest.mark.parametrize("options", [{}, {"progressive": True}])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_of_a_jpeg_with_too_many_pixels_every_second_one_is_decoded(small_limit, mode, options):
    image = Image.fromarray(drawn(80, 120)).convert(mode)
    data = encoded(image, "JPEG", quality=95, **options)
    pixels = decoding.decode(data)
    assert pixels.shape == (40, 60, 3)
    assert np.abs(pixels.astype(int) - np.asarray(image.convert("RGB").resize((60, 40)))).max() <= 6
    assert decoding.pixel_hash(pixels) == decoding.pixel_hash(decoding.decode(data))
    seen, expected = (
        decoding.read(data, 16).astype(int),
        image.convert("RGB").resize((16, 16), Image.Resampling.BILINEAR),
    )
    assert np.abs(seen - np.asarray(expected)).max() <= 6


def test_another_format_may_have_twice_as_many_pixels(small_limit):
    assert decoding.decode(encoded(Image.fromarray(drawn(60, 80)))).shape == (60, 80, 3)
    with pytest.raises(decoding.Broken, match="^9,600 pixels, more than the 5,000 that are decoded of a PNG: save it"):
        decoding.decode(encoded(Image.fromarray(drawn(80, 120))))
    with pytest.raises(decoding.Broken, match="a decompression bomb: more than 10,000 pixels"):
        decoding.decode(encoded(Image.fromarray(drawn(100, 120)), "JPEG"))


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (60_000, 1), (100_000, 1), (2, 2)])
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_any_shape_becomes_a_square(size, kind):
    if kind == "JPEG" and max(size) > 65_500:
        pytest.skip("a JPEG has no such side")
    data = encoded(Image.new("RGB", size, (200, 100, 50)), kind)
    assert decoding.decode(data).shape == (*size[::-1], 3)
    assert np.abs(decoding.read(data, 32).astype(int) - (200, 100, 50)).max() <= 3


def test_large_images_are_decoded_one_at_a_time(small_limit, monkeypatch):
    inside, most, flat = 0, 0, decoding._flat

    def slow(image):
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        time.sleep(0.02)
        inside -= 1
        return flat(image)

    monkeypatch.setattr(decoding, "_flat", slow)
    for side, expected in ((60, 1), (10, 4)):
        most, data = 0, encoded(Image.fromarray(drawn(side, side)))
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(decoding.decode, [data] * 8))
        assert most == expected


def test_the_hash_is_of_the_pixels_not_of_the_file():
    image = Image.fromarray(drawn())
    same = [decoding.pixel_hash(decoding.decode(encoded(image, kind))) for kind in ("PNG", "BMP", "TIFF")]
    assert len(set(same)) == 1
    assert len(same[0]) == 64
    assert decoding.pixel_hash(drawn().reshape(60, 40, 3)) != same[0]
    changed = drawn()
    changed[3, 4, 1] ^= 1
    assert decoding.pixel_hash(changed) != same[0]
