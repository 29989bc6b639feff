import re
import zipfile

import pytest
from classifiers import head_params

from headstart.artifacts import models
from headstart.base.errors import UserError
from headstart.base.runtime import keras
from headstart.training import head


def test_a_head_is_the_same_bytes_wherever_it_lies_in_memory(tmp_path):
    kept = []
    for name in ("a.keras", "b.keras"):
        keras.utils.set_random_seed(1)
        kept.append(head.build((2, 2, 3), 2, head_params(hidden=[4, 4])))
        kept[-1].compile("adam", "binary_crossentropy")
        models.save(kept[-1], tmp_path / name)
    assert (tmp_path / "a.keras").read_bytes() == (tmp_path / "b.keras").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.keras") as archive:
        config = archive.read("config.json").decode()
    ids = {int(number) for number in re.findall(r'"shared_object_id": (\d+)', config)}
    assert ids == set(range(len(ids))) and "optimizer" not in config


@pytest.mark.parametrize("content", [None, b"", b"not a model", bytes(1000)])
def test_a_head_that_is_missing_or_damaged_is_told(content, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if content is not None:
        models.HEAD.parent.mkdir()
        models.HEAD.write_bytes(content)
    with pytest.raises(UserError, match=r"models/head\.keras is missing or damaged .*: run `dvc repro train_head`"):
        models.load_head()


def test_a_head_of_another_run_is_not_taken(tmp_path):
    models.save(head.build((2, 2, 3), 2, head_params()), tmp_path / models.HEAD)
    assert models.load_head(tmp_path, classes=2, shape=(2, 2, 3)).output.shape == (None, 1)
    for wanted in ({"classes": 3}, {"shape": (4, 4, 3)}):
        with pytest.raises(
            UserError, match=r"models/head\.keras is missing or damaged \(it (gives|takes) .*make check"
        ):
            models.load_head(tmp_path, **wanted)
