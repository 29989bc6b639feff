import json
import subprocess
import sys
import time
import zipfile

import numpy as np
import pytest
from classifiers import CLASSES, details, pictures, small

from headstart.artifacts import models, results
from headstart.base.errors import UserError
from headstart.classifier import file
from headstart.classifier.details import EARLIER, Rule
from headstart.classifier.unlike import Known
from headstart.images.ranges import Range


def test_the_same_weights_are_the_same_bytes_later_too(tmp_path):
    model = small()
    file.save(model, tmp_path / "deep/a.keras", details())
    time.sleep(2.1)  # a zip keeps time in steps of two seconds
    file.save(model, tmp_path / "b.keras", details())
    assert (tmp_path / "deep/a.keras").read_bytes() == (tmp_path / "b.keras").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.keras", "deep"]
    model.layers[-1].get_layer("output").bias.assign([1.0])
    file.save(model, tmp_path / "b.keras", details())
    assert (tmp_path / "deep/a.keras").read_bytes() != (tmp_path / "b.keras").read_bytes()


@pytest.mark.parametrize("name", ["ResNet50", "DenseNet121", "EfficientNetB0", "EfficientNetLite0"])
def test_a_classifier_comes_back_as_it_was(name, tmp_path):
    model, images = small(name), pictures(8)
    file.save(model, tmp_path / "c.keras", details())
    loaded, said = file.load(tmp_path / "c.keras")
    assert said == details()
    np.testing.assert_array_equal(loaded.predict(images, verbose=0), model.predict(images, verbose=0))
    assert loaded.input.dtype == "uint8"


def test_keras_alone_reads_a_classifier(tmp_path):
    model, images = small(), pictures(8)
    file.save(model, tmp_path / "c.keras", details())
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
    file.save(small(), path, details())
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
    "no classes": {"headstart.json": lambda said: said | {"classes": None}},
    "one class": {"headstart.json": lambda said: said | {"classes": ["cat"]}},
    "three classes": {"headstart.json": lambda said: said | {"classes": ["a", "b", "c"]}},
    "classes that are none": {"headstart.json": lambda said: said | {"classes": [1, {}]}},
    "a class twice": {"headstart.json": lambda said: said | {"classes": ["a", "a"]}},
    "no size": {"headstart.json": lambda said: {name: said[name] for name in said if name != "size"}},
    "another size": {"headstart.json": lambda said: said | {"size": 9}},
    "a huge size": {"headstart.json": lambda said: said | {"size": 10**12}},
    "a size that is none": {"headstart.json": lambda said: said | {"size": "8"}},
    "an unknown model": {"headstart.json": lambda said: said | {"delivered": "best"}},
    "a list for a model": {"headstart.json": lambda said: said | {"delivered": []}},
    "a range that is none": {"headstart.json": lambda said: said | {"range": [0, 1]}},
    "axes that are none": {"headstart.json": lambda said: said | {"axes": [3]}},
    "a rule that is none": {"headstart.json": lambda said: said | {"rule": []}},
    "a rule of another kind": {"headstart.json": lambda said: said | {"rule": {"guess": 1}}},
    "no temperature": {"headstart.json": lambda said: said | {"rule": {"temperature": 0}}},
    "a temperature that is none": {"headstart.json": lambda said: said | {"rule": {"temperature": "warm"}}},
    "a goal that is none": {"headstart.json": lambda said: said | {"rule": {"goal": "best"}}},
    "a rule for no class": {"headstart.json": lambda said: said | {"rule": {"of": "cat"}}},
    "costs of other classes": {"headstart.json": lambda said: said | {"rule": {"costs": [[0, 1, 1]]}}},
    "costs that are none": {"headstart.json": lambda said: said | {"rule": {"costs": [[0, None], [1, 0]]}}},
    "training images that are not there": {"headstart.json": lambda said: said | {"unlike": {"limit": 0.1}}},
    "training images that are none": {
        "headstart.json": lambda said: said | {"unlike": {"limit": 0.1}},
        "training_images.npy": b"none",
    },
    "a range without end": {"headstart.json": lambda said: said | {"range": {"low": 0, "high": None}}},
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_classifier_is_told_in_one_line(name, tmp_path):
    path = tmp_path / "c.keras"
    file.save(small(), path, details())
    rezipped(path, MALFORMED[name])
    with pytest.raises(UserError, match=r"c\.keras is not a classifier that Headstart wrote: .") as error:
        file.load(path)
    assert "\n" not in str(error.value) and len(str(error.value)) < 400


