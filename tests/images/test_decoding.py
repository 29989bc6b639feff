import io
import struct
import time
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageChops, ImageCms

from headstart.images import decoding, ranges
from headstart.images.decoding import Square
from headstart.images.facts import Facts


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


def test_cmyk_without_the_mark_of_adobe_is_no_negative():
    adobe = encoded(ImageChops.invert(Image.fromarray(drawn()).convert("CMYK")), "JPEG", quality=95)
    at = adobe.index(b"Adobe") - 4
    plain = adobe[:at] + adobe[at + 16 :]
    assert adobe[at : at + 2] == b"\xff\xee" and b"Adobe" not in plain
    assert np.abs(decoding.decode(plain).astype(int) - drawn()).mean() < 5
    assert (
        np.abs(
            decoding.read(plain, Square(8)).astype(int) - decoding.read(encoded(Image.fromarray(drawn())), Square(8))
        ).mean()
        < 5
    )


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_grey_is_scaled(kind):
    grey = np.array([[0, 257, 25700, 65535]], np.uint16)
    pixels = decoding.decode(encoded(Image.fromarray(grey), kind))
    np.testing.assert_array_equal(pixels, np.repeat([[[0], [1], [100], [255]]], 3, -1))


def raw_tiff(values, big_endian=False):
    """An uncompressed TIFF of these values (height, width) or (height, width, channels), of any type."""
    order, kinds = "><"[not big_endian], {"u": 1, "i": 2, "f": 3}
    data = values.astype(values.dtype.newbyteorder(order)).tobytes()
    height, width, channels = (*values.shape, 1)[:3]
    more = 8 + len(data)  # where what is too long for the directory goes
    fields = {256: width, 257: height, 258: 8 * values.dtype.itemsize, 259: 1, 262: 1 if channels < 3 else 2, 273: 8}
    fields |= {277: channels, 278: height, 279: len(data), 339: kinds[values.dtype.kind]}
    body, directory = b"", struct.pack(order + "H", len(fields))
    for tag, value in sorted(fields.items()):
        if tag in (258, 339) and channels > 2:
            directory += struct.pack(order + "HHII", tag, 3, channels, more + len(body))
            body += struct.pack(order + f"{channels}H", *[value] * channels)
        else:
            directory += struct.pack(order + "HHII", tag, 4, 1, value)
    at = struct.pack(order + "2sHI", b"MM" if big_endian else b"II", 42, more + len(body))
    return at + data + body + directory + bytes(4)


CT = ranges.Range(-1000, 1040)


@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize("kind", [np.int16, np.int32, np.float32])
def test_signed_and_floating_point_values_are_seen_by_the_range(kind, big_endian):
    data = raw_tiff(np.array([[-3000, -1000, -992, 20, 1040, 1041, 30000]], kind), big_endian)
    for pixels in (decoding.decode(data, CT), decoding.decode(data, CT._replace(low=-1000.0))):
        assert pixels[0].tolist() == [[grey] * 3 for grey in (0, 0, 1, 128, 255, 255, 255)]
    assert decoding.read(data, Square(16), CT).max() == 255
    # Without a range: the image's own.
    pixels = decoding.decode(data)[0, :, 0]
    assert (pixels[0], pixels[-1]) == (0, 255) and (np.diff(pixels.astype(int)) >= 0).all()


@pytest.mark.parametrize("big_endian", [False, True])
def test_12_bits_in_files_of_16(big_endian):
    values = np.array([[900, 1000, 1100, 2000, 4095]], np.uint16)
    files = [encoded(Image.fromarray(values), kind) for kind in ("PNG", "TIFF", "JPEG2000")]
    for data in [*files, raw_tiff(values, big_endian)]:
        pixels = decoding.decode(data, ranges.Range(1000, 2000))
        assert pixels[0, :, 0].tolist() == [0, 0, 26, 255, 255]


