import builtins
import io

import numpy as np
import pytest

from headstart.images import decoding, finding
from headstart.images.decoding import Square
from headstart.images.ranges import Range

pydicom = pytest.importorskip("pydicom", reason="no pydicom (requirements-dicom.txt)")

STORED = np.array([[0, 100, 1100, 2047, 4095]])


def dicom(values, **fields):
    """A DICOM file of one image, (height, width), or of several frames, (frames, height, width): 12 bits of 16."""
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    bits = fields.get("BitsStored", 12)
    defaults = {
        "PhotometricInterpretation": "MONOCHROME2", "SamplesPerPixel": 1, "BitsStored": bits, "HighBit": bits - 1,
        "BitsAllocated": 16 if bits > 8 else 8, "PixelRepresentation": 0, "Rows": values.shape[-2],
        "Columns": values.shape[-1],
    }  # fmt: skip
    if values.ndim == 3:
        defaults["NumberOfFrames"] = len(values)
    for name, value in (defaults | fields).items():
        setattr(dataset, name, value)
    kind = f"<{'iu'[not dataset.PixelRepresentation]}{dataset.BitsAllocated // 8}"
    dataset.PixelData = values.astype(kind).tobytes() + b"\0" * (values.size % 2 * (bits <= 8))
    file = io.BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()


def grey(data, value_range=None):
    pixels = decoding.decode(data, value_range)
    assert (pixels == pixels[..., :1]).all()
    return pixels[..., 0].ravel().tolist()


CT = {"RescaleSlope": 1, "RescaleIntercept": -1024}
WINDOW = {"WindowCenter": 40, "WindowWidth": 401}


def test_values_are_in_the_units_of_the_modality():
    facts = decoding.examine(dicom(STORED, **CT))
    assert facts.own == pytest.approx((-1024, 3071), abs=20)
    assert facts.whole_numbers and not facts.windowed
    assert grey(dicom(STORED, **CT), Range(-1024, 76)) == [0, 23, 255, 255, 255]
    assert grey(dicom(STORED - 1024, PixelRepresentation=1, BitsStored=16), Range(-1024, 76)) == [0, 23, 255, 255, 255]


def test_its_own_window_comes_first_unless_the_range_was_set():
    data = dicom(STORED, **CT, **WINDOW)
    seen = [0, 0, 151, 255, 255]  # of -1024, -924, 76, 1023 and 3071, from -160 to 240
    assert grey(data) == grey(data, Range(0, 5)) == seen
    assert decoding.read(data, Square(16)).max() == 255
    assert decoding.examine(data).windowed and decoding.examine(data).own is None
    assert grey(data, Range(-1024, 76, windows=False)) == [0, 23, 255, 255, 255]
    facts = decoding.examine(data, windows=False)
    assert facts.own and not facts.windowed
    several = {"WindowCenter": [40, 500], "WindowWidth": [401, 2000]}
    assert grey(dicom(STORED, **CT, **several)) == seen


def test_a_slope_may_be_negative():
    turned = {"RescaleSlope": -1, "RescaleIntercept": 3071}
    assert grey(dicom(4095 - STORED, **turned), Range(-1024, 76)) == grey(dicom(STORED, **CT), Range(-1024, 76))
    assert grey(dicom(4095 - STORED, **turned, **WINDOW)) == grey(dicom(STORED, **CT, **WINDOW))


def test_of_several_frames_rescaling_and_window_may_lie_in_groups():
    groups = []
    for names, fields in (("PixelValueTransformationSequence", CT), ("FrameVOILUTSequence", WINDOW)):
        inner, group = pydicom.Dataset(), pydicom.Dataset()
        for name, value in fields.items():
            setattr(inner, name, value)
        setattr(group, names, [inner])
        groups.append([group])
    shared, own = groups
    frames = dicom(STORED, SharedFunctionalGroupsSequence=shared, PerFrameFunctionalGroupsSequence=own)
    assert grey(frames) == grey(dicom(STORED, **CT, **WINDOW))
    facts = decoding.examine(frames, windows=False)
    assert facts.own == decoding.examine(dicom(STORED, **CT)).own


