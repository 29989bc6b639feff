import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import put_array

from headstart.artifacts import features, manifest, models, predictions
from headstart.backbones import cut, folding, registry, weights
from headstart.base import params
from headstart.base.runtime import deterministic, keras, tf
from headstart.classifier import candidates, decision, file, selection
from headstart.images import archive, augment, decoding
from headstart.images.decoding import Square
from headstart.training import again, assembly, batches, choosing, remembering
from stages import extract, fetch, fine_tune, split, train_head

CUT = "conv2_relu"
SETTINGS = {
    "fine_tune.views": "live",
    "fine_tune.cut": CUT,
    "fine_tune.batch_size": 8,
    "augment.rotation": 20.0,
    "augment.flip_horizontal": True,
}


# What no stage before fine_tune reads.
ITS_OWN = {"batch_size", "optimizer", "learning_rate", "epochs", "select_by", "choose_on", "average_flips"}


@pytest.fixture(scope="module")
def made() -> dict[str, Path]:
    """Projects up to `train_head`, by the parameters that they were made with."""
    return {}


@pytest.fixture
def prepared(project, made, tmp_path_factory, monkeypatch):
    """The project, as the working directory, up to `train_head`; with two fixed views if `views` says so."""
    monkeypatch.chdir(project.path)

    def prepare(**values):
        values = SETTINGS | {name.replace("__", "."): value for name, value in values.items()}
        own = {f"fine_tune.{name}" for name in ITS_OWN}
        key = repr(sorted((name, value) for name, value in values.items() if name not in own))
        if key in made:
            shutil.copytree(made[key], project.path, dirs_exist_ok=True)
        project.set(values)
        if key not in made:
            for stage in (fetch, split, extract, train_head):
                stage.main()
            made[key] = Path(shutil.copytree(project.path, tmp_path_factory.mktemp("made") / "project"))
        return project

    return prepare


@pytest.fixture(scope="module")
def networks_of_folds() -> dict[str, dict]:
    """The networks of folds that were trained, by all that they come from."""
    return {}


@pytest.fixture
def folds(networks_of_folds, monkeypatch) -> list[str]:
    """The folds whose networks are asked for, by their names; what an earlier test trained is not trained again."""
    asked = []

    def trained(settings, table, inside, backbone, epochs, build, source, work, trained=choosing._trained):
        asked.append(work)
        sections = settings.fine_tune, settings.augment, settings.head, settings.seed
        key = repr((sections, inside.tolist(), epochs))
        if key not in networks_of_folds:
            given = settings, table, inside, backbone, epochs, build, source, work
            networks_of_folds[key] = trained(*given)
        return networks_of_folds[key]

    monkeypatch.setattr(choosing, "_trained", trained)
    return asked


def assembled():
    """What `fine_tune` trains: on live images, and on cached activations, with layers that both share."""
    settings, table = params.load_stage("fine_tune"), manifest.read()
    backbone = registry.build("TinyNet", 32, weights.fetched()[0])
    head = keras.saving.load_model(models.HEAD, compile=False)
    cut.freeze(backbone, CUT, settings.backbone[0].weights)
    source, train = archive.open_source(settings.dataset.path), table.rows("train")
    return (
        assembly.live(settings, table, train, backbone, head, source),
        assembly.cached(settings, table, train, backbone, head),
    )


