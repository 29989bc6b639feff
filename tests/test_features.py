import numpy as np
import pytest

from headstart import features
from headstart.errors import UserError


@pytest.mark.parametrize("name", ["bottleneck", "cut", "views"])
def test_arrays_are_read_by_memory_map(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    read = getattr(features, f"read_{name}")
    with pytest.raises(UserError, match=rf"no data/features/{name}\.npy: run `dvc repro extract`"):
        read()
    written = np.arange(24, dtype="float16").reshape(4, 1, 2, 3)
    features.FEATURES.mkdir(parents=True)
    np.save(features.FEATURES / f"{name}.npy", written)
    array = read()
    assert isinstance(array, np.memmap) and not array.flags.writeable
    np.testing.assert_array_equal(array, written)