def test_what_is_not_a_number_is_black():
    data = raw_tiff(np.array([[np.nan, np.inf, -np.inf, 0.5, 0.25]], np.float32))
    assert decoding.decode(data, ranges.Range(0, 1))[0, :, 0].tolist() == [0, 255, 0, 128, 64]
    with pytest.raises(decoding.Broken, match="no pixel has a finite value"):
        decoding.examine(raw_tiff(np.full((2, 2), np.nan, np.float32)))


def test_images_of_8_bits_do_not_heed_the_range():
    for image in (Image.fromarray(drawn()), Image.fromarray(drawn()).convert("L"), Image.fromarray(drawn()).quantize()):
        np.testing.assert_array_equal(decoding.decode(encoded(image), CT), decoding.decode(encoded(image)))


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(values, colours, *chunks):
    """A PNG of 16 bits; colours: 0 grey, 2 RGB, 4 grey and alpha, 6 RGBA. Every second row is of differences."""
    height, width = values.shape[:2]
    rows, size = values.astype(">u2").tobytes(), 2 * values.size // (height * width)
    lines = []
    for at in range(0, len(rows), size * width):
        line = np.frombuffer(rows[at : at + size * width], np.uint8)
        before = np.concatenate([np.zeros(size, np.uint8), line[:-size]])
        lines.append(b"\0" + line.tobytes() if at // len(line) % 2 else b"\1" + (line - before).tobytes())
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, colours, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(b"".join(lines)))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunks) + body + chunk(b"IEND", b"")


def ppm(values, most, plain=False):
    head = f"P{3 if plain else 6}\n# a comment\n{values.shape[1]} {values.shape[0]}\n{most}\n".encode()
    words = " ".join(map(str, values.ravel())).encode() + b" # the end\n"
    return head + (words if plain else values.astype(">u2").tobytes())


COLOURS = np.random.default_rng(1).integers(900, 4000, (6, 5, 3)).astype(np.uint16)  # of 12 bits


@pytest.mark.parametrize("big_endian", [False, True])
def test_colours_of_12_bits_in_files_of_16_are_seen_by_the_range(big_endian):
    files = [raw_tiff(COLOURS, big_endian), png(COLOURS, 2), ppm(COLOURS, 65535), ppm(COLOURS, 65535, plain=True)]
    for data in files:
        seen = decoding.decode(data, ranges.Range(1000, 3000))
        np.testing.assert_array_equal(seen, np.rint((COLOURS.clip(1000, 3000) - 1000) * (255 / 2000)))
        facts, square = decoding.examine(data), decoding.read(data, Square(16), ranges.Range(1000, 3000))
        assert facts.own == pytest.approx((COLOURS.min(), COLOURS.max()), abs=30) and facts.colour
        assert decoding.depth(data) == 16 and not facts.reduced and square.max() > 200
        assert facts.sha256 == decoding.examine(files[0]).sha256
        np.testing.assert_array_equal(decoding.decode(data), np.rint(COLOURS / 257))  # without a range
    # Where the file says that 4095 is white, that is so.
    assert np.abs(decoding.decode(ppm(COLOURS, 4095)) - COLOURS / 16.06).max() < 1
    for data in (files[1][:-40], files[2][:-3], files[3][:-20]):
        with pytest.raises(decoding.Broken, match="truncated"):
            decoding.decode(data)


def test_of_deep_colours_in_jpeg_2000_the_upper_8_bits_are_used_and_it_is_noted():
    data = bytearray(encoded(Image.fromarray(drawn()), "JPEG2000", no_jp2=True))
    assert not decoding.examine(bytes(data)).reduced
    data[42] = data[45] = data[48] = 11  # one less than the bits of a channel
    assert decoding.examine(bytes(data)).reduced
    assert decoding.examine(encoded(Image.fromarray(COLOURS[..., 0]), "JPEG2000")).own[1] > 3000


