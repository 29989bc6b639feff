import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from headstart.images import decoding
from headstart.images.ranges import Range

KINDS = {"u": 1, "i": 2, "f": 3}
RAMP = np.linspace(0, 1, 4096).reshape(64, 64)
SIGNED = [("i1", -100, 100), ("i2", -9000, 9000), ("i4", -1e9, 1e9), ("f4", -2, 2)]
SIGNED += [("i8", -1e9, 1e9), ("f2", -2, 2), ("f8", -2, 2), ("f8", -1e200, 1e200)]


def squares(values, side):
    """The squares of this side that cover values, (height, width) or (height, width, channels), the last with zeros."""
    height, width = values.shape[:2]
    values = np.pad(values, [(0, -height % side), (0, -width % side), (0, 0)][: values.ndim])
    return [values[y : y + side, x : x + side] for y in range(0, height, side) for x in range(0, width, side)]


def tiff(values, colours=1, planes=1, order="<", packed=False, side=None, **tags):
    """A TIFF of these values: (height, width), (height, width, channels) or, with planes=2, (channels, height, width).

    side: of its tiles; None for one strip, or one of each channel. tags: more of them, as `tag42113="-9999"`, text or
    numbers of 16 bits.
    """
    height, width = values.shape[-2:] if planes == 2 else values.shape[:2]
    channels = values.size // (height * width)
    values = values.astype(values.dtype.newbyteorder(order))
    parts = list(values) if planes == 2 and values.ndim == 3 else [values]
    parts = [square for part in parts for square in squares(part, side)] if side else parts
    data = [part.tobytes() for part in parts]
    data = [zlib.compress(part) for part in data] if packed else data
    at = [8 + sum(map(len, data[:number])) for number in range(len(data))]
    fields = {256: [width], 257: [height], 258: [8 * values.dtype.itemsize] * channels, 259: [8 if packed else 1]}
    fields |= {262: [colours], 273: at, 277: [channels], 278: [height], 279: [len(part) for part in data]}
    fields |= {284: [planes], 339: [KINDS[values.dtype.kind]] * channels}
    if side:
        fields |= {322: [side], 323: [side], 324: fields.pop(273), 325: fields.pop(279)}
    fields |= {int(tag.removeprefix("tag")): value for tag, value in tags.items()}
    body = b"".join(data)
    directory = struct.pack(order + "H", len(fields))
    for tag, value in sorted(fields.items()):
        code, letter, value = (2, "B", value.encode() + b"\0") if isinstance(value, str) else (4, "I", value)
        content = struct.pack(f"{order}{len(value)}{letter}", *value)
        where = content.ljust(4, b"\0") if len(content) <= 4 else struct.pack(order + "I", 8 + len(body))
        body += content if len(content) > 4 else b""
        directory += struct.pack(order + "HHI", tag, code, len(value)) + where
    start = struct.pack(order + "2sHI", b"II" if order == "<" else b"MM", 42, 8 + len(body))
    return start + body + directory + bytes(4)


def grey(data, *ends):
    return decoding.decode(data, Range(*ends) if ends else None)[..., 0]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(("kind", "low", "high"), SIGNED)
def test_values_with_a_sign_are_read_in_either_byte_order_packed_or_not(order, packed, kind, low, high):
    values = (RAMP * (high - low) + low).astype(kind)
    data = tiff(values, order=order, packed=packed)
    facts = decoding.examine(data)
    assert facts.own == pytest.approx((low, high), rel=0.02)
    assert facts.whole_numbers == (kind[0] != "f") and not facts.frames
    assert decoding.depth(data) == 16
    np.testing.assert_allclose(grey(data, low, high), RAMP * 255, atol=2)
    assert grey(data)[[0, -1], [0, -1]].tolist() == [0, 255]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kind", ["u4", "u8"])
