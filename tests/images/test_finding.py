import io
import re

import pytest
from PIL import Image

from headstart.images import decoding, finding
from headstart.images.archive import open_source


def encoded(kind, **options):
    file = io.BytesIO()
    Image.new("RGB", (30, 20), "red").save(file, kind, **options)
    return file.getvalue()


def not_looked_at(path):
    raise AssertionError("a file whose ending says what it is was opened")


@pytest.mark.parametrize(
    ("path", "is_image"),
    [
        ("a/1.jpg", True),
        ("1.JPeG", True),
        ("cat.1.webp", True),
        ("IMG_0001.HEIC", True),
        ("a.jpg/1.txt", False),
        ("1.jpg.part", False),
    ],
)
def test_an_image_is_known_by_the_ending_of_its_name(path, is_image):
    assert finding.is_image(path, not_looked_at) is is_image
    assert is_image or finding.why_not(path) == "not the file name of an image"


@pytest.mark.parametrize("ending", [".j2k", ".J2C", ".jpc"])
def test_a_code_stream_of_jpeg_2000_is_an_image(ending):
    data = encoded("JPEG2000", no_jp2=True)
    assert finding.is_image(f"a/1{ending}", lambda path: data[:132]) and decoding.kind(data[:132]) == "JPEG2000"
    assert decoding.decode(data)[0, 0].tolist() == pytest.approx([255, 0, 0], abs=3)


@pytest.mark.parametrize(
    ("path", "begins", "words"),
    [
        ("a/brain.nii.gz", b"\x1f\x8b", ".*volume.*slices as TIFF"),
        ("a/brain.NII", b"\x5c\1\0\0", "a volume: save its slices as TIFF"),
        ("x.npy", b"\x93NUMPY\1\0", "an array of NumPy's: save each image as PNG or TIFF"),
        ("IMG_1.CR2", None, "a camera's raw file: save it as"),
        ("m31.fits", b"SIMPLE  =  T", "a FITS file: save its images as TIFF"),
        ("a.qoi", None, "an image of a kind that is not read: save it as PNG"),
        ("a.mp4", None, "a film: save frames"),
        ("a.jxl", b"\xff\x0a", "a JPEG XL: save it as PNG"),
    ],
)
def test_what_may_hold_images_and_is_not_read_is_named_with_what_to_do(path, begins, words):
    assert not finding.is_image(path, not_looked_at)
    assert re.match(words, finding.why_not(path))
    if begins:
        with pytest.raises(decoding.Broken, match=words):
            decoding.decode(begins + bytes(400))


@pytest.mark.parametrize("path", ["a/n3", "jpg", "a.jpg/1", "scan.0001", "1.2.840.113619.55", "x.dat", "X.BIN"])
def test_where_the_ending_says_nothing_the_content_does(path):
    kinds = ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "AVIF", "JPEG2000", "PPM"]
    assert all(finding.is_image(path, lambda path, kind=kind: encoded(kind)[:132]) for kind in kinds)
    for content in (
        b"",
        b"P",
        b"# Read me: how these images were taken",
        bytes(132),
        b"%PDF-1.7 ....",
        b"PK\3\4........",
    ):
        assert not finding.is_image(path, lambda path, content=content: content)
    assert finding.why_not(path).startswith("no ending in its name")


def test_the_images_of_a_source(tmp_path):
    files = {"a/1.png": b"", "a/n1": encoded("JPEG"), "a/README": b"how they were taken", "b.csv": b"", "a/2": b""}
    for name, data in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    (tmp_path / "a/no access").write_bytes(encoded("PNG"))
    with open_source(tmp_path) as source:
        (tmp_path / "a/no access").unlink()
        assert finding.images(source) == {"a/1.png", "a/n1"}


@pytest.mark.parametrize(
    ("mask", "image"),
    [
        ("a/x_mask.png", "a/x.jpg"),
        ("a/x (1)_mask_1.png", "a/x (1).png"),
        ("a/x-seg.png", "a/x.png"),
        ("x Ground_Truth.bmp", "x.bmp"),
        ("a/masks/x.png", "a/images/x.jpg"),
        ("annotations/trimaps/x.png", "images/x.jpg"),
        ("SegmentationClass/x.png", "JPEGImages/x.jpg"),
        ("train_masks/x_mask.gif", "train_images/x.jpg"),
    ],
)
def test_masks_are_known_by_the_image_that_they_are_of(mask, image):
    assert finding.masks([mask, image, "other.png"]) == {mask: image}
    assert finding.masks([mask, "other.png"]) == {}


def test_classes_of_people_with_masks_are_no_masks():
    names = ["mask/1.jpg", "no mask/1.jpg", "with_mask/2.jpg", "without_mask/2.jpg", "faces/x.jpg", "faces/y_mask.jpg"]
    assert finding.masks(names) == {}


@pytest.mark.parametrize(
    ("path", "whole", "stem"),
    [("b/a.b.PNG", "b/a.b", "a.b"), ("b.d/a.b", "b.d/a.b", "a.b"), ("a.tif", "a", "a"), (".jpg", ".jpg", ".jpg")],
)
def test_a_name_is_known_without_folders_and_the_ending_of_an_image(path, whole, stem):
    assert (finding.without_ending(path), finding.stem(path)) == (whole, stem)