def test_cached_and_live_give_the_same_loss_and_gradient_on_the_same_views(prepared):
    prepared(fine_tune__views=2)
    (whole, *_), (tail, *_) = assembled()
    table, settings = manifest.read(), params.load()
    train = table.rows("train")
    pixels = np.stack(
        [decoding.read(Path("data/my_images", table.paths[row]).read_bytes(), Square(32)) for row in train]
    )
    drawn = [augment.transform(settings.augment, 32, table.sha256[row], 1) for row in train]
    labels = (np.arange(len(train)) % 2)[:, None].astype("float32")  # half of them wrong, for a loss to speak of
    plain = features.read_cut()[train].astype("float32")
    view = features.read_cut_views()[:, 0].astype("float32")
    assert np.abs(plain - view).mean() > 0.01
    assert len(whole.trainable_variables) == len(tail.trainable_variables) > 5

    def step(model, inputs):
        with tf.GradientTape() as tape:
            # Dropout aside, as in training: pretrained batch normalisation must not take part in that.
            loss = tf.reduce_mean(keras.losses.binary_crossentropy(labels, model(inputs, training=False)))
        return float(loss), tape.gradient(loss, model.trainable_variables)

    for seen, cached in ((pixels, plain), (np.asarray(augment.warp(pixels, np.stack(drawn))), view)):
        (loss, gradient), (expected, expected_gradient) = step(tail, cached), step(whole, seen)
        assert loss == pytest.approx(expected, rel=2e-3)
        names = {variable.path for variable in whole.trainable_variables}
        assert {variable.path for variable in tail.trainable_variables} == names
        wanted = dict(zip([v.path for v in whole.trainable_variables], expected_gradient, strict=True))
        for variable, got in zip(tail.trainable_variables, gradient, strict=True):
            difference = np.linalg.norm(got - wanted[variable.path])
            # Rounding moves a few of the tail's units across the corner of their ReLU.
            assert difference <= 0.03 * np.linalg.norm(wanted[variable.path]) + 1e-6, variable.path


def test_step_0_is_what_the_head_predicted(prepared):
    prepared(fine_tune__views=2)
    table = manifest.read()
    rows = table.rows("validation")
    head = keras.saving.load_model(models.HEAD, compile=False)
    expected = head.predict(features.read_bottleneck()[rows].astype("float32"), verbose=0)
    assert expected.std() > 0.05
    for model, _, validation in assembled():
        np.testing.assert_allclose(model.predict(validation, verbose=0), expected, atol=3e-3)
        np.testing.assert_array_equal(np.concatenate([label for _, label, _ in validation])[:, 0], table.labels[rows])