@pytest.mark.parametrize("place", range(10))
def test_one_bit_in_a_classifier_is_enough(place, tmp_path):
    path = tmp_path / "c.keras"
    file.save(small(), path, details())
    content = bytearray(path.read_bytes())
    content[len(content) * (2 * place + 1) // 20] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"c\.keras is not a classifier that Headstart wrote: .") as error:
        file.load(path)
    assert "\n" not in str(error.value)


def test_what_unpacks_to_more_than_its_file_is_not_unpacked(tmp_path):
    path = tmp_path / "c.keras"
    file.save(small(), path, details())
    rezipped(path, {"model.weights.h5": bytes(10**8)}, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 10**6
    with pytest.raises(UserError, match="it is packed"):
        file.load(path)


def test_a_classifier_of_other_classes_is_not_that_of_this_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file.save(small(), results.CLASSIFIER, details())
    assert file.load_own(CLASSES)[1].classes == CLASSES
    with pytest.raises(UserError, match=r"models/classifier\.keras tells other classes apart than data/classes\.json"):
        file.load_own(CLASSES[::-1])


def test_the_range_of_deep_images_comes_back_and_others_have_none(tmp_path):
    file.save(small(), tmp_path / "deep.keras", details("head", value_range=Range(-1000, 400, windows=False)))
    file.save(small(), tmp_path / "plain.keras", details("head"))
    assert file.load(tmp_path / "deep.keras")[1].value_range == Range(-1000, 400, windows=False)
    assert file.load(tmp_path / "plain.keras")[1].value_range is None


def test_how_it_decides_and_what_it_was_trained_on_come_back(tmp_path):
    rule = Rule(1.5, "recall", CLASSES[0], 0.2, [[0.0, 0.8], [0.2, 0.0]], 0.9, 0.05)
    known = Known(np.eye(5, 4, dtype="float16"), 0.25)
    file.save(small(), tmp_path / "c.keras", details(axes=(1, 2), rule=rule, known=known))
    _, said = file.load(tmp_path / "c.keras")
    assert said.rule == rule and said.axes == (1, 2) and said.known.limit == 0.25
    np.testing.assert_array_equal(said.known.features, known.features)
    assert said.rule.predicted(np.array([[0.21, 0.79], [0.19, 0.81]])).tolist() == [0, 1]
    assert said.rule.possible(np.array([[0.04, 0.96], [0.06, 0.94]])).tolist() == [[False, True], [True, True]]
    assert said.known.widths == ()
    file.save(small(), tmp_path / "c.keras", details(known=known._replace(widths=(1, 3))))
    assert file.load(tmp_path / "c.keras")[1].known.widths == (1, 3)
    for wrong in ([1, 4], [4.0], ["4"], 4):
        other = {"limit": 0.25, "widths": wrong}
        rezipped(tmp_path / "c.keras", {"headstart.json": lambda said, other=other: said | {"unlike": other}})
        with pytest.raises(UserError, match="does not say how wide the parts of its features are"):
            file.load(tmp_path / "c.keras")


def test_a_file_of_an_earlier_version_still_predicts(tmp_path):
    path = tmp_path / "c.keras"
    file.save(small(), path, details())
    rezipped(path, {"headstart.json": lambda said: {n: said[n] for n in said if n not in ("rule", "axes", "resizing")}})
    assert file.load(path)[1] == details()
    rezipped(path, {"headstart.json": lambda said: said | {"resizing": EARLIER}})
    assert file.load(path)[1] == details()


def test_how_images_become_squares_comes_back_or_is_refused(tmp_path):
    path = tmp_path / "c.keras"
    file.save(small(), path, details(resizing="crop"))
    assert file.load(path)[1].square == (8, "crop")
    rezipped(path, {"headstart.json": lambda said: said | {"resizing": "round"}})
    with pytest.raises(UserError, match="does not say how images become squares"):
        file.load(path)