def test_how_a_file_is_packed_that_cannot_be_read_is_named():
    dataset = pydicom.dcmread(io.BytesIO(dicom(STORED)))
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.JPEGExtended12Bit
    dataset.PixelData = pydicom.encaps.encapsulate([b"no JPEG"])
    dataset["PixelData"].is_undefined_length = True
    file = io.BytesIO()
    dataset.save_as(file)
    with pytest.raises(
        decoding.Broken, match=r"a DICOM file packed as JPEG Extended.*: unpack it, such as with `gdcmcon"
    ):
        decoding.decode(file.getvalue())


def test_one_that_says_to_be_far_too_large_is_refused_before_it_is_unpacked():
    for data in (whole := dicom(STORED, Rows=60_000, Columns=60_000), whole[132:]):
        with pytest.raises(decoding.Broken, match=r"3,600,000,000 pixels, more than the 178,956,970 that are decoded"):
            decoding.decode(data)


def test_values_may_lie_in_the_upper_bits():
    left = dicom(STORED * 16, HighBit=15)
    assert decoding.examine(left) == decoding.examine(dicom(STORED))


@pytest.mark.parametrize("bits", [1, 4, 6])
def test_few_bits_are_not_dark(bits):
    values = np.array([[0, 1, 2**bits - 1]])
    assert grey(dicom(values, BitsStored=bits)) == [0, 255 // (2**bits - 1), 255]


@pytest.mark.parametrize(("bits", "scale"), [(8, 1), (16, 257), (16, 1)])
def test_a_palette_may_have_values_of_8_bits_in_the_place_of_16(bits, scale):
    palette = np.array([[255, 0, 100, 200], [0, 255, 0, 100], [0, 0, 255, 50]])
    fields = {"PhotometricInterpretation": "PALETTE COLOR", "BitsStored": 8}
    for name, values in zip(("Red", "Green", "Blue"), palette * scale, strict=True):
        fields[f"{name}PaletteColorLookupTableDescriptor"] = [4, 0, bits]
        fields[f"{name}PaletteColorLookupTableData"] = values.astype(f"<u{bits // 8}").tobytes()
    np.testing.assert_array_equal(decoding.decode(dicom(np.arange(4)[None], **fields))[0], palette.T)


@pytest.mark.parametrize("window", [{"WindowCenter": 0, "WindowWidth": 0}, {"WindowCenter": None, "WindowWidth": None}])
def test_a_window_without_width_is_none(window):
    assert not decoding.examine(dicom(STORED, **window)).windowed


def test_in_monochrome1_low_values_are_white():
    for fields in ({}, CT):
        plain, turned = (
            dicom(values, PhotometricInterpretation=kind, **fields)
            for values, kind in ((STORED, "MONOCHROME2"), (4095 - STORED, "MONOCHROME1"))
        )
        assert decoding.examine(plain) == decoding.examine(turned)
        assert grey(plain, Range(0, 1000)) == grey(turned, Range(0, 1000))
    window = dicom(STORED, PhotometricInterpretation="MONOCHROME1", **CT, **WINDOW)
    assert grey(window) == [255, 255, 104, 0, 0]


def test_8_bits_stay_as_they_are():
    values = np.array([[0, 7, 200, 255]])
    assert grey(dicom(values, BitsStored=8), Range(5, 6)) == [0, 7, 200, 255]
    assert grey(dicom(values, BitsStored=8, PhotometricInterpretation="MONOCHROME1")) == [255, 248, 55, 0]
    colour = dicom(np.arange(12).reshape(2, 6), BitsStored=8, PhotometricInterpretation="RGB", SamplesPerPixel=3,
                   PlanarConfiguration=0, Columns=2)  # fmt: skip
    assert decoding.decode(colour).ravel().tolist() == list(range(12))


@pytest.mark.parametrize("bits", [12, 16])
def test_deep_colours_are_seen_by_the_range(bits):
    values = np.array([[0, 256, 4095, 2048, 15, 16]])
    fields = {"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3, "PlanarConfiguration": 0, "Columns": 2}
    data = dicom(values, BitsStored=bits, **fields)
    assert decoding.decode(data, Range(0, 4095)).ravel().tolist() == [0, 16, 255, 128, 1, 1]
    assert decoding.decode(data, Range(15, 16)).ravel().tolist() == [0, 255, 255, 255, 0, 255]
    facts = decoding.examine(data)
    assert facts.colour and facts.whole_numbers and facts.own == pytest.approx((0, 4095), abs=20)
    # Without a range, white is what can be stored.
    assert decoding.decode(data).ravel().tolist() == ([0, 16, 255, 128, 1, 1] if bits == 12 else [0, 1, 16, 8, 0, 0])
    assert decoding.examine(dicom(values * 16, BitsStored=12, HighBit=15, **fields)) == facts


def test_without_a_range_white_is_what_can_be_stored():
    assert grey(dicom(STORED)) == [0, 6, 68, 127, 255]
    assert grey(dicom(STORED, PhotometricInterpretation="MONOCHROME1")) == [255, 249, 187, 128, 0]
    assert grey(dicom(STORED, BitsStored=16)) == [0, 0, 4, 8, 16]
    assert grey(dicom(STORED, **CT))[-1] == 255  # its own range: -1024 is no black


@pytest.mark.parametrize("kind", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_is_left_out_of_the_range(kind):
    values = np.linspace(500, 1500, 4096).astype(int).reshape(64, 64)
    values[:8], values[:4] = 10, 20
    files = [
        dicom(values, PhotometricInterpretation=kind, PixelPaddingValue=10, PixelPaddingRangeLimit=20, **CT),
        dicom(values[8:], PhotometricInterpretation=kind, **CT),
    ]
    padded, plain = map(decoding.examine, files)
    assert padded.own == plain.own
    signed = {"PixelRepresentation": 1, "BitsStored": 16}
    facts = decoding.examine(dicom(np.where(values < 30, -200, values), PixelPaddingValue=-200, **signed))
    assert facts.own[0] > 600
    assert decoding.examine(dicom(values[:4], PixelPaddingValue=20)).own == (20, 20)


def test_of_several_frames_the_first_counts_and_it_is_noted():
    data = dicom(np.stack([STORED, STORED * 0]), **CT)
    assert grey(data, Range(-1024, 76)) == [0, 23, 255, 255, 255]
    assert decoding.examine(data).frames and not decoding.examine(dicom(STORED)).frames


def test_a_lookup_table_of_its_own():
    table = pydicom.Dataset()
    table.LUTDescriptor, table.LUTData = [4, 1000, 8], np.array([10, 20, 30, 250], "<u2").tobytes()
    values = np.array([[0, 1000, 1001, 1002, 4000]])
    assert grey(dicom(values, VOILUTSequence=[table])) == [10, 10, 20, 30, 250]


def test_a_file_is_known_by_its_mark_and_a_damaged_one_says_so():
    data = dicom(STORED)
    assert decoding.kind(data[:132]) == "DICOM" and decoding.depth(data) is None
    assert finding.is_image("1.2.840.113619.2.55", lambda path: data[:132])
    assert finding.is_image("a/IM0001.DCM", None)
    for broken in (data[:132], data[:200], data[:-4]):
        with pytest.raises(decoding.Broken):
            decoding.decode(broken)


@pytest.mark.parametrize(("implicit", "little"), [(True, True), (False, True), (False, False)])
def test_a_file_that_begins_with_its_elements_is_known_and_read(implicit, little):
    data = dicom(STORED, **CT)
    dataset = pydicom.dcmread(io.BytesIO(data))
    if not little:
        dataset.PixelData = STORED.astype(">u2").tobytes()
    file = pydicom.filebase.DicomBytesIO()
    file.is_implicit_VR, file.is_little_endian = implicit, little
    pydicom.filewriter.write_dataset(file, dataset)
    for bare in (file.getvalue(), data[132:]):
        assert decoding.kind(bare[:132]) == "DICOM" and finding.is_image("IM0001", lambda _, head=bare[:132]: head)
        assert decoding.examine(bare) == decoding.examine(data)
        with pytest.raises(decoding.Broken):
            decoding.decode(bare[:140])
        assert decoding.kind(bare[:8]) is None


def test_what_begins_a_little_like_it_is_none():
    for head in (b"\x08\0\x05\0CS", b"\x08\0" * 66, b"\x02\0\0\0" + bytes(128), b"\0\x08\0\x05CS" + b"\xff" * 126):
        assert decoding.kind(head) is None


def test_without_pydicom_it_says_what_to_install(monkeypatch):
    real = builtins.__import__

    def missing(name, *arguments):
        if name.partition(".")[0] == "pydicom":
            raise ImportError(name)
        return real(name, *arguments)

    data = dicom(STORED)
    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(decoding.Broken, match=r"a DICOM file: `pip install -r requirements-dicom\.txt` installs what"):
        decoding.decode(data)