def pgm(values, most, plain=False):
    head = f"P{2 if plain else 5} {values.shape[1]} {values.shape[0]} {most}\n".encode()
    return head + (" ".join(map(str, values.ravel())).encode() if plain else values.astype(">u2").tobytes())


def jpeg_2000(values, bits, sign=False):
    """A grey JPEG 2000, a code stream alone, that says to have so many bits; values: uint16."""
    data = bytearray(encoded(Image.fromarray(values), "JPEG2000", no_jp2=True))
    data[42] = sign << 7 | bits - 1
    return bytes(data)


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("most", [1023, 4095, 16383, 65535])
def test_a_pgm_has_the_values_that_stand_in_it(most, plain):
    values = np.linspace(0, most, 40).astype(np.uint16).reshape(5, 8)
    data, deep = pgm(values, most, plain), encoded(Image.fromarray(values))
    assert decoding.examine(data) == decoding.examine(deep)
    for value_range in (ranges.Range(0, most), ranges.Range(100, 700)):
        np.testing.assert_array_equal(decoding.decode(data, value_range), decoding.decode(deep, value_range))
    # Without a range, white is what the file says.
    assert np.abs(decoding.decode(data)[..., 0] - values * (255 / most)).max() <= 0.5 and decoding.depth(data) == 16
    with pytest.raises(decoding.Broken, match="truncated"):
        decoding.decode(data[:-9])


def test_a_pgm_in_plain_text_may_have_comments_and_says_what_is_wrong_with_its_values():
    for end in (b"\n", b"\r", b"\r\n"):
        data = b"P2 3 1 1023\n0 # black" + end + b"511 1023 # the end" + end
        assert decoding.decode(data)[0, :, 0].tolist() == [0, 127, 255]
    for values in (b"-1 2 3", b"70000 2 3", b"a b c"):
        with pytest.raises(decoding.Broken, match=r"^cannot be decoded: it has values that are no numbers from 0 to 6"):
            decoding.decode(b"P2 3 1 1023\n" + values)


def test_a_jpeg_2000_has_the_values_that_stand_in_it():
    values = np.linspace(0, 4095, 40).astype(np.uint16).reshape(5, 8)
    for bits in (10, 12, 14):
        # The middle of the values is that of their type, which is what the code stream has.
        data = jpeg_2000((values >> 12 - min(bits, 12)) + 32768 - 2 ** (bits - 1), bits)
        expected = encoded(Image.fromarray(values >> 12 - min(bits, 12)))
        assert decoding.examine(data) == decoding.examine(expected)
        seen = decoding.decode(data, ranges.Range(0, 1000))
        np.testing.assert_array_equal(seen, decoding.decode(expected, ranges.Range(0, 1000)))
        assert decoding.decode(data).max() == (255 if bits < 14 else 64)
    signed = decoding.examine(jpeg_2000(values + 32768 - 1000, 16, sign=True))
    assert signed.own == pytest.approx((-1000, 3095), abs=20)
    assert decoding.examine(jpeg_2000(values, 16)) == decoding.examine(encoded(Image.fromarray(values)))


def test_which_files_have_more_bits_than_are_read_is_noted():
    plain = encoded(Image.fromarray(drawn()), "AVIF")
    deep, image = bytearray(plain), Image.open(io.BytesIO(plain))
    deep[deep.index(b"av1C") + 6] |= 0x40  # more than 8, which nothing here can write
    assert [decoding._is_reduced(image, bytes(data)) for data in (plain, deep)] == [False, True]
    assert not decoding.examine(plain).reduced
    # 16 bits for three colours are no more than 8 each.
    head = struct.pack("<2sIHHIIiiHHIIiiII", b"BM", 0, 0, 0, 70, 40, 2, 1, 1, 16, 3, 4, 0, 0, 0, 0)
    bmp = head + struct.pack("<IIII", 0xF800, 0x7E0, 0x1F, 0) + struct.pack("<HH", 0xF800, 0x7E0)
    assert decoding.decode(bmp).tolist() == [[[255, 0, 0], [0, 255, 0]]]
    assert not decoding.examine(bmp).reduced


