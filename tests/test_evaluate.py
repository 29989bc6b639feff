import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from headstart import features, images, manifest, models, params
from headstart.errors import UserError
from headstart.runtime import keras
from stages import evaluate

ROOT = Path(__file__).parent.parent
SIZE = 16
OUTPUTS = (evaluate.TEST, evaluate.PREDICTIONS, evaluate.RESULT, evaluate.PLOTS, evaluate.GALLERIES)


def dense(inputs, outputs, kernel):
    """A model that ends in a dense layer with these weights, as wide as the number of classes asks for."""
    units = kernel.shape[1]
    layer = keras.layers.Dense(units, "sigmoid" if units == 1 else "softmax")
    model = keras.Model(inputs, layer(keras.layers.GlobalAveragePooling2D()(outputs)))
    layer.set_weights([kernel, np.zeros(units)])
    return model


def project(classes, colours, mistake):
    """A project with 12 images a class in a folder; only the last 6 of each class are test images.

    The classifier goes by the colour; the head by features that are the colour too, but wrong for image `mistake`
    of the test split, and for every image that is not in it.
    """
    Path("params.yaml").write_text((ROOT / "params.yaml").read_text().replace("data/raw/elpv-dataset.zip", "photos"))
    Path("dvc.yaml").write_text("stages:\n  evaluate:\n    cmd: none\n    params: [dataset.path, seed]\n")
    generator = np.random.default_rng(1)
    paths, labels, means = [], [], []
    for label, name in enumerate(classes):
        for i in range(12):
            path = Path("photos", name, f"{i:02}.png")
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = np.clip(colours[label] + generator.integers(-30, 30, (20, 30, 3)), 0, 255).astype("uint8")
            Image.fromarray(pixels).save(path)
            paths.append(f"{name}/{i:02}.png")
            labels.append(label)
            means.append(images.read(path.read_bytes(), SIZE).mean(axis=(0, 1)) / 255)
    splits = np.array((["train"] * 6 + ["test"] * 6) * len(classes))
    labels, means = np.array(labels), np.array(means, "float16")
    manifest.write_manifest(
        manifest.Manifest(list(classes), paths, labels, splits, [f"{i:064}" for i in range(len(paths))])
    )
    means[splits != "test"] = means[splits != "test"][::-1]
    means[np.flatnonzero(splits == "test")[mistake]] = 1 - means[np.flatnonzero(splits == "test")[mistake]]
    features.FEATURES.mkdir(parents=True)
    np.save(features.FEATURES / "bottleneck.npy", np.tile(means[:, None, None], (1, 2, 2, 1)))
    kernel = 4 * np.array([[1], [0], [-1]]) if len(classes) == 2 else 8 * np.eye(3)
    inputs = keras.Input((2, 2, 3))
    models.save(dense(inputs, inputs, kernel), models.HEAD)
    inputs = keras.Input((SIZE, SIZE, 3), dtype="uint8")
    models.save(dense(inputs, keras.layers.Rescaling(1 / 255)(inputs), kernel), models.CLASSIFIER, list(classes))


def two():
    project(["blue", "red"], [np.array([40, 40, 200]), np.array([200, 40, 40])], mistake=2)


def table(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_two_classes():
    two()
    evaluate.main()
    result = json.loads(evaluate.TEST.read_text())
    assert result["images"] == 12
    assert result["fine_tuned"]["accuracy"] == 1.0
    assert result["fine_tuned"]["confusion_matrix"] == [[6, 0], [0, 6]]
    assert result["head"]["accuracy"] == pytest.approx(11 / 12, abs=1e-6)
    assert result["mcnemar"] == {"both": 11, "neither": 0, "only_fine_tuned": 1, "only_head": 0, "p": 1.0}
    rows = table(evaluate.PREDICTIONS)
    assert list(rows[0]) == ["image", "label", "head", "fine_tuned"]
    assert [row["image"] for row in rows] == [f"{c}/{i:02}.png" for c in ("blue", "red") for i in range(6, 12)]
    for row in rows:
        assert (float(row["fine_tuned"]) >= 0.5) == (row["label"] == "red")
        assert ((float(row["head"]) >= 0.5) == (row["label"] == "red")) == (row["image"] != "blue/08.png")
    assert table(evaluate.PLOTS / "confusion" / "head.csv").count({"actual": "blue", "predicted": "red"}) == 1
    assert len(table(evaluate.PLOTS / "confusion" / "fine_tuned.csv")) == 12
    last = table(evaluate.PLOTS / "roc" / "head.csv")[-1]
    assert last == {"false_positive_rate": "1.0", "true_positive_rate": "1.0"}
    assert list(table(evaluate.PLOTS / "precision_recall" / "fine_tuned.csv")[0]) == ["recall", "precision"]
    for name in ("wrong", "right"):
        with Image.open(evaluate.GALLERIES / f"{name}.png") as picture:
            assert picture.format == "PNG"


def test_three_classes():
    colours = 160 * np.eye(3, dtype=int) + 40
    project(["r", "g", "b"], colours, mistake=0)
    evaluate.main()
    result = json.loads(evaluate.TEST.read_text())
    assert (result["images"], result["fine_tuned"]["accuracy"], result["fine_tuned"]["roc_auc"]) == (18, 1.0, 1.0)
    assert sorted(result["head"]["per_class"]) == ["b", "g", "r"]
    rows = table(evaluate.PREDICTIONS)
    assert list(rows[0]) == ["image", "label", "head", "fine_tuned", "head_probability", "fine_tuned_probability"]
    assert all(row["fine_tuned"] == row["label"] for row in rows)
    assert [row["image"] for row in rows if row["head"] != row["label"]] == ["r/06.png"]
    assert all(1 / 3 < float(row["fine_tuned_probability"]) < 1 for row in rows)


def test_twice_gives_the_same_bytes(here):
    def written():
        evaluate.main()
        files = [file for path in OUTPUTS for file in ([path] if path.is_file() else sorted(path.rglob("*.*")))]
        return {file: file.read_bytes() for file in files}

    two()
    first = written()
    assert len(first) == 11
    assert written() == first


def test_only_declared_parameters_are_touched():
    two()
    Path("dvc.yaml").write_text("stages:\n  evaluate:\n    cmd: none\n    params: [seed]\n")
    with pytest.raises(params.UndeclaredParameter, match=r"dataset"):
        evaluate.main()


def test_an_image_that_has_gone_since_the_split():
    two()
    Path("photos/red/09.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"red/09\.png.*dvc repro"):
        evaluate.main()
    assert not evaluate.TEST.exists()
    Path("photos/red/09.png").unlink()
    with pytest.raises(UserError, match=r"red/09\.png"):
        evaluate.main()