def test_whole_numbers_without_a_sign_may_be_large(order, packed, kind):
    large, small = ((RAMP * most).astype(kind) for most in (4e9, 2e9))
    data = tiff(large, order=order, packed=packed)
    assert decoding.examine(data).own == pytest.approx((4e6, 3.996e9), rel=0.02)
    np.testing.assert_allclose(grey(data, 0, 4e9), RAMP * 255, atol=1)
    # What was read right before is so to the bit.
    read = decoding.examine(tiff(small, order=order, packed=packed))
    assert read.sha256 == decoding.pixel_hash(small.astype(np.int32))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("planes", [1, 2])
@pytest.mark.parametrize("kind", ["i1", "u2", "i2", "u4", "f2", "f4", "f8"])
def test_colours_of_any_depth_are_seen_by_one_range(kind, planes, order):
    most = 100 if kind == "i1" else 4095
    values = (np.stack([RAMP, RAMP / 2, 1 - RAMP], -1) * most).astype(kind)
    data = tiff(values.transpose(2, 0, 1) if planes == 2 else values, colours=2, planes=planes, order=order)
    facts = decoding.examine(data)
    assert facts.own == pytest.approx((0, most), abs=0.01 * most) and facts.colour and not facts.reduced
    assert decoding.depth(data) == 16 and facts.thumbnail.std() > 20
    expected = np.rint(values.astype("f8").clip(0, most) * (255 / most))
    np.testing.assert_allclose(decoding.decode(data, Range(0, most)), expected, atol=0.51)


def written(values, **options):
    """A TIFF that Pillow writes."""
    file = io.BytesIO()
    Image.fromarray(values).save(file, "TIFF", **options)
    return file.getvalue()


