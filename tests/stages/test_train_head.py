import dataclasses
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import put_array

from headstart.artifacts import features, manifest, models
from headstart.artifacts.manifest import Manifest
from headstart.base.errors import UserError
from headstart.base.runtime import keras
from headstart.training import batches
from stages import train_head

PLAIN = features.BOTTLENECK / "plain.npy"


@pytest.fixture
def prepared(project, monkeypatch):
    """The project with features that tell the classes apart, as the working directory."""
    monkeypatch.chdir(project.path)
    project.set({"head.epochs": 5, "head.learning_rate": 0.05, "head.hidden": [4]})
    rng = np.random.default_rng(1)
    labels = np.arange(40) % 2
    splits = np.array(["train"] * 20 + ["validation"] * 10 + ["test"] * 10)
    names = [f"{number:03}.png" for number in range(40)]
    manifest.write(Manifest(["a", "b"], names, labels, splits, names))
    values = rng.normal(0, 0.5, (40, 2, 2, 3)) + labels[:, None, None, None]
    put_array(PLAIN, values.astype("float16"))
    return project


def test_a_head_is_trained_and_logged(prepared):
    train_head.main()
    head = keras.saving.load_model(models.HEAD)
    table, bottleneck = manifest.read(), features.read_bottleneck()
    rows = table.rows("validation")
    outputs = head.predict(bottleneck[rows].astype("float32"), verbose=0)
    metrics = json.loads(Path("metrics/head/metrics.json").read_text())
    assert metrics["validation"]["accuracy"] == ((outputs[:, 0] > 0.5) == table.labels[rows]).mean() >= 0.9
    assert metrics["kept_epoch"] == 5
    assert Path("metrics/head/plots/metrics/train/loss.tsv").is_file()
    assert not Path(".headstart").exists()


def test_a_loss_that_is_not_finite_is_an_error(prepared):
    prepared.set({"head.learning_rate": 1e30, "head.hidden": [8]})
    with pytest.raises(UserError, match=r"^train_head: the loss is not finite .*: got head.learning_rate 1e\+30"):
        train_head.main()
    assert not models.HEAD.exists()


@pytest.mark.parametrize("solver", [{}, {"head.solver": "logistic", "head.hidden": []}])
def test_the_test_split_is_not_looked_at(prepared, solver):
    prepared.set(solver)
    train_head.main()
    before = models.HEAD.read_bytes(), Path("metrics/head/metrics.json").read_bytes()
    array = np.array(features.read_bottleneck())
    array[manifest.read().rows("test")] = np.nan
    put_array(PLAIN, array)
    train_head.main()
    assert (models.HEAD.read_bytes(), Path("metrics/head/metrics.json").read_bytes()) == before