@pytest.mark.parametrize("colours", [4, 6])
def test_transparency_of_16_bits_lies_on_white_and_does_not_count(colours):
    values = COLOURS if colours == 6 else COLOURS[..., :1]
    alpha = np.full((6, 5, 1), 65535, np.uint16)
    alpha[0], alpha[1] = 0, 32768
    shown = values.copy()
    shown[0] = 65535
    data = png(np.concatenate([shown, alpha], -1), colours)
    seen = decoding.decode(data, ranges.Range(0, 4095)).astype(int)
    expected = np.broadcast_to(np.rint(values * (255 / 4095)), (6, 5, 3))
    np.testing.assert_array_equal(seen[2:], expected[2:])
    np.testing.assert_allclose(seen[1], expected[1] / 2 + 127, atol=1.5)
    assert seen[0].min() == 255
    facts = decoding.examine(data)
    assert facts.own[1] < 4000 and facts.colour == (colours == 6) and decoding.depth(data) == 16
    alpha[1] = 65535
    assert decoding.examine(png(np.concatenate([shown, alpha], -1), colours)).sha256 != facts.sha256


@pytest.mark.parametrize("colours", [0, 2])
def test_a_value_of_16_bits_may_stand_for_transparent(colours):
    values = COLOURS.copy() if colours else COLOURS[..., 0].copy()
    values[0] = 300  # whose upper 8 bits are those of 301
    values[1] = 301
    data = png(values, colours, chunk(b"tRNS", struct.pack(">H", 300) * (3 if colours else 1)))
    seen = decoding.decode(data, ranges.Range(0, 4095))
    assert seen[0].min() == 255 and seen[1].max() == 19
    assert decoding.examine(data).own[0] == pytest.approx(301, abs=1)


def test_colours_of_16_bits_are_turned_upright():
    exif = Image.Exif()
    exif[0x0112] = 6
    data = png(COLOURS, 2, chunk(b"eXIf", exif.tobytes()[6:]))
    expected = np.rot90(decoding.decode(png(COLOURS, 2)), -1)
    np.testing.assert_array_equal(decoding.decode(data), expected)
    assert decoding.preview(data, 9)[0] == (6, 5)


def test_arrays_of_deep_colours_are_taken_as_files_are():
    value_range = ranges.Range(1000, 3000)
    expected = decoding.read(png(COLOURS, 2), Square(4), value_range)
    for kind in (np.uint16, np.int32, np.float32):
        np.testing.assert_array_equal(decoding.of_array(COLOURS.astype(kind), Square(4), value_range), expected)


def test_the_values_are_noted_and_hashed_before_they_are_reduced():
    values = np.arange(2000, 3000, dtype=np.uint16).reshape(20, 50)
    png, tiff = (decoding.examine(encoded(Image.fromarray(values), kind)) for kind in ("PNG", "TIFF"))
    assert png == tiff
    assert png.own == pytest.approx((2001, 2998), abs=0.01)
    values[3, 4] += 1  # the same by 8 bits
    assert decoding.examine(encoded(Image.fromarray(values))).sha256 != png.sha256
    plain = decoding.examine(encoded(Image.fromarray(drawn())))
    assert plain == Facts(decoding.pixel_hash(drawn()))


@pytest.mark.parametrize("kind", ["TIFF", "GIF", "PNG", "WEBP"])
def test_that_a_file_has_more_pages_is_noted(kind):
    pages = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    assert decoding.examine(encoded(pages[0], kind, save_all=True, append_images=pages[1:])).frames
    assert not decoding.examine(encoded(pages[0], kind)).frames


def test_the_depth_of_a_file():
    deep = Image.fromarray(np.zeros((2, 2), np.uint16))
    assert [decoding.depth(encoded(image)) for image in (deep, Image.new("RGB", (2, 2)))] == [16, 8]
    assert decoding.depth(b"no image") is None