@pytest.mark.parametrize("rows", [64, 10])
@pytest.mark.parametrize("packing", ["tiff_lzw", "tiff_adobe_deflate", "packbits", "lzma", "zstd"])
@pytest.mark.parametrize("kind", ["u2", "i4", "f4"])
def test_what_libtiff_packs_is_unpacked(kind, packing, rows):
    values = (np.linspace(0, 1, 4096).reshape(64, 64) * 60_000).astype(kind)
    for predictor in (1, 3 if kind == "f4" else 2)[: 1 if packing in ("packbits", "lzma") else 2]:
        data = written(values, compression=packing, tiffinfo={317: predictor, 278: rows})
        assert Image.open(io.BytesIO(data)).tag_v2.get(317, 1) == predictor
        np.testing.assert_array_equal(grey(data, 0, 60_000), grey(tiff(values), 0, 60_000))
    with pytest.raises(decoding.Broken):
        decoding.decode(data[: len(data) // 2])


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("white", [False, True])
def test_two_values_of_12_bits_lie_in_three_bytes(white, order, packed):
    values = (RAMP[:5, :7] * 50_000).astype("u2") & 4095
    bits = np.pad((values[..., None] >> np.arange(12)[::-1] & 1).reshape(5, -1), [(0, 0), (0, 4)])
    stored = np.packbits(bits.astype(bool), axis=1)
    data = tiff(stored, colours=0 if white else 1, order=order, packed=packed, tag258=[12], tag256=[7])
    expected = 4095 - values if white else values
    assert decoding.examine(data).sha256 == decoding.pixel_hash(expected.astype(np.int32))
    np.testing.assert_allclose(grey(data), expected * (255 / 4095), atol=0.51)  # without a range


def test_a_palette_may_have_values_of_8_bits_in_the_place_of_16():
    index = np.arange(4, dtype="u1")[None]
    palette = np.zeros((3, 256), int)
    palette[:, :4] = [[255, 0, 10, 90], [0, 255, 20, 80], [5, 6, 30, 70]]
    for scale in (1, 257):
        seen = decoding.decode(tiff(index, colours=3, tag320=(palette * scale).ravel().tolist()))
        np.testing.assert_array_equal(seen[0], palette[:, :4].T)


@pytest.mark.parametrize("few", [False, True])
def test_colours_of_four_pixels_together_are_not_taken_for_those_of_each(few):
    red = [76, 85, 255]
    values = np.array([([76, 76, 76, 76, 85, 255] if few else red * 4) * 4], "u1")
    tags = {"tag258": [8] * 3, "tag277": [3], "tag256": [4], "tag257": [4], "tag278": [4], "tag530": [1 + few] * 2}
    data = tiff(values, colours=6, **tags)
    if few:
        with pytest.raises(decoding.Broken, match=r"^a TIFF of 3 channels of 8 bits \(YCbCr.*: save it as RGB"):
            decoding.decode(data)
    else:
        np.testing.assert_allclose(decoding.decode(data)[3, 3], [255, 0, 0], atol=2)


def test_grey_on_black_with_transparency_is_read():
    values = np.array([[[100, 200], [7, 0]]], "u1")
    np.testing.assert_allclose(grey(tiff(values, tag338=[1])), [[100 + 55, 255]], atol=2)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("planes", [1, 2])
@pytest.mark.parametrize("order", ["<", ">"])
def test_tiles_of_which_the_last_stand_over_are_read(order, planes, packed):
    values = (np.stack([RAMP, RAMP / 2, 1 - RAMP], -1)[:50, :40] * 65535).astype("u2")
    stored = values.transpose(2, 0, 1) if planes == 2 else values
    data = tiff(stored, colours=2, planes=planes, order=order, packed=packed, side=16)
    np.testing.assert_array_equal(decoding.decode(data), np.rint(values / 257))


@pytest.mark.parametrize(("kind", "most"), [("u1", 255), ("u2", 65535), ("f4", 1)])
def test_zero_may_be_white_at_any_depth(kind, most):
    values = (RAMP * most).astype(kind)
    own = decoding.examine(tiff(values, colours=0)).own
    seen = grey(tiff(values, colours=0), *(own or ()))
    np.testing.assert_allclose(seen, 255 - RAMP * 255, atol=2)
    marked = np.where(RAMP < 0.2, 0.125 * most, values).astype(kind)
    if own:
        padded = decoding.examine(tiff(marked, colours=0, tag42113=str(0.125 * most if kind == "f4" else 8191)))
        assert padded.own == pytest.approx(decoding.examine(tiff(values[13:], colours=0)).own, abs=0.01 * most)


@pytest.mark.parametrize("order", ["<", ">"])
def test_channels_one_after_another_are_read(order):
    values = (np.stack([RAMP, RAMP / 2, 1 - RAMP]) * 65535).astype("u2")
    for packed in (False, True):
        data = tiff(values, colours=2, planes=2, order=order, packed=packed)
        np.testing.assert_array_equal(decoding.decode(data), np.rint(values / 257).transpose(1, 2, 0))
    plain = tiff((values >> 8).astype("u1"), colours=2, planes=2, order=order)
    np.testing.assert_array_equal(decoding.decode(plain), values.transpose(1, 2, 0) >> 8)


def test_a_single_channel_by_itself_is_read_or_refused():
    values = (RAMP * 250).astype("u1")
    np.testing.assert_array_equal(grey(tiff(values, planes=2)), values)
    np.testing.assert_array_equal(grey(tiff(values.astype("i2"), planes=2), 0, 255), values)
    for order in "<>":
        planar = tiff(RAMP.astype("f4"), planes=2, order=order)
        np.testing.assert_array_equal(grey(planar, 0, 1), grey(tiff(RAMP.astype("f4")), 0, 1))
    why = r"^a TIFF of 1 channel of 8 bits \(grey, unsigned, .*PlanarConfiguration 2.*: save it interleaved \(Planar"
    with pytest.raises(decoding.Broken, match=why):
        decoding.decode(tiff(values, colours=0, planes=2))


@pytest.mark.parametrize("text", ["-3.4028234663852886e+38", "-3.40282e+38", "-1.7976931348623157e+308", "-9999 "])
def test_what_gdal_writes_for_no_data_is_left_out_of_the_range(text):
    values = RAMP.astype("f4") * 100_000
    values[:8] = max(float(text), float(np.finfo("f4").min))
    facts = decoding.examine(tiff(values, tag42113=text))
    assert facts.own == pytest.approx(decoding.examine(tiff(values[8:])).own)
    assert grey(tiff(values, tag42113=text), *facts.own)[0, 0] == 0


@pytest.mark.parametrize("kind", ["u1", "u2"])
def test_missing_strips_are_no_black_rows(kind):
    data = tiff(RAMP.astype(kind), tag257=[80], tag278=[64])
    with pytest.raises(decoding.Broken, match="^truncated"):
        decoding.decode(data)


def test_an_image_without_data_is_read():
    data = tiff(np.full((4, 4), -9999, "f4"), tag42113="-9999")
    assert decoding.examine(data).own == (-9999, -9999)
    assert grey(data).max() == 0


@pytest.mark.parametrize(
    ("values", "colours", "what"),
    [
        (np.zeros((4, 4, 4), "f4"), 5, r"4 channels of 32 bits \(CMYK, floating-point, little-endian\)"),
        (np.zeros((4, 4, 2), "u4"), 2, r"2 channels of 32 bits \(RGB, unsigned, little-endian\)"),
        (np.zeros((4, 4, 3), "u1"), 1, r"3 channels of 8 bits \(grey, unsigned, little-endian\)"),
        (np.zeros((4, 4, 7), "f8"), 1, r"7 channels of 64 bits \(grey, floating-point, little-endian\)"),
        (
            np.zeros((4, 4, 3), "u1"),
            32803,
            r"3 channels of 8 bits \(PhotometricInterpretation 32803, unsigned",
        ),
    ],
)
def test_a_kind_that_cannot_be_read_is_named(values, colours, what):
    with pytest.raises(
        decoding.Broken, match=f"^a TIFF of {what}.*, which cannot be read: save it as grey or RGB: one"
    ):
        decoding.decode(tiff(values, colours))
    with pytest.raises(
        decoding.Broken, match=r"big-endian\), which cannot be read: save it as grey or RGB, little-end"
    ):
        decoding.decode(tiff(values, colours, order=">"))


@pytest.mark.parametrize("turn", range(1, 9))
def test_deep_values_are_turned_upright(turn):
    values = np.arange(6, dtype="u2").reshape(2, 3) * 10_000
    shallow = written((values >> 8).astype("u1"), tiffinfo={274: turn})
    expected = decoding.decode(shallow)[..., 0] > 0
    pixels = decoding.decode(tiff(values, tag274=[turn]))[..., 0]
    np.testing.assert_array_equal(pixels > 0, expected)
    assert decoding.preview(tiff(values, tag274=[turn]), 8)[0] == expected.shape[::-1]


@pytest.mark.parametrize(("extra", "seen"), [(0, [100, 120]), (1, [227, 247]), (2, [177, 187])])
def test_transparency_of_deep_values_lies_on_white(extra, seen):
    """1 is of colours as they are on black, 0 is of a channel that is none."""
    values = np.array([[[100, 120, 0, 128], [7, 7, 7, 0]]], "u2") * 257
    pixels = decoding.decode(tiff(values, colours=2, tag338=[extra]))
    np.testing.assert_allclose(pixels[0, 0, :2], seen, atol=1)
    assert pixels[0, 1].tolist() == ([7] * 3 if extra == 0 else [255] * 3)


@pytest.mark.parametrize(("number", "name"), [(34887, "LERC"), (33005, "JPEG 2000"), (65000, "number 65000")])
def test_a_compression_that_cannot_be_read_is_named(number, name):
    with pytest.raises(decoding.Broken, match=f"^a TIFF whose compression, {name}, cannot be read: save it with LZW"):
        decoding.decode(tiff(RAMP.astype("f4"), tag259=[number]))


def test_pages_are_noted_of_what_is_put_right():
    file = io.BytesIO()
    pages = [Image.fromarray(np.array([[1, 2]], np.uint16)) for _ in range(2)]
    pages[0].save(file, "TIFF", save_all=True, append_images=pages[1:], tiffinfo={262: 0})
    assert decoding.examine(file.getvalue()).frames
    # What comes after the first page may be damaged.
    data = tiff(RAMP)
    assert decoding.examine(data[:-4] + b"\xff\xff\xff\0").frames and not decoding.examine(data).frames
