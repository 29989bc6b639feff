"""Tensors of Hugging Face's safetensors files, read without that package: a header of JSON, then plain numbers."""

import json
from math import prod
from pathlib import Path

import numpy as np

from headstart.base.errors import text_of

LARGEST_HEADER = 2**26  # bytes
DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}


class Tensors:
    """The tensors of the safetensors files in a folder, by their names, as KerasHub's converters ask for them.

    A name may have a prefix in the file that it lacks here, or the other way round: the same network is saved with and
    without what is put on top of it. Raises ValueError for a file that is not what the format says.
    """

    def __init__(self, folder: Path):
        self._tensors: dict[str, np.ndarray] = {}
        for path in sorted(folder.glob("*.safetensors")):
            self._tensors |= read(path)

    def get_tensor(self, name: str) -> np.ndarray:
        """Returns a tensor, float32. Raises KeyError for a name that is not there, or that two tensors could have."""
        fitting = [known for known in self._tensors if f".{known}".endswith(f".{name}") or name.endswith(f".{known}")]
        if name in self._tensors:
            fitting = [name]
        if len(fitting) != 1:
            raise KeyError(name)
        return self._tensors[fitting[0]]

    def port_weight(self, keras_variable, hf_weight_key: str, hook_fn=None) -> None:
        """Give a variable of Keras the value of a tensor. hook_fn: changes the tensor, for a shape, before that."""
        tensor = self.get_tensor(hf_weight_key)
        keras_variable.assign(hook_fn(tensor, list(keras_variable.shape)) if hook_fn else tensor)


def read(path: Path) -> dict[str, np.ndarray]:
    """Returns the tensors of numbers with a fraction in a file, float32; others are left out.

    Raises ValueError for a file that is cut short or whose header says what cannot be.
    """
    data = np.memmap(path, np.uint8, "r")
    length = int.from_bytes(data[:8].tobytes(), "little") if len(data) >= 8 else LARGEST_HEADER + 1
    if length > min(LARGEST_HEADER, len(data) - 8):
        raise ValueError(f"{path.name} is not a complete safetensors file")
    content, tensors, taken = data[8 + length :], {}, 0
    try:
        for name, entry in json.loads(data[8 : 8 + length].tobytes()).items():
            if name != "__metadata__" and entry["dtype"] in DTYPES:
                tensors[name] = _tensor(content, entry, f"{path.name}: {name}")
                taken += entry["data_offsets"][1] - entry["data_offsets"][0]
                if taken > len(content):  # or a small file could become any number of arrays
                    raise ValueError(f"{path.name} has tensors that share their data")
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{path.name} has no list of tensors ({text_of(error)})") from None
    return tensors


def _tensor(content: np.ndarray, entry: dict, name: str) -> np.ndarray:
    dtype, shape, (start, end) = np.dtype(DTYPES[entry["dtype"]]), entry["shape"], entry["data_offsets"]
    if any(type(number) is not int or number < 0 for number in (*shape, start, end)):
        raise ValueError(f"{name} has no valid shape")
    if end > len(content) or end - start != prod(shape) * dtype.itemsize:
        raise ValueError(f"{name} reaches beyond its data")
    numbers = np.frombuffer(content[start:end].tobytes(), dtype)
    if entry["dtype"] == "BF16":  # the upper half of a float32
        numbers = (numbers.astype("<u4") << 16).view("<f4")
    return numbers.astype("float32").reshape(shape)
