import json
from pathlib import Path

import numpy as np
import pytest

from headstart import features, models, training
from headstart.errors import UserError
from headstart.manifest import Manifest, read_manifest, write_manifest
from headstart.runtime import keras
from stages import train_head


@pytest.fixture
def prepared(project, monkeypatch):
    """The project with features that tell the classes apart, as the working directory."""
    monkeypatch.chdir(project.path)
    project.set({"head.epochs": 5, "head.learning_rate": 0.05, "head.hidden": [4]})
    rng = np.random.default_rng(1)
    labels = np.arange(40) % 2
    splits = np.array(["train"] * 20 + ["validation"] * 10 + ["test"] * 10)
    names = [f"{number:03}.png" for number in range(40)]
    write_manifest(Manifest(["a", "b"], names, labels, splits, names))
    given = rng.normal(0, 0.5, (40, 2, 2, 3)) + labels[:, None, None, None]
    features.FEATURES.mkdir(parents=True)
    np.save(features.FEATURES / "bottleneck.npy", given.astype("float16"))
    return project


def test_a_head_is_trained_and_logged(prepared):
    train_head.main()
    head = keras.saving.load_model(models.HEAD)
    manifest, bottleneck = read_manifest(), features.read_bottleneck()
    rows = manifest.rows("validation")
    given = head.predict(bottleneck[rows].astype("float32"), verbose=0)
    found = json.loads(Path("metrics/head/metrics.json").read_text())
    assert found["validation"]["accuracy"] == ((given[:, 0] > 0.5) == manifest.labels[rows]).mean() >= 0.9
    assert found["kept_epoch"] == 5
    assert Path("metrics/head/plots/metrics/train/loss.tsv").is_file()
    assert not Path(".headstart").exists()


def test_a_loss_that_is_no_number_is_told(prepared):
    prepared.set({"head.learning_rate": 1e30, "head.hidden": [8]})
    with pytest.raises(UserError, match=r"^train_head: the loss is not finite .*: got head.learning_rate 1e\+30"):
        train_head.main()
    assert not models.HEAD.exists()


def test_the_test_split_is_not_looked_at(prepared):
    train_head.main()
    before = models.HEAD.read_bytes(), Path("metrics/head/metrics.json").read_bytes()
    array = np.array(features.read_bottleneck())
    array[read_manifest().rows("test")] = np.nan
    np.save(features.FEATURES / "bottleneck.npy", array)
    train_head.main()
    assert (models.HEAD.read_bytes(), Path("metrics/head/metrics.json").read_bytes()) == before


def test_another_seed_is_another_head(prepared):
    heads = set()
    for seed in (1, 2, 1):
        prepared.set({"seed": seed, "head.epochs": 1})
        train_head.main()
        heads.add(models.HEAD.read_bytes())
    assert len(heads) == 2


def test_fewer_training_images_are_all_that_is_looked_at(prepared):
    prepared.set({"train_images": 4})
    train_head.main()
    before = models.HEAD.read_bytes()
    manifest, array = read_manifest(), np.array(features.read_bottleneck())
    array[np.setdiff1d(manifest.rows("train"), training.rows(manifest, 4, 1))] = np.nan
    np.save(features.FEATURES / "bottleneck.npy", array)
    train_head.main()
    assert models.HEAD.read_bytes() == before
    prepared.set({"train_images": None})
    train_head.main()
    assert models.HEAD.read_bytes() != before


def test_early_stopping_stops(prepared):
    prepared.set({"head.epochs": 60, "head.early_stopping": 1, "head.learning_rate": 1.0})
    train_head.main()
    found = json.loads(Path("metrics/head/metrics.json").read_text())
    assert found["kept_epoch"] == found["step"] - 1 < 59


def test_more_classes_make_a_softmax(prepared):
    manifest = read_manifest()
    labels = np.arange(40) % 3
    write_manifest(Manifest(["a", "b", "c"], manifest.paths, labels, manifest.splits, manifest.sha256))
    prepared.set({"head.class_weights": "balanced", "head.epochs": 1})
    train_head.main()
    given = keras.saving.load_model(models.HEAD).predict(np.zeros((2, 2, 2, 3)), verbose=0)
    np.testing.assert_allclose(given.sum(axis=1), 1, rtol=1e-5)
    assert given.shape == (2, 3)