def test_grey_and_one_bit():
    grey = Image.fromarray(np.array([[0, 100, 255]], np.uint8))
    assert decoding.decode(encoded(grey)).tolist() == [[[0] * 3, [100] * 3, [255] * 3]]
    assert decoding.decode(encoded(Image.fromarray(np.array([[True, False]])))).tolist() == [[[255] * 3, [0] * 3]]


def test_transparency_lies_on_white():
    rgba = Image.fromarray(np.array([[[200, 0, 0, 0], [200, 0, 0, 255], [0, 0, 0, 128]]], np.uint8), "RGBA")
    assert decoding.decode(encoded(rgba)).tolist() == [[[255] * 3, [200, 0, 0], [127] * 3]]
    grey = Image.fromarray(np.array([[[10, 0], [10, 255]]], np.uint8), "LA")
    assert decoding.decode(encoded(grey)).tolist() == [[[255] * 3, [10] * 3]]


@pytest.mark.parametrize("kind", ["BMP", "TGA"])
@pytest.mark.parametrize("alpha", [0, 51, 255])
def test_room_for_transparency_that_is_not_used_hides_nothing(kind, alpha):
    values = np.dstack([drawn(2, 4), np.full((2, 4), alpha, np.uint8)])
    if kind == "TGA":
        data = encoded(Image.fromarray(values), kind)
    else:
        masks = struct.pack("<4I", 0xFF, 0xFF00, 0xFF0000, 0xFF000000)
        head = struct.pack("<2sIHHI", b"BM", 0, 0, 0, 122) + struct.pack("<IiiHHIIiiII", 108, 4, -2, 1, 32, 3, *[0] * 5)
        data = head + (masks + bytes(52)) + values.tobytes()
    expected = drawn(2, 4) if not alpha else 255 - (255 - drawn(2, 4).astype(int)) * (alpha / 255)
    assert np.abs(decoding.decode(data) - expected).max() <= 1


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


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_a_grey_value_of_few_bits_may_stand_for_transparent(bits):
    values = np.arange(8) % 2**bits
    row = np.packbits((values[:, None] >> np.arange(bits)[::-1] & 1).astype(bool).ravel()).tobytes()
    for key in (0, 1):
        head = chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 1, bits, 0, 0, 0, 0))
        body = chunk(b"tRNS", struct.pack(">H", key)) + chunk(b"IDAT", zlib.compress(b"\0" + row))
        seen = decoding.decode(b"\x89PNG\r\n\x1a\n" + head + body + chunk(b"IEND", b""))
        expected = np.where(values == key, 255, values * 255 // (2**bits - 1))
        np.testing.assert_array_equal(seen[0], np.repeat(expected[:, None], 3, 1))


def png_that_says(width, height):
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
        (
            JPEG.replace(b"\xff\xc0\0\x11\x08", b"\xff\xc1\0\x11\x0c"),
            "a JPEG of 12 bits, which cannot be read: save it",
        ),
        (
            b"\xff\xd8\xff\xf7\0\x0b\x08\0\x04\0\x04\1\1\x11\0" + bytes(9),
            "a JPEG-LS, which cannot be read: save it as P",
        ),
        (JPEG[:20], "damaged: a JPEG by its first bytes, and no more"),
        (encoded(Image.fromarray(drawn()), "AVIF")[:99], "damaged: an AVIF by its first bytes, and no more"),
        (HEIC[:-20], "truncated"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200), "damaged: a HEIF by its first bytes, and no more"),
        (b"II*\0" + bytes(40), "a TIFF that is damaged, or of a kind that cannot be read"),
        (JPEG[: len(JPEG) // 2], "truncated"),
        (PNG[: len(PNG) // 2], "truncated"),
        (encoded(Image.fromarray(drawn()), "WEBP")[:-1], "truncated"),
        (PNG[:200] + b"?" * 50 + PNG[250:], "cannot be decoded"),
        (
            png_that_says(20_000, 10_000),
            "200,000,000 pixels, more than the 178,956,970 that are decoded of a PNG: save it",
        ),
        (png_that_says(50_000, 50_000), "a decompression bomb: more than 357,913,940 pixels"),
        (
            encoded(Image.fromarray(np.full((2, 2), np.nan, np.float32)), "TIFF"),
            "cannot be decoded: no pixel has a finite",
        ),
    ],
)
def test_a_broken_image_says_why(data, reason, recwarn):
    with pytest.raises(decoding.Broken, match=f"^({reason})") as caught:
        decoding.decode(data)
    assert "\n" not in str(caught.value)
    assert "0x" not in str(caught.value)
    with pytest.raises(decoding.Broken, match=f"^({reason})"):
        decoding.read(data, Square(32))


def test_read_gives_the_square():
    pixels = decoding.read(encoded(Image.fromarray(drawn())), Square(32))
    expected = Image.fromarray(drawn()).resize((32, 32), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(pixels, np.asarray(expected))
    assert pixels.dtype == np.uint8


def bands(colours, turned=False):
    """An image of three times its short side, of three colours beside, or under, each other."""
    pixels = np.repeat(np.array(colours, np.uint8)[None], 40, axis=0).repeat(40, axis=1)
    return Image.fromarray(pixels.transpose(1, 0, 2) if turned else pixels)


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_an_oblong_image_is_stretched_or_cropped_or_padded(kind, turned):
    red, green, blue, grey = (250, 0, 0), (0, 250, 0), (0, 0, 250), (128, 128, 128)
    data = encoded(
        bands((red, green, blue), turned), kind, **({"quality": 95, "subsampling": 0} if kind == "JPEG" else {})
    )
    for resizing, first, middle in (("stretch", red, green), ("crop", green, green), ("pad", grey, green)):
        pixels = decoding.read(data, Square(24, resizing)).astype(int)
        assert pixels.shape == (24, 24, 3)
        across = pixels[:, 12] if (resizing == "pad") != turned else pixels[12]
        assert np.abs(across[2] - first).max() < 25 and np.abs(across[12] - middle).max() < 25, resizing
        np.testing.assert_array_equal(pixels, decoding.of_array(decoding.decode(data), Square(24, resizing)))


@pytest.mark.parametrize("resizing", decoding.RESIZING)
def test_of_a_square_all_ways_to_resize_are_the_same(resizing):
    data = encoded(Image.fromarray(drawn(90, 90)))
    np.testing.assert_array_equal(decoding.read(data, Square(32, resizing)), decoding.read(data, Square(32)))


def test_read_is_antialiased():
    board = np.indices((256, 256)).sum(0) % 2 * 255
    pixels = decoding.read(encoded(Image.fromarray(board.astype(np.uint8))), Square(32))
    assert np.abs(pixels.astype(int) - 127).max() <= 2


def test_a_large_jpeg_reads_nearly_as_if_decoded_whole():
    data = encoded(Image.fromarray(drawn(1000, 1600)), "JPEG", quality=95)
    whole = Image.fromarray(decoding.decode(data)).resize((64, 64), Image.Resampling.BILINEAR)
    assert np.abs(decoding.read(data, Square(64)).astype(int) - np.asarray(whole)).max() <= 3


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
        decoding.read(data, Square(16)).astype(int),
        image.convert("RGB").resize((16, 16), Image.Resampling.BILINEAR),
    )
    assert np.abs(seen - np.asarray(expected)).max() <= 6


def test_another_format_may_have_twice_as_many_pixels(small_limit):
    assert decoding.decode(encoded(Image.fromarray(drawn(60, 80)))).shape == (60, 80, 3)
    with pytest.raises(decoding.Broken, match="^9,600 pixels, more than the 5,000 that are decoded of a PNG: save it"):
        decoding.decode(encoded(Image.fromarray(drawn(80, 120))))
    with pytest.raises(decoding.Broken, match="a decompression bomb: more than 10,000 pixels"):
        decoding.decode(encoded(Image.fromarray(drawn(100, 120)), "JPEG"))


# No side of a JPEG is longer than 65,500 pixels.
SHAPES = [(kind, size) for kind in ("PNG", "JPEG") for size in ((1, 1), (1, 3000), (60_000, 1), (2, 2))]


@pytest.mark.parametrize(("kind", "size"), [*SHAPES, ("PNG", (100_000, 1))])
def test_any_shape_becomes_a_square(kind, size):
    data = encoded(Image.new("RGB", size, (200, 100, 50)), kind)
    assert decoding.decode(data).shape == (*size[::-1], 3)
    for resizing in ("stretch", "crop"):
        assert np.abs(decoding.read(data, Square(32, resizing)).astype(int) - (200, 100, 50)).max() <= 3
    padded = decoding.read(data, Square(32, "pad")).astype(int)
    assert padded.shape == (32, 32, 3) and np.abs(padded[16, 16] - (200, 100, 50)).max() <= 3


def test_large_images_are_decoded_one_at_a_time(small_limit, monkeypatch):
    inside, most, flat = 0, 0, decoding._flat

    def slow(image, value_range):
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        time.sleep(0.02)
        inside -= 1
        return flat(image, value_range)

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


def test_damaged_exif_data_cost_no_image():
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    exif[0x8769] = {0x829A: 0.01}
    damaged = bytearray(exif.tobytes())
    damaged[49] = 16  # the type of the exposure time
    for data in (exif.tobytes(), bytes(damaged)):
        assert decoding.decode(encoded(Image.fromarray(drawn()), "JPEG", exif=data)).shape == (60, 40, 3)
    png = encoded(Image.fromarray(drawn()), exif=b"Exif\0\0no TIFF at all")
    np.testing.assert_array_equal(decoding.decode(png), drawn())
    with pytest.raises(decoding.Broken, match="^truncated$"):
        decoding.decode(png[: len(png) // 2])


def test_no_file_has_postscript_run():
    with pytest.raises(decoding.Broken, match="^not an image$"):
        decoding.decode(encoded(Image.fromarray(drawn()), "EPS"))


SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
# Of colours whose red is sRGB's green, and the other way around.
SWAPPED = SRGB.replace(b"rXYZ", b"....").replace(b"gXYZ", b"rXYZ").replace(b"....", b"gXYZ")


def profile(space, name, content):
    """An ICC profile that has, besides its white, one tag: what leads from its colours to the XYZ or Lab of D50."""
    white = struct.pack(">3i", *(round(value * 65536) for value in (0.9642, 1, 0.8249)))
    head = struct.pack(
        ">8x I 4s 4s 4s 12x 4s 28x", 0x02100000, b"prtr", space, b"Lab " if name == b"A2B0" else b"XYZ ", b"acsp"
    )
    white, start = b"XYZ \0\0\0\0" + white, 128 + 4 + 24
    table = struct.pack(">I 4sII 4sII", 2, b"wtpt", start, 20, name, start + 20, len(content))
    body = (head + white[8:]).ljust(128, b"\0") + table + white + content
    return struct.pack(">I", len(body)) + body[4:]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_colours_of_another_profile_become_those_of_srgb(kind):
    image = Image.fromarray(drawn())
    plain = decoding.decode(encoded(image, kind))
    seen = decoding.decode(encoded(image, kind, icc_profile=SWAPPED))
    assert np.abs(seen[..., [1, 0, 2]].astype(int) - plain).max() <= 1
    square = decoding.read(encoded(image, kind, icc_profile=SWAPPED), Square(16))[..., [1, 0, 2]]
    assert np.abs(square.astype(int) - decoding.read(encoded(image, kind), Square(16))).max() <= 1
    # Those of sRGB stay as they are, to the byte, though its numbers be rounded otherwise; and what is no sound profile
    # costs nothing.
    at = SRGB.index(b"XYZ \0\0\0\0", 256)
    rounded = SRGB[: at + 11] + bytes([SRGB[at + 11] ^ 4]) + SRGB[at + 12 :]
    for same in (SRGB, rounded, SWAPPED[:300], b"no profile" * 30):
        np.testing.assert_array_equal(decoding.decode(encoded(image, kind, icc_profile=same)), plain)


def test_profiles_of_grey_of_ink_and_of_images_with_transparency():
    linear = profile(b"GRAY", b"kTRC", b"curv" + struct.pack(">II", 0, 0))
    ramp = Image.fromarray(np.arange(0, 256, 51, np.uint8)[None])
    expected = [round(255 * (1.055 * (value / 5) ** (1 / 2.4) - 0.055)) if value else 0 for value in range(6)]
    for mode in ("L", "LA"):
        seen = decoding.decode(encoded(ramp.convert(mode), icc_profile=linear))
        assert np.abs(seen[0] - np.array(expected)[:, None]).max() <= 1
    np.testing.assert_array_equal(decoding.decode(encoded(ramp, icc_profile=SWAPPED)), decoding.decode(encoded(ramp)))
    # All ink is of one colour here, and leaves no paper.
    ink = b"mft1" + struct.pack(">4x 3B x", 4, 3, 2) + struct.pack(">9i", *np.eye(3, dtype=int).ravel() * 65536)
    ink += bytes(range(256)) * 4 + bytes([*[255, 128, 128], *[136, 209, 195] * 15]) + bytes(range(256)) * 3
    cyan = Image.new("CMYK", (8, 8), (255, 0, 0, 0))
    for kind in ("JPEG", "TIFF"):
        assert decoding.decode(encoded(cyan, kind))[0, 0].tolist() == pytest.approx([0, 255, 255], abs=2)
        seen = decoding.decode(encoded(cyan, kind, icc_profile=profile(b"CMYK", b"A2B0", ink)))
        assert seen[0, 0, 0] > 180 and seen[0, 0, 1:].max() < 60
    clear = Image.fromarray(np.dstack([drawn(), np.tile(np.uint8([0, 128, 255]), (40, 20))]))
    palette = Image.fromarray(drawn()).quantize(8)
    for image, options in ((clear, {}), (palette, {"transparency": bytes([0, 99, 255])})):
        plain, seen = (decoding.decode(encoded(image, **options, **more)) for more in ({}, {"icc_profile": SWAPPED}))
        assert plain.max() == 255 and np.abs(seen[..., [1, 0, 2]].astype(int) - plain).max() <= 1
    # Deep values are seen by their range.
    deep = Image.fromarray(COLOURS[..., 0])
    assert decoding.examine(encoded(deep, icc_profile=linear)) == decoding.examine(encoded(deep))


def test_a_png_of_another_gamma_is_seen_as_it_says():
    image, plain = Image.fromarray(np.arange(0, 256, 51, np.uint8)[None]), encoded(Image.fromarray(drawn()))

    def with_gamma(image, gamma, *more):
        data = encoded(image)
        at = data.index(b"IDAT") - 4
        return data[:at] + chunk(b"gAMA", struct.pack(">I", gamma)) + b"".join(more) + data[at:]

    for mode in ("L", "RGB", "LA", "P"):
        seen = decoding.decode(with_gamma(image.convert(mode), 100_000))  # of light itself
        assert seen[0, :, 0].tolist() == [0, 123, 168, 202, 230, 255]
    for data in (
        with_gamma(Image.fromarray(drawn()), 45_455),
        *(with_gamma(Image.fromarray(drawn()), damaged) for damaged in (0, 1, 2**32 - 1)),
        with_gamma(Image.fromarray(drawn()), 100_000, chunk(b"sRGB", b"\0")),
    ):
        np.testing.assert_array_equal(decoding.decode(data), decoding.decode(plain))
