"""DICOM, the format of medical images: one frame as a Pillow image, its values as the modality means them."""

import io
from typing import Any

import numpy as np
from PIL import Image

MARK = b"DICM"  # at byte 128
WINDOWED = "windowed"  # in a Pillow image's info: the same image seen through its own window, 8 bits
FRAMES = "frames"  # in its info: how many frames the file has


def is_dicom(head: bytes) -> bool:
    """Whether a file begins like DICOM, by its first 132 bytes or more."""
    return head[128:132] == MARK


def opened(data: bytes) -> Image.Image:
    """Return the first frame of a DICOM file: L or RGB, or of more than 8 bits I or F, in the units of the modality.

    In the latter, `info[WINDOWED]` has the view that the file asks for (window or lookup table, VOI), if it does. In
    MONOCHROME1, where low values are white, values are turned around within those that can be stored.

    Raises ImportError where pydicom is not installed, and whatever it raises for what it cannot read.
    """
    from pydicom import dcmread

    dataset = dcmread(io.BytesIO(data))
    if not any(name in dataset for name in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
        raise ValueError("a DICOM file without an image")
    dataset.pixel_array_options(index=0)
    image = _image(dataset, dataset.pixel_array)
    image.info[FRAMES] = int(dataset.get("NumberOfFrames") or 1)
    return image


def _image(dataset: Any, stored: np.ndarray) -> Image.Image:
    from pydicom.pixels import apply_color_lut, apply_modality_lut

    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        stored = apply_color_lut(stored, dataset)
    if stored.ndim == 3:
        return Image.fromarray((stored >> (8 * stored.dtype.itemsize - 8)).astype(np.uint8))
    values = apply_modality_lut(stored, dataset)
    view = _windowed(dataset, values)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        values = sum(_ends(dataset)) - values
        view = None if view is None else 255 - view
    whole = values.dtype.kind in "iu" or bool((values == np.rint(values)).all())
    if whole and view is None and dataset.BitsStored <= 8 and values.min() >= 0 and values.max() <= 255:
        return Image.fromarray(values.astype(np.uint8))
    image = Image.fromarray(values.astype(np.int32 if whole and abs(values).max() < 2**31 else np.float32))
    if view is not None:
        image.info[WINDOWED] = Image.fromarray(view)
    return image


def _windowed(dataset: Any, values: np.ndarray) -> np.ndarray | None:
    """The values through the file's own lookup table or window, uint8; None where it has none that can be used."""
    from pydicom.pixels import apply_voi, apply_windowing

    try:
        if dataset.get("VOILUTSequence"):
            seen, low, high = apply_voi(values, dataset), 0, 2 ** dataset.VOILUTSequence[0].LUTDescriptor[2] - 1
        elif dataset.get("WindowWidth") is not None and dataset.get("WindowCenter") is not None:
            seen = apply_windowing(values, dataset)
            low, high = sorted(apply_windowing(np.array([-1e12, 1e12]), dataset))
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
