import base64
import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from running import photo

from headstart.images import decoding
from headstart.images.decoding import Broken, Square
from headstart.images.ranges import Range
from headstart.serving import photos

MOST = 10**6
HEIC = Path(__file__).parent.parent / "images/upright.heic"


def written(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def bomb(width, height):
    """A PNG of a few bytes that says to be so large."""

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "AVIF", "JPEG2000", "HEIF", "PPM"])
def test_each_format_is_known_and_read_as_the_pipeline_reads_it(kind):
    data = HEIC.read_bytes() if kind == "HEIF" else written(Image.open(io.BytesIO(photo())).copy(), kind)
    assert photos.kind(data, MOST) == kind
    read = photos.read(data, Square(8), None, MOST)
    np.testing.assert_array_equal(read.pixels, decoding.read(data, Square(8)))
    assert read.preview == ""


def test_every_format_has_an_ending():
    assert set(photos.ENDINGS) == {*decoding.FORMATS, "DICOM"}


def test_a_deep_image_is_seen_by_the_range_of_the_classifier():
    data = written(Image.fromarray(np.arange(64, dtype=np.uint16).reshape(8, 8) * 60), "PNG")
    values = Range(0, 4000)
    np.testing.assert_array_equal(
        photos.read(data, Square(8), values, MOST).pixels, decoding.read(data, Square(8), values)
    )


def test_a_preview_is_upright_and_small():
    exif = Image.Exif()
    exif[0x0112] = 6
    data = written(Image.new("RGB", (2000, 1000)), "JPEG", exif=exif)
    preview = photos.read(data, Square(8), None, 10**7, preview=True).preview
    assert preview.startswith("data:image/webp;base64,")
    assert Image.open(io.BytesIO(base64.b64decode(preview.partition(",")[2]))).size == (320, 640)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "zero bytes"),
        (b"a text that is no image", "not an image by its first bytes: JPEG, PNG"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image by its first bytes"),
        (bytes(200), "not an image by its first bytes"),
        (photo()[:200], "truncated|cannot be decoded"),
        (bomb(2000, 2000), "4,000,000 pixels, more than the 1,000,000 that this server takes: send it smaller"),
        (bomb(60_000, 60_000), "more than .* pixels: send it smaller"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_reason(data, reason):
    with pytest.raises(Broken, match=reason):
        photos.read(data, Square(8), None, MOST)


def test_a_large_image_is_refused_before_it_is_decoded(monkeypatch):
    data = written(Image.new("1", (4000, 4000)), "PNG")
    monkeypatch.setattr(decoding, "read", lambda *_: pytest.fail("decoded"))
    with pytest.raises(Broken, match="16,000,000 pixels"):
        photos.read(data, Square(8), None, MOST)


def test_a_jpeg_of_too_many_scans_is_refused_and_a_progressive_one_is_not():
    data = written(Image.open(io.BytesIO(photo(size=(200, 200)))), "JPEG", progressive=True)
    assert 5 < data.count(b"\xff\xda") < 20
    assert photos.kind(data, MOST) == "JPEG"
    # Its last scan, over and over.
    start = data.rindex(b"\xff\xda")
    many = data[:start] + (data[start:-2]) * 200 + data[-2:]
    with pytest.raises(Broken, match=r"a JPEG of 2\d\d scans, more than the 40"):
        photos.kind(many, MOST)


def test_dicom_is_refused_by_its_header():
    pydicom = pytest.importorskip("pydicom")
    dataset = pydicom.Dataset()
    dataset.Rows, dataset.Columns, dataset.NumberOfFrames = 600, 600, 3
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = pydicom.uid.SecondaryCaptureImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
    file = io.BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    for content in (file.getvalue(), file.getvalue()[132:]):  # with its preamble, and without
        with pytest.raises(Broken, match="1,080,000 pixels"):
            photos.kind(content, MOST)
