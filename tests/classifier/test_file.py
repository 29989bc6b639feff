import json
import subprocess
import sys
import time
import zipfile

import numpy as np
import pytest
from classifiers import CLASSES, pictures, small

from headstart.artifacts import models, results
from headstart.base.errors import UserError
from headstart.classifier import file
from headstart.images.ranges import Range


def test_the_same_weights_are_the_same_bytes_later_too(tmp_path):
    model = small()
    file.save(model, tmp_path / "deep/a.keras", CLASSES, "averaged")
    time.sleep(2.1)  # a zip keeps time in steps of two seconds
    file.save(model, tmp_path / "b.keras", CLASSES, "averaged")
    assert (tmp_path / "deep/a.keras").read_bytes() == (tmp_path / "b.keras").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.keras", "deep"]
    model.layers[-1].get_layer("output").bias.assign([1.0])
    file.save(model, tmp_path / "b.keras", CLASSES, "averaged")
    assert (tmp_path / "deep/a.keras").read_bytes() != (tmp_path / "b.keras").read_bytes()


@pytest.mark.parametrize("name", ["ResNet50", "DenseNet121", "EfficientNetB0", "EfficientNetLite0"])
def test_a_classifier_comes_back_as_it_was(name, tmp_path):
    model, images = small(name), pictures(8)
    file.save(model, tmp_path / "c.keras", CLASSES, "averaged")
    loaded, details = file.load(tmp_path / "c.keras")
    assert details["classes"] == CLASSES and details["size"] == 8 and "bilinear" in details["resizing"]
    np.testing.assert_array_equal(loaded.predict(images, verbose=0), model.predict(images, verbose=0))
    assert loaded.input.dtype == "uint8"


def test_keras_alone_reads_a_classifier(tmp_path):
    model, images = small(), pictures(8)
    file.save(model, tmp_path / "c.keras", CLASSES, "averaged")
    np.save(tmp_path / "images.npy", images)
    code = (
        "import keras, numpy, sys\n"
        "outputs = keras.saving.load_model('c.keras').predict(numpy.load('images.npy'), verbose=0)\n"
        "assert not [name for name in sys.modules if name.startswith('headstart')]\n"
        "numpy.save('outputs.npy', outputs)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True)
    np.testing.assert_array_equal(np.load(tmp_path / "outputs.npy"), model.predict(images, verbose=0))


def test_a_file_that_is_no_classifier_is_told_in_one_line(tmp_path):
    path = tmp_path / "c.keras"
    with pytest.raises(UserError, match=r"no .*c\.keras: run `dvc repro`"):
        file.load(path)
    bad = {
        "nothing": b"",
        "no zip": b"not a model",
    }
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "a zip, but of what?")
    bad["another zip"] = path.read_bytes()
    models.save(small(), path)
    bad["a model, but no classifier"] = path.read_bytes()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("headstart.json", json.dumps({"classes": CLASSES, "size": 8}))
    bad["details alone"] = path.read_bytes()
    file.save(small(), path, CLASSES, "averaged")
    bad["cut short"] = path.read_bytes()[:-200]
    for what, content in bad.items():
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"c\.keras is not a classifier that Headstart wrote") as error:
            file.load(path)
        assert "\n" not in str(error.value), what


def rezipped(path, changes, packing=zipfile.ZIP_STORED):
    """The same archive with other entries: by name a text, bytes, a function of the JSON that was there, or None."""
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    for name, change in changes.items():
        entries[name] = json.dumps(change(json.loads(entries[name]))) if callable(change) else change
    with zipfile.ZipFile(path, "w", packing) as archive:
        for name, content in entries.items():
            if content is not None:
                archive.writestr(name, content)


def with_units(config):
    text = json.dumps(config)
    assert '"units": 1,' in text
    return json.loads(text.replace('"units": 1,', '"units": 3,'))