@pytest.mark.parametrize(("fold", "solver"), [(1, "gradient"), (4, "logistic")])
def test_the_test_fold_is_not_looked_at_and_all_others_are(prepared, fold, solver):
    table = manifest.read()
    manifest.write(dataclasses.replace(table, folds=np.arange(40) // 10 + 1))
    prepared.set({"split.folds": 4, "fold": fold, "head.solver": solver, "head.hidden": [], "head.epochs": 2})
    train_head.main()
    before, array = models.HEAD.read_bytes(), np.array(features.read_bottleneck())
    for damaged in range(1, 5):
        changed = array.copy()
        changed[10 * (damaged - 1) : 10 * damaged] = np.nan if damaged == fold else 0
        put_array(PLAIN, changed)
        train_head.main()
        # Validation images change what the metrics say of them; they train nothing.
        assert (models.HEAD.read_bytes() == before) == (damaged in (fold, fold % 4 + 1))


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
    table, array = manifest.read(), np.array(features.read_bottleneck())
    array[np.setdiff1d(table.rows("train"), batches.rows(table, 4, 1))] = np.nan
    put_array(PLAIN, array)
    train_head.main()
    assert models.HEAD.read_bytes() == before
    put_array(PLAIN, np.nan_to_num(array, nan=1.0))
    prepared.set({"train_images": None})
    train_head.main()
    assert models.HEAD.read_bytes() != before


def test_early_stopping_stops(prepared):
    prepared.set({"head.epochs": 60, "head.early_stopping": 1, "head.learning_rate": 1.0})
    train_head.main()
    metrics = json.loads(Path("metrics/head/metrics.json").read_text())
    assert metrics["kept_epoch"] == metrics["step"] - 1 < 59


def test_more_classes_make_a_softmax(prepared):
    table = manifest.read()
    labels = np.arange(40) % 3
    manifest.write(Manifest(["a", "b", "c"], table.paths, labels, table.splits, table.sha256))
    prepared.set({"head.class_weights": "balanced", "head.epochs": 1})
    train_head.main()
    outputs = keras.saving.load_model(models.HEAD).predict(np.zeros((2, 2, 2, 3)), verbose=0)
    np.testing.assert_allclose(outputs.sum(axis=1), 1, rtol=1e-5)
    assert outputs.shape == (2, 3)


def test_a_head_is_solved_and_logged(prepared):
    prepared.set({"head.solver": "logistic", "head.hidden": []})
    train_head.main()
    head = keras.saving.load_model(models.HEAD)
    table, bottleneck = manifest.read(), features.read_bottleneck()
    metrics = json.loads(Path("metrics/head/metrics.json").read_text())
    assert metrics["kept_epoch"] == 1 and metrics["step"] == 1
    assert metrics["strength"] > 0 and metrics["standardised"] in (True, False)
    for split in ("train", "validation"):
        rows = table.rows(split)
        outputs = head.predict(bottleneck[rows].astype("float32"), verbose=0)[:, 0]
        assert metrics[split]["accuracy"] == pytest.approx(((outputs > 0.5) == table.labels[rows]).mean())
    assert 0 < metrics["train"]["loss"] < metrics["cross_validation"]["loss"] < 0.69
    assert len(Path("metrics/head/plots/metrics/validation/loss.tsv").read_text().splitlines()) == 1 + 2
    assert not Path(".headstart").exists()


@pytest.mark.parametrize("solver", ["logistic", "gradient"])
def test_weights_and_probabilities_of_the_manifest_are_trained_on(prepared, solver):
    prepared.set({"head.solver": solver, "head.hidden": []})
    table, bottleneck = manifest.read(), features.read_bottleneck()[:].astype("float32")

    def answers(**changes):
        manifest.write(replace(table, **changes))
        train_head.main()
        metrics = json.loads(Path("metrics/head/metrics.json").read_text())
        return keras.saving.load_model(models.HEAD).predict(bottleneck, verbose=0)[:, 0], metrics["validation"]["loss"]

    plain, loss = answers()
    np.testing.assert_array_equal(answers(weights=np.full(40, 0.5, "float32"))[0], plain)
    rare = np.where(table.labels == 1, 0.1, 1).astype("float32")
    weighted, _ = answers(weights=rare)
    odds = [np.log(given / (1 - given)).mean() for given in (weighted, plain)]
    assert odds[0] < odds[1] - 0.2, "class 1 counts for less"
    shares = np.where(table.labels == 1, 0.7, 0.3).astype("float32")
    soft, soft_loss = answers(probabilities=np.stack([1 - shares, shares], axis=1))
    assert np.ptp(soft) < np.ptp(plain) and soft_loss > loss, "nothing is certain"


@pytest.mark.parametrize("solver", [{"head.solver": "logistic", "head.hidden": []}, {"head.hidden": []}])
def test_a_head_on_views_learns_from_them(prepared, solver):
    """In the views the classes have changed places: what the images say, most of the views deny."""
    table, array = manifest.read(), np.array(features.read_bottleneck())
    train = table.rows("train")
    swapped = np.where(table.labels[train, None, None, None] == 1, array[train] - 2, array[train] + 2)
    losses = {}
    for views in (False, True):
        if views:
            put_array(features.BOTTLENECK / "views.npy", swapped[:, None].repeat(4, axis=1))
        prepared.set({"head.views": views, "fine_tune.views": 5, "head.epochs": 20, **solver})
        train_head.main()
        losses[views] = json.loads(Path("metrics/head/metrics.json").read_text())["validation"]["loss"]
    assert losses[False] < 0.5 and losses[True] > 0.69


def test_a_head_on_views_needs_those_that_extract_writes(prepared):
    prepared.set({"head.views": True, "fine_tune.views": 2})
    with pytest.raises(UserError, match="^no data/features/bottleneck/views.npy: run `dvc repro extract`$"):
        train_head.main()
