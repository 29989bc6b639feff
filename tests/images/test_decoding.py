import io
import struct
import zlib

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


JPEG = encoded(Image.fromarray(drawn(200, 300)), "JPEG")
PNG = encoded(Image.fromarray(drawn(200, 300)))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "zero bytes"),
        (b"<html>404</html>", "not an image"),
        (JPEG[:20], "not an image|truncated"),
        (JPEG[: len(JPEG) // 2], "truncated"),
        (PNG[: len(PNG) // 2], "truncated"),
        (PNG[:200] + b"?" * 50 + PNG[250:], "cannot be decoded"),
        (png_that_says(10_000, 10_000), "a decompression bomb: more than 89,478,485 pixels"),
        (png_that_says(50_000, 50_000), "a decompression bomb: more than 89,478,485 pixels"),
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


@pytest.mark.parametrize(
    ("name", "is_image"),
    [
        ("a/1.jpg", True),
        ("1.JPeG", True),
        ("cat.1.webp", True),
        ("a.jpg/1.txt", False),
        ("jpg", False),
        ("1.jpg.part", False),
    ],
)
def test_an_image_is_known_by_the_ending_of_its_name(name, is_image):
    assert decoding.is_image_name(name) is is_image


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


def test_the_hash_is_of_the_pixels_not_of_the_file():
    image = Image.fromarray(drawn())
    same = [decoding.pixel_hash(decoding.decode(encoded(image, kind))) for kind in ("PNG", "BMP", "TIFF")]
    assert len(set(same)) == 1
    assert len(same[0]) == 64
    assert decoding.pixel_hash(drawn().reshape(60, 40, 3)) != same[0]
    changed = drawn()
    changed[3, 4, 1] ^= 1
    assert decoding.pixel_hash(changed) != same[0]
