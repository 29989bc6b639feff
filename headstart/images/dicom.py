"""DICOM, the format of medical images: one frame as a Pillow image, its values as the modality means them."""

import io
import struct
from typing import Any

import numpy as np
from PIL import Image

from headstart.images.ranges import ENDS, PADDING, VALUES

MARK = b"DICM"  # at byte 128
# The kinds of values by how their length is stored, and the groups that the first elements of a file are of.
_SHORT = set(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())
_LONG = set(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
_GROUPS = (0x02, 0x08, 0x10, 0x18, 0x20, 0x28)
WINDOWED = "windowed"  # in a Pillow image's info: the same image seen through its own window, 8 bits
FRAMES = "frames"  # in its info: how many frames the file has
_PADDED = ("PixelPadding", "FloatPixelPadding", "DoubleFloatPixelPadding")  # what the names of such fields begin with


def is_dicom(head: bytes) -> bool:
    """Whether a file begins like DICOM, by its first 132 bytes or more; older ones begin without a mark."""
    return head[128:132] == MARK or any(_begins_with_elements(head, order) for order in "<>")


def _begins_with_elements(head: bytes, order: str) -> bool:
    """Whether a file begins with two elements of DICOM, the first of group 2 or 8; order: of their bytes."""
    at, tags = 0, []
    while len(tags) < 2 and at + 12 <= len(head):
        group, number, kind, short = struct.unpack_from(order + "HH2sH", head, at)
        tags.append((group, number))
        if kind in _LONG:
            at += 12 + struct.unpack_from(order + "I", head, at + 8)[0]
        else:  # where the kind of a value is not told, its length stands there
            at += 8 + (short if kind in _SHORT else struct.unpack_from(order + "I", head, at + 4)[0])
    return len(tags) == 2 and tags[0][0] in (2, 8) and tags[1][0] in _GROUPS and tags[0] < tags[1]


def opened(data: bytes) -> Image.Image:
    """Return the first frame of a DICOM file: L or RGB, or of more than 8 bits I or F, in the units of the modality.

    In the latter, `info[WINDOWED]` has the view that the file asks for (window or lookup table, VOI), if it does, and
    `info[PADDING]` those of its values that it says stand for no data. In MONOCHROME1, where low values are white,
    values are turned around within those that can be stored. Colours of more than 8 bits are in `info[VALUES]`.
    `info[ENDS]` has the values that can be stored, of deep images whose lowest one is 0.

    Raises ImportError where pydicom is not installed, and whatever it raises for what it cannot read.
    """
    from pydicom import dcmread, uid

    dataset = dcmread(io.BytesIO(data), force=True)
    if "TransferSyntaxUID" not in dataset.file_meta:
        implicit, little = dataset.original_encoding
        plain = uid.ExplicitVRLittleEndian if little else uid.ExplicitVRBigEndian
        dataset.file_meta.TransferSyntaxUID = uid.ImplicitVRLittleEndian if implicit else plain
    if not any(name in dataset for name in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
        raise ValueError("a DICOM file without an image")
    if (pixels := int(dataset.Rows) * int(dataset.Columns)) > Image.MAX_IMAGE_PIXELS:
        raise ValueError(
            f"{pixels:,} pixels, more than the {Image.MAX_IMAGE_PIXELS:,} that are decoded of a DICOM file"
        )
    _take_from_groups(dataset)
    dataset.pixel_array_options(index=0)
    image = _image(dataset, _stored(dataset))
    image.info[FRAMES] = int(dataset.get("NumberOfFrames") or 1)
    return image


def _take_from_groups(dataset: Any) -> None:
    """Give a file of several frames the rescaling and the window of the first one, which it keeps in groups."""
    groups = [
        *dataset.get("SharedFunctionalGroupsSequence", []),
        *dataset.get("PerFrameFunctionalGroupsSequence", [])[:1],
    ]
    for group in groups:
        for name in ("PixelValueTransformationSequence", "FrameVOILUTSequence"):
            for fields in group.get(name, [])[:1]:
                dataset.update({field.tag: field for field in fields if field.tag not in dataset})


def _stored(dataset: Any) -> np.ndarray:
    """The first frame's values, without the bits below them that a file may leave unused."""
    syntax, unused = dataset.file_meta.TransferSyntaxUID, max(0, dataset.get("HighBit", 0) + 1 - dataset.BitsStored)
    dataset.BitsStored += unused  # pydicom takes the lower bits for the values
    try:
        stored = dataset.pixel_array
    except (NotImplementedError, RuntimeError):
        if not syntax.is_compressed:
            raise
        raise ValueError(
            f"a DICOM file packed as {syntax.name}, which is damaged or of a kind that cannot be read: unpack it, such "
            "as with `gdcmconv --raw`"
        ) from None
    dataset.BitsStored -= unused
    return stored >> unused if unused else stored


def _image(dataset: Any, stored: np.ndarray) -> Image.Image:
    from pydicom.pixels import apply_color_lut, apply_modality_lut

    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        stored = apply_color_lut(stored, dataset)
    if stored.ndim == 3:
        palette = dataset.PhotometricInterpretation == "PALETTE COLOR"
        if not palette and dataset.BitsStored > 8:
            image = Image.new("L", stored.shape[1::-1])
            image.info |= {VALUES: stored, ENDS: (0, 2**dataset.BitsStored - 1)}
            return image
        # A palette's colours fill their type, but for some that are written with 8 bits of 16.
        bits = 8 * stored.dtype.itemsize if palette and stored.max() > 255 else 8
        return Image.fromarray(np.clip(stored >> max(0, bits - 8), 0, 255).astype(np.uint8))
    values = apply_modality_lut(stored, dataset)
    view = _windowed(dataset, values)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        values = sum(_ends(dataset)) - values
        view = None if view is None else 255 - view
    whole = values.dtype.kind in "iu" or bool((values == np.rint(values)).all())
    most = 2**dataset.BitsStored - 1
    if whole and view is None and most <= 255 and values.min() >= 0 and values.max() <= 255:
        few = most < 255 and values.max() <= most  # such as segmentations of 1 bit
        return Image.fromarray(np.rint(values * (255 / most if few else 1)).astype(np.uint8))
    image = Image.fromarray(values.astype(np.int32 if whole and abs(values).max() < 2**31 else np.float32))
    if whole and min(_ends(dataset)) == 0:
        image.info[ENDS] = tuple(sorted(_ends(dataset)))
    if view is not None:
        image.info[WINDOWED] = Image.fromarray(view)
    if (padding := _padding(dataset, stored.dtype)) is not None:
        image.info[PADDING] = padding
    return image


def _padding(dataset: Any, kind: np.dtype) -> tuple[float, float] | None:
    """The lowest and the highest of the values that the file says stand for no data, in the image's units."""
    from pydicom.pixels import apply_modality_lut

    name = next((name for name in _PADDED if dataset.get(f"{name}Value") is not None), None)
    if name is None:
        return None
    first, last = dataset[f"{name}Value"].value, dataset.get(f"{name}RangeLimit")
    ends = [first, first if last is None else last]
    if not all(isinstance(end, int | float) for end in ends):
        return None
    # Some files write a negative value as if it had no sign; `astype` gives it back.
    values = apply_modality_lut(np.array(ends).astype(kind), dataset)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        values = sum(_ends(dataset)) - values
    # Rounded as those of the image are.
    low, high = np.sort(values.astype(np.float32) if values.dtype.kind == "f" else values)
    return float(low), float(high)


def _windowed(dataset: Any, values: np.ndarray) -> np.ndarray | None:
    """The values through the file's own lookup table or window, uint8; None where it has none that can be used."""
    from pydicom.pixels import apply_voi, apply_windowing

    try:
        if dataset.get("VOILUTSequence"):
            seen, low, high = apply_voi(values, dataset), 0, 2 ** dataset.VOILUTSequence[0].LUTDescriptor[2] - 1
        elif dataset.get("WindowWidth") is not None and dataset.get("WindowCenter") is not None:
            seen = apply_windowing(values, dataset)
            low, high = apply_windowing(np.array([-1e12, 1e12]), dataset)  # turned around by a negative slope
        else:
            return None
    except (ValueError, TypeError, AttributeError, IndexError, KeyError):
        return None  # such as a window without width, which scanners write where they have none
    return np.clip(np.rint((seen - low) * (255 / (high - low))), 0, 255).astype(np.uint8)


def _ends(dataset: Any) -> tuple[float, float]:
    """The lowest and the highest value that can be stored, in the units of the modality."""
    from pydicom.pixels import apply_modality_lut

    bits, signed = dataset.BitsStored, dataset.get("PixelRepresentation", 0)
    stored = np.array([-(2 ** (bits - 1)), 2 ** (bits - 1) - 1] if signed else [0, 2**bits - 1])
    return tuple(apply_modality_lut(stored, dataset).tolist())
