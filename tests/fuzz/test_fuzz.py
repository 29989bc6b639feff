"""A moment of fuzzing, the same files each time; `make fuzz` takes ten minutes for each reader. And what it found."""

import io
import zipfile

import pytest
from hypothesis import HealthCheck, given, settings
from readers import FOLDER, READERS, attempt, zips

from headstart.backbones.torch_pickle import load_tensors
from headstart.base.errors import UserError
from headstart.images import archive

EXAMPLES = {"classifier": 10, "params": 10}


@pytest.mark.parametrize("name", READERS)
def test_a_damaged_file_is_read_or_refused_as_promised(name):
    @settings(
        max_examples=EXAMPLES.get(name, 100),
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(READERS[name].strategy())
    def read(drawn):
        attempt(name, drawn)

    read()


def renamed(good: bytes, name: bytes, new: bytes) -> archive.Source:
    """The zip with another name, of the same length or none, for an entry in its index."""
    index = good.rindex(b"PK\x01\x02", 0, good.rindex(name))
    length = len(new).to_bytes(2, "little")
    data = good[: index + 28] + length + good[index + 30 : index + 46] + new + good[index + 46 + len(name) :]
    end = data.rindex(b"PK\x05\x06")
    size = int.from_bytes(good[end + 12 - len(new) + len(name) :][:4], "little") + len(new) - len(name)
    path = FOLDER / "renamed.zip"
    path.write_bytes(data[: end + 12] + size.to_bytes(4, "little") + data[end + 16 :])
    return archive.open_source(path)


def test_a_file_of_a_zip_without_a_name_is_one_line():
    with pytest.raises(UserError, match=r"renamed\.zip has a file without a name, as a damaged zip may"):
        renamed(zips()[0], b"labels.csv", b"")


def test_a_name_of_control_characters_is_a_name():
    with renamed(zips()[0], b"labels.csv", b"\x81\x8d\x8f\x90\x9d\x80\x01\x02\x03\x04") as source:
        assert len(source.names()) == 4


def test_a_zip_of_weights_whose_index_leads_outside_of_it_is_one_line():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as packed:
        packed.writestr("archive/data.pkl", b"\x80\x02}.")
    # A byte less before the index than it says: the first file would begin at -1.
    with pytest.raises(UserError, match="not a complete PyTorch state dict"):
        load_tensors(io.BytesIO(stream.getvalue()[:4] + stream.getvalue()[5:]))