def test_an_epoch_draws_each_image_once_and_other_views_in_another_epoch(prepared):
    prepared(fine_tune__views=3, augment__rotation=0.0, augment__flip_horizontal=False)
    marked = np.zeros_like(features.read_cut()) + np.arange(32, dtype="float16")[:, None, None, None]
    views = np.zeros_like(features.read_cut_views()) + np.arange(16, dtype="float16")[:, None, None, None, None]
    put_array(features.CUT / "plain.npy", marked)
    put_array(features.CUT / "views.npy", views + np.array([100, 200], "float16")[:, None, None, None])
    table, settings = manifest.read(), params.load_stage("fine_tune")
    backbone = registry.build("TinyNet", 32, weights.fetched()[0])
    head = keras.saving.load_model(models.HEAD, compile=False)
    train, orders, counts = table.rows("train"), set(), np.zeros(3, int)
    _, epochs, validation = assembly.cached(settings, table, train, backbone, head)
    for epoch in range(4):
        taken = [(int(x[0, 0, 0]), int(y[0])) for xs, ys, _ in epochs(epoch) for x, y in zip(xs, ys, strict=True)]
        # A plain view is marked by its row, an augmented one by its place among the training images.
        rows = [value if value < 100 else int(train[value % 100]) for value, _ in taken]
        assert sorted(rows) == train.tolist()
        assert [label for _, label in taken] == table.labels[rows].tolist()
        counts += np.bincount([value // 100 for value, _ in taken], minlength=3)
        orders.add(tuple(taken))
        assert taken == [
            (int(x[0, 0, 0]), int(y[0])) for xs, ys, _ in epochs(epoch) for x, y in zip(xs, ys, strict=True)
        ]
    assert len(orders) == 4 and counts.min() > 8
    few = batches.rows(table, 3, 1)
    _, epochs, _ = assembly.cached(settings, table, few, backbone, head)
    taken = [int(x[0, 0, 0]) for epoch in range(4) for xs, _, _ in epochs(epoch) for x in xs]
    rows = [value if value < 100 else int(train[value % 100]) for value in taken]
    assert sorted(rows) == sorted(4 * few.tolist()) and max(taken) >= 100
    seen = np.concatenate([xs for xs, _, _ in validation])
    np.testing.assert_array_equal(seen, marked[table.rows("validation")].astype("float32"))


@pytest.mark.parametrize("views", ["live", 2])
def test_the_layers_up_to_the_cut_and_pretrained_statistics_stay(views, prepared):
    prepared(fine_tune__views=views, fine_tune__optimizer="adam", fine_tune__learning_rate=1e-4, fine_tune__epochs=4)
    fine_tune.main()
    metrics = json.loads(Path("metrics/fine_tune/metrics.json").read_text())
    classifier, details = file.load(file.NETWORK)
    assert details.classes == ["blue", "red"] and details.size == 32
    table = manifest.read()
    rows = table.rows("validation")
    pixels = np.stack(
        [decoding.read(Path("data/my_images", table.paths[row]).read_bytes(), Square(32)) for row in rows]
    )
    right = (classifier.predict(pixels, verbose=0)[:, 0] > 0.5) == table.labels[rows]
    accuracy = Path("metrics/fine_tune/plots/metrics/validation/accuracy.tsv").read_text().split()
    assert right.mean() == float(accuracy[2 + 2 * metrics["kept_epoch"] + 1])

    tuned = next(layer for layer in classifier.layers if layer.name.startswith("TinyNet"))
    # A classifier's convolutions hold the normalisation that follows them: the bias is nothing but its statistics.
    start = folding.folded(registry.build("TinyNet", 32, Path("data/weights.h5")))
    frozen = [layer.name for layer in start.layers[: cut.frozen_layers(start, CUT)]]
    assert metrics["kept_epoch"] > 0
    moved = set()
    for before, after in zip(start.layers, tuned.layers, strict=True):
        for weight, now in zip(before.weights, after.weights, strict=True):
            if not np.array_equal(weight, now):
                assert before.name not in frozen and weight.name != "bias", weight.path
                moved.add(before.name)
    assert {"depthwise3", "conv4"} <= moved
    assert not Path(".headstart").exists()


@pytest.mark.parametrize("select_by", ["loss", "accuracy", "balanced_accuracy"])
def test_what_is_delivered_is_chosen_on_the_validation_images(select_by, prepared):
    prepared(
        fine_tune__views=2,
        augment__flip_vertical=True,
        augment__rotation=0.0,
        fine_tune__average_flips=True,
        fine_tune__select_by=select_by,
        fine_tune__optimizer="adam",
        fine_tune__epochs=3,
    )
    fine_tune.main()
    metrics = json.loads(Path("metrics/fine_tune/metrics.json").read_text())
    classifier, details = file.load(file.NETWORK)
    table = manifest.read()
    rows = table.rows("validation")
    pixels = np.stack(
        [decoding.read(Path("data/my_images", table.paths[row]).read_bytes(), Square(32)) for row in rows]
    )
    delivered = metrics["delivered"].replace("halfway_averaged", "averaged").replace("halfway", "fine_tuned")
    assert details.delivered == delivered
    names = ["head", "head_averaged", "fine_tuned", "averaged", "halfway", "halfway_averaged"]
    assert list(metrics["candidates"]) == (names if metrics["kept_epoch"] else names[:2])
    answers = classifier.predict(pixels, verbose=0)
    given = decision.probabilities(answers)
    tempered = decision.tempered(given, selection.temperature(given, table.labels[rows]))
    cost = selection.costs(tempered, table.labels[rows], select_by).mean()
    assert metrics["candidates"][metrics["delivered"]] == pytest.approx(cost, abs=1e-4)
    flipped = classifier.predict(pixels[:, ::-1, ::-1], verbose=0)
    assert (np.abs(answers - flipped).max() < 1e-5) == metrics["delivered"].endswith("averaged")


def test_few_validation_images_leave_the_choice_to_folds_of_all_that_is_not_test(prepared, monkeypatch, capsys):
    weighed = {}

    def weigh(given, labels, *options, weigh=candidates.weigh):
        weighed.update(given, labels=labels)
        return weigh(given, labels, *options)

    monkeypatch.setattr(again, "FOLDS", 2)
    monkeypatch.setattr(candidates, "weigh", weigh)
    prepared(fine_tune__choose_on="folds", fine_tune__views=2, head__solver="logistic")
    fine_tune.main()
    settings, table = params.load_stage("fine_tune"), manifest.read()
    printed = capsys.readouterr()
    assert "fine_tune: the choice is made by 2 folds" in printed.out and "few" not in printed.out
    assert "fold 2 of 2" in printed.err
    dealt = again.folds(table, settings)
    outside = np.concatenate([rows for _, rows in dealt])
    assert sorted(outside) == sorted([*table.rows("train"), *table.rows("validation")])
    assert weighed["labels"].tolist() == table.labels[outside].tolist()
    assert {name: answers.shape for name, answers in weighed.items() if name != "labels"} == dict.fromkeys(
        ["head", "halfway", "fine_tuned"], (len(outside), 1, 2)
    )
    # Each image by a head that was not trained on it.
    inside, rows = dealt[0]
    head = again.head(settings, table, inside)
    expected = head.predict(features.read_bottleneck()[rows].astype("float32"), verbose=0)[:, 0]
    np.testing.assert_allclose(weighed["head"][: len(rows), 0, 1], expected, atol=3e-3)


@pytest.mark.parametrize(("evidence", "names"), [(-2.1, {"head"}), (-1.9, {"head", "halfway", "fine_tuned"})])
def test_folds_do_not_train_what_validation_images_decide_against(
    prepared, folds, monkeypatch, capsys, evidence, names
):
    weighed = []

    def weigh(given, *options, weigh=candidates.weigh):
        weighed.append(given)
        return weigh(given, *options)._replace(evidence=evidence)

    monkeypatch.setattr(again, "FOLDS", 2)
    monkeypatch.setattr(candidates, "weigh", weigh)
    prepared(fine_tune__choose_on="auto", fine_tune__views=2)
    fine_tune.main()
    on_validation, *on_folds = weighed
    assert on_validation.keys() == {"head", "halfway", "fine_tuned"}
    assert [given.keys() for given in on_folds] == [names] * 2
    said = "it does harm on them, by which its epoch was chosen: the folds compare the head alone"
    assert (said in (printed := capsys.readouterr().out)) == (names == {"head"})
    assert "validation images are few: the choice is made by 2 folds" in printed
    metrics = json.loads(Path("metrics/fine_tune/metrics.json").read_text())
    assert metrics["candidates"].keys() == names


@pytest.mark.parametrize(
    ("evidence", "enough", "needed"),
    [(1.9, 99, True), (-1.9, 99, True), (1.9, 5, False), (2.1, 99, False), (-2.1, 99, False)],
)
def test_validation_images_that_leave_it_open_leave_the_choice_to_folds(
    prepared, folds, monkeypatch, capsys, evidence, enough, needed
):
    def weigh(*options, weigh=candidates.weigh):
        return weigh(*options)._replace(evidence=evidence)

    monkeypatch.setattr(again, "FOLDS", 2)
    monkeypatch.setattr(choosing, "FEW", 1)
    monkeypatch.setattr(choosing, "ENOUGH", enough)
    monkeypatch.setattr(candidates, "weigh", weigh)
    prepared(fine_tune__choose_on="auto", fine_tune__views=2)
    fine_tune.main()
    count = len(manifest.read().rows("validation"))
    said = f"fine_tune: {count} validation images leave it open whether it helped: the choice is made by 2 folds"
    assert (said in capsys.readouterr().out) == needed
    assert folds == (["fold 1 of 2", "fold 2 of 2"] if needed else [])


@pytest.mark.parametrize(("evidence", "few", "done"), [(3.1, 10, 2), (-3.1, 10, 2), (3.1, 99, 4), (2.9, 10, 4)])
def test_folds_that_are_not_needed_are_left_out(prepared, folds, monkeypatch, capsys, evidence, few, done):
    weighed = []

    def weigh(given, labels, *options, weigh=candidates.weigh):
        weighed.append(labels)
        return weigh(given, labels, *options)._replace(evidence=evidence if len(weighed) > 1 else 0.0)

    monkeypatch.setattr(choosing, "FEW", few)
    monkeypatch.setattr(candidates, "weigh", weigh)
    prepared(fine_tune__choose_on="auto", fine_tune__views=2)
    fine_tune.main()
    assert len(weighed) == 1 + done == 1 + len(folds) and len(weighed[2]) >= 10 > len(weighed[1])
    assert ("fine_tune: 2 of 4 folds decide it" in capsys.readouterr().out) == (done == 2)
    answers = predictions.parse(predictions.VALIDATION.read_text())
    assert answers.labels.tolist() == weighed[done].tolist()


def test_refit_trains_on_validation_images_too(prepared):
    project = prepared(fine_tune__optimizer="adam", fine_tune__views=2)
    weights = []
    for refit in (False, True):
        project.set({"fine_tune.refit": refit})
        fine_tune.main()
        weights.append(file.load(file.NETWORK)[0].get_weights())
    assert any(not np.array_equal(*pair) for pair in zip(*weights, strict=True))


def test_a_head_that_is_trained_again_can_be_delivered(prepared, capsys):
    prepared(fine_tune__views=2, fine_tune__learning_rate=1e6, fine_tune__refit=True, head__epochs=30)
    fine_tune.main()
    assert "fine_tune: delivers head (validation loss: head 0." in capsys.readouterr().out
    assert file.load(file.NETWORK)[0].output.shape == (None, 1)


def test_a_head_is_trained_again_for_as_many_epochs_as_were_kept(prepared):
    prepared(fine_tune__views=2, head__epochs=40, head__early_stopping=1, head__learning_rate=1.0)
    kept = json.loads(Path("metrics/head/metrics.json").read_text())["kept_epoch"]
    assert models.head_epochs() == kept < 39
    settings, table = params.load_stage("fine_tune"), manifest.read()
    deterministic(settings.seed)
    head = again.head(settings, table, table.rows("train"))
    # On the same images it is the same head.
    for pair in zip(head.get_weights(), models.load_head().get_weights(), strict=True):
        np.testing.assert_allclose(*pair, rtol=1e-3, atol=1e-4)


def test_training_that_does_harm_leaves_the_head_as_it_was(prepared, capsys):
    prepared(fine_tune__views=2, fine_tune__learning_rate=1e6, head__epochs=30)
    fine_tune.main()
    assert "fine_tune: delivers head (validation loss: head 0." in capsys.readouterr().out
    table = manifest.read()
    head = keras.saving.load_model(models.HEAD, compile=False)
    classifier, _ = file.load(file.NETWORK)
    pixels = np.stack([decoding.read(Path("data/my_images", path).read_bytes(), Square(32)) for path in table.paths])
    expected = head.predict(features.read_bottleneck()[:].astype("float32"), verbose=0)
    np.testing.assert_allclose(classifier.predict(pixels, verbose=0), expected, atol=3e-3)


def test_what_is_remembered_is_the_same_by_images_and_after_the_cut(prepared):
    prepared(fine_tune__views=2)
    settings, table = params.load_stage("fine_tune"), manifest.read()
    network = fine_tune.network(settings, table)
    with archive.open_source(settings.dataset.path, None) as source:
        cached, live = (
            remembering.known(settings, table, source, at_cut, network)
            for at_cut in (features.read_cut(table=table), None)
        )
    np.testing.assert_allclose(cached.features.astype("float32"), live.features.astype("float32"), atol=2e-3)
    assert cached.limit == pytest.approx(live.limit, abs=2e-3) and cached.limit > 0
    assert len(cached.features) == len(table.rows("train"))