MALFORMED = {
    "config []": {"config.json": "[]"},
    "config null": {"config.json": "null"},
    "config of another class": {"config.json": '{"class_name": "Nothing", "module": "keras", "config": {}}'},
    "config without layers": {"config.json": lambda config: config | {"config": {}}},
    "config nested": {"config.json": "[" * 100_000},
    "no config": {"config.json": None},
    "other units in the config": {"config.json": with_units},
    "no weights": {"model.weights.h5": None},
    "empty weights": {"model.weights.h5": b""},
    "weights of nothing": {"model.weights.h5": bytes(1000)},
    "details null": {"headstart.json": "null"},
    "details []": {"headstart.json": "[]"},
    "details not text": {"headstart.json": b"\xff\xfe"},
    "details nested": {"headstart.json": "[" * 100_000},
    "no classes": {"headstart.json": lambda details: details | {"classes": None}},
    "one class": {"headstart.json": lambda details: details | {"classes": ["cat"]}},
    "three classes": {"headstart.json": lambda details: details | {"classes": ["a", "b", "c"]}},
    "classes that are none": {"headstart.json": lambda details: details | {"classes": [1, {}]}},
    "a class twice": {"headstart.json": lambda details: details | {"classes": ["a", "a"]}},
    "no size": {"headstart.json": lambda details: {name: details[name] for name in details if name != "size"}},
    "another size": {"headstart.json": lambda details: details | {"size": 9}},
    "a huge size": {"headstart.json": lambda details: details | {"size": 10**12}},
    "a size that is none": {"headstart.json": lambda details: details | {"size": "8"}},
    "an unknown model": {"headstart.json": lambda details: details | {"delivered": "best"}},
    "a list for a model": {"headstart.json": lambda details: details | {"delivered": []}},
    "a range that is none": {"headstart.json": lambda details: details | {"range": [0, 1]}},
    "a range without end": {"headstart.json": lambda details: details | {"range": {"low": 0, "high": None}}},
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_classifier_is_told_in_one_line(name, tmp_path):
    path = tmp_path / "c.keras"
    file.save(small(), path, CLASSES, "averaged")
    rezipped(path, MALFORMED[name])
    with pytest.raises(UserError, match=r"c\.keras is not a classifier that Headstart wrote: .") as error:
        file.load(path)
    assert "\n" not in str(error.value) and len(str(error.value)) < 400


@pytest.mark.parametrize("place", range(10))
def test_one_bit_in_a_classifier_is_enough(place, tmp_path):
    path = tmp_path / "c.keras"
    file.save(small(), path, CLASSES, "averaged")
    content = bytearray(path.read_bytes())
    content[len(content) * (2 * place + 1) // 20] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"c\.keras is not a classifier that Headstart wrote: .") as error:
        file.load(path)
    assert "\n" not in str(error.value)


def test_what_unpacks_to_more_than_its_file_is_not_unpacked(tmp_path):
    path = tmp_path / "c.keras"
    file.save(small(), path, CLASSES, "averaged")
    rezipped(path, {"model.weights.h5": bytes(10**8)}, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 10**6
    with pytest.raises(UserError, match="it is packed"):
        file.load(path)


def test_a_classifier_of_other_classes_is_not_that_of_this_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file.save(small(), results.CLASSIFIER, CLASSES, "averaged")
    assert file.load_own(CLASSES)[1]["classes"] == CLASSES
    with pytest.raises(UserError, match=r"models/classifier\.keras tells other classes apart than data/classes\.json"):
        file.load_own(CLASSES[::-1])


def test_the_range_of_deep_images_comes_back_and_others_have_none(tmp_path):
    file.save(small(), tmp_path / "deep.keras", CLASSES, "head", Range(-1000, 400, windows=False))
    file.save(small(), tmp_path / "plain.keras", CLASSES, "head")
    assert file.load(tmp_path / "deep.keras")[1]["range"] == Range(-1000, 400, windows=False)
    assert file.load(tmp_path / "plain.keras")[1]["range"] is None
