import csv
import json
from pathlib import Path

import numpy as np
import pytest

from headstart.artifacts.manifest import Manifest
from headstart.base import checkpoint, params
from headstart.base.runtime import deterministic, keras
from headstart.classifier import decision
from headstart.training import adam, batches, loop
from headstart.training import head as heads

ROOT = Path(__file__).parents[2]
SETTINGS = {
    "pooling": "average", "solver": "gradient", "views": False, "hidden": [8], "dropout": 0.5, "optimizer": "adam",
    "learning_rate": 0.01, "momentum": 0.0,
    "weight_decay": 0.0, "epochs": 4, "batch_size": 4, "class_weights": "none", "early_stopping": None,
}  # fmt: skip
TUNING = {name: SETTINGS[name] for name in params.FineTune.model_fields if name in SETTINGS}
TUNING |= {
    "views": "live",
    "cut": 0,
    "schedule": "constant",
    "warmup": 0,
    "label_smoothing": 0.0,
    "mixup": 0.0,
    "ema": 0.0,
}
TUNING |= {
    "layer_decay": 1.0,
    "average_flips": False,
    "select_by": "accuracy",
    "choose_on": "validation",
    "refit": False,
}


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text((ROOT / "params.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    stages = {name: {"params": ["seed"], "deps": ["params.yaml"]} for name in ("train_head", "fine_tune")}
    Path("dvc.yaml").write_text(json.dumps({"stages": stages}))
    deterministic(1)


def manifest(labels, splits):
    names = [str(number) for number in range(len(labels))]
    return Manifest(["a", "b", "c"][: max(labels) + 1], names, np.array(labels), np.array(splits), names)


class Data:
    """Features of 12 training and 8 validation images; `turned` gives the validation images the other label."""

    def __init__(self, turned=False):
        labels = np.arange(20) % 2
        rng = np.random.default_rng(1)
        self.features = rng.normal(0, 0.3, (20, 2, 2, 3)).astype("float16")
        self.features[..., 0] += (2 * labels - 1)[:, None, None]
        labels[12:] ^= turned
        self.manifest = manifest(labels, ["train"] * 12 + ["validation"] * 8)

    def batches(self, rows):
        inputs = batches.of_features(self.features.__getitem__, (2, 2, 3), rows, 4)
        return batches.with_targets(inputs, self.manifest, rows, 4)

    def epoch(self, number):
        return self.batches(batches.shuffled(self.manifest.rows("train"), 1, number))

    def validation(self):
        return self.batches(self.manifest.rows("validation"))

    def train(self, settings, stage="train_head", better=None, epoch=None, at_once=1):
        head = settings if isinstance(settings, params.Head) else params.Head(**SETTINGS)
        model = loop.compiled(heads.build((2, 2, 3), 2, head), settings, 3, at_once)
        before = model.get_weights()
        kept = loop.train(model, epoch or self.epoch, self.validation(), settings, stage, better)
        return model, before, kept


def head(**values):
    return params.Head(**(SETTINGS | values))


def tuning(**values):
    return params.FineTune(**(TUNING | values))


def curve(path):
    with Path(path).open(encoding="utf-8") as file:
        return {int(row["step"]): float(row[Path(path).stem]) for row in csv.DictReader(file, delimiter="\t")}


def same(first, second):
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_no_dataset_is_tuned_by_a_thread_that_its_end_would_wait_for():
    assert Data().epoch(0).options().autotune.enabled is False


def test_batches_are_float32_in_the_order_given():
    data, rows = Data(), np.array([7, 3, 11, 0, 5, 2])
    inputs, labels, weights = zip(*data.batches(rows), strict=True)
    assert [len(batch) for batch in inputs] == [4, 2]
    assert inputs[0].dtype == "float32"
    np.testing.assert_array_equal(np.concatenate(inputs), data.features[rows].astype("float32"))
    np.testing.assert_array_equal(np.concatenate(labels)[:, 0], data.manifest.labels[rows])
    np.testing.assert_array_equal(np.concatenate(weights), 1)


def test_an_epoch_at_once_is_the_same_as_batch_after_batch(capsys):
    outcomes = []
    for at_once in (1, 3):
        deterministic(1)
        model, _, _ = Data().train(head(), at_once=at_once)
        checkpoint.finish("train_head")
        outcomes.append(
            (model.get_weights(), [Path(file).read_text() for file in sorted(Path("metrics").rglob("*.tsv"))])
        )
        assert "train_head: 12 batches in" in capsys.readouterr().err
    assert same(outcomes[0][0], outcomes[1][0]) and outcomes[0][1] == outcomes[1][1] != []


@pytest.mark.parametrize(
    ("name", "kind", "shows"),
    [
        ("sgd", keras.optimizers.SGD, {"momentum": 0.9}),
        ("rmsprop", keras.optimizers.RMSprop, {"momentum": 0.9}),
        ("adam", adam.Adam, {"weight_decay": None}),
        ("adamw", adam.AdamW, {"weight_decay": 0.25}),
    ],
)
def test_each_optimizer_is_the_one_named(name, kind, shows):
    settings = tuning(optimizer=name, momentum=0.9, weight_decay=0.25, learning_rate=0.125)
    optimizer = loop.compiled(heads.build((2, 2, 3), 2, head()), settings, 3).optimizer
    assert type(optimizer) is kind and float(optimizer.learning_rate) == 0.125
    assert {what: getattr(optimizer, what) for what in shows} == shows


def test_the_cosine_falls_to_0_over_all_epochs_and_constant_does_not():
    for schedule, rates in (("cosine", [0.01, 0.005, 0.0]), ("constant", [0.01] * 3)):
        model = loop.compiled(heads.build((2, 2, 3), 2, head()), tuning(schedule=schedule), steps=3)
        for step, rate in zip((0, 6, 12), rates, strict=True):
            model.optimizer.iterations.assign(step)
            assert float(model.optimizer.learning_rate) == pytest.approx(rate, abs=1e-9)


def test_the_learning_rate_rises_in_the_warmup_and_the_schedule_follows():
    for schedule, last in (("cosine", 0.0), ("constant", 0.01)):
        settings = tuning(schedule=schedule, warmup=2)
        model = loop.compiled(heads.build((2, 2, 3), 2, head()), settings, steps=3)
        for step, rate in ((0, 0.0), (3, 0.005), (6, 0.01), (3 * settings.epochs, last)):
            model.optimizer.iterations.assign(step)
            assert float(model.optimizer.learning_rate) == pytest.approx(rate, abs=1e-9)


def test_the_loss_is_the_cross_entropy_of_the_output():
    data = Data()
    data.manifest = manifest(np.arange(20) % 3, ["train"] * 12 + ["validation"] * 8)
    model = loop.compiled(heads.build((2, 2, 3), 3, head()), head(), 3)
    scores = model.evaluate(data.validation(), verbose=0, return_dict=True)
    rows = data.manifest.rows("validation")
    given = model.predict(data.features[rows].astype("float32"), verbose=0)
    truth = data.manifest.labels[rows]
    assert scores["loss"] == pytest.approx(-np.log(given[np.arange(8), truth]).mean(), rel=1e-4)
    assert scores["accuracy"] == pytest.approx((given.argmax(1) == truth).mean())


@pytest.mark.parametrize("classes", [2, 3])
def test_smoothed_labels_are_trained_on_and_true_ones_validated_against(classes):
    data = Data()
    data.manifest = manifest(np.arange(20) % classes, ["train"] * 12 + ["validation"] * 8)
    settings = tuning(label_smoothing=0.2, epochs=1, optimizer="sgd", learning_rate=1e-9)
    model = loop.compiled(heads.build((2, 2, 3), classes, head(dropout=0.0)), settings, 3)
    loop.train(model, data.epoch, data.validation(), settings, "fine_tune", None)
    for split, smoothing in (("train", 0.2), ("validation", 0.0)):
        rows = data.manifest.rows(split)
        given = decision.probabilities(model.predict(data.features[rows].astype("float32"), verbose=0))
        targets = np.eye(classes)[data.manifest.labels[rows]] * (1 - smoothing) + smoothing / classes
        loss = curve(f"metrics/fine_tune/plots/metrics/{split}/loss.tsv")[1]
        assert loss == pytest.approx(-(targets * np.log(given)).sum(1).mean(), rel=1e-4)
        accuracy = curve(f"metrics/fine_tune/plots/metrics/{split}/accuracy.tsv")[1]
        assert accuracy == pytest.approx((given.argmax(1) == data.manifest.labels[rows]).mean())


def test_without_a_ranking_the_last_epoch_is_kept():
    data = Data(turned=True)
    model, before, kept = data.train(head())
    assert kept == 4 and not same(model.get_weights(), before)
    loss = model.evaluate(data.validation(), verbose=0, return_dict=True)["loss"]
    losses = curve("metrics/head/plots/metrics/validation/loss.tsv")
    assert loss == pytest.approx(losses[max(losses)], rel=1e-5) and loss > min(losses.values())


def test_early_stopping_keeps_the_epoch_of_the_lowest_validation_loss():
    # What helps in training harms in validation: no epoch is as good as the first.
    model, before, kept = Data(turned=True).train(head(epochs=9, early_stopping=2), better=loop.by_loss)
    assert kept == 1 and not same(model.get_weights(), before)
    assert list(curve("metrics/head/plots/metrics/train/loss.tsv")) == [1, 2, 3]
    assert json.loads(Path("metrics/head/metrics.json").read_text())["kept_epoch"] == 1


def test_the_best_of_the_trained_epochs_is_kept_even_where_the_start_was_better():
    """Whether it is delivered is weighed on other evidence: `classifier.selection`."""
    data = Data()
    good, _, _ = data.train(head(epochs=20, dropout=0.0))
    model = loop.compiled(good, tuning(optimizer="sgd", learning_rate=1e4), 3)
    before = model.get_weights()
    arguments = data.validation(), tuning(epochs=2), "fine_tune", loop.by_accuracy
    broken = lambda epoch: data.epoch(epoch).map(lambda x, y, weight: (x, 1 - y, weight))  # noqa: E731
    kept = loop.train(model, broken, *arguments)
    accuracy = curve("metrics/fine_tune/plots/metrics/validation/accuracy.tsv")
    assert kept in (1, 2) and accuracy[0] > accuracy[kept] == max(accuracy[1], accuracy[2])
    assert not same(model.get_weights(), before)


def test_ties_in_accuracy_go_to_the_lower_loss():
    _, _, kept = Data().train(head(dropout=0.0, epochs=12), better=loop.by_accuracy)
    accuracy = curve("metrics/head/plots/metrics/validation/accuracy.tsv")
    losses = curve("metrics/head/plots/metrics/validation/loss.tsv")
    best = [step for step, value in accuracy.items() if value == max(accuracy.values())]
    assert len(best) > 1 and kept == min(best, key=losses.get)
    assert loop.by_accuracy({"validation/accuracy": 0.9, "validation/loss": 0.3}) > loop.by_accuracy(
        {"validation/accuracy": 0.9, "validation/loss": 0.4}
    )


def test_every_epoch_is_logged_by_its_number():
    Data().train(tuning(epochs=3), "fine_tune")
    for name in ("loss", "accuracy"):
        assert list(curve(f"metrics/fine_tune/plots/metrics/train/{name}.tsv")) == [1, 2, 3]
        assert list(curve(f"metrics/fine_tune/plots/metrics/validation/{name}.tsv")) == [0, 1, 2, 3]
    metrics = json.loads(Path("metrics/fine_tune/metrics.json").read_text())
    last = curve("metrics/fine_tune/plots/metrics/validation/loss.tsv")[3]
    assert metrics["validation"]["loss"] == pytest.approx(last) and (metrics["kept_epoch"], metrics["step"]) == (3, 3)


def test_without_an_epoch_the_head_is_kept_and_dvc_finds_its_files():
    model, before, kept = Data().train(tuning(epochs=0), "fine_tune", loop.by_accuracy)
    assert kept == 0 and same(model.get_weights(), before)
    assert Path("metrics/fine_tune/plots").is_dir() and Path("metrics/fine_tune/metrics.json").is_file()


@pytest.mark.parametrize("logged", [True, False])
@pytest.mark.parametrize(("ema", "kept"), [(0.4, 0.4), (0.99, 0.5)])  # over two epochs of a step each at most
def test_an_epoch_ends_with_the_average_of_the_weights_and_the_next_one_goes_on_from_the_last_ones(logged, ema, kept):
    data = Data()

    def after(epochs, ema):
        """The weights after epochs of one step each."""
        deterministic(7)
        model = loop.compiled(heads.build((2, 2, 3), 2, head(dropout=0.0)), tuning(epochs=epochs, ema=ema), 1)
        if logged:
            loop.train(
                model, lambda number: data.epoch(0).take(1), data.validation(), tuning(epochs=epochs), "fine_tune", None
            )
            checkpoint.finish("fine_tune")
        else:
            loop.fit(model, lambda number: data.epoch(0).take(1), epochs, "fit")
        return model.get_weights()

    steps = [after(epochs, 0.0) for epochs in (1, 2, 3)]
    expected = steps[0]
    for step in steps[1:]:
        expected = [kept * mean + (1 - kept) * weights for mean, weights in zip(expected, step, strict=True)]
    for weights, mean in zip(after(3, ema), expected, strict=True):
        np.testing.assert_allclose(weights, mean, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(("optimizer", "ema"), [("sgd", 0.0), ("rmsprop", 0.9), ("adam", 0.0), ("adamw", 0.9)])
def test_after_a_break_the_same_weights_come_out(optimizer, ema, capsys):
    data, settings = Data(), tuning(optimizer=optimizer, momentum=0.5, schedule="cosine", epochs=4, ema=ema)
    deterministic(7)
    whole, _, kept = data.train(settings, "fine_tune", loop.by_accuracy)
    logs = Path("metrics/fine_tune/plots/metrics/validation/loss.tsv").read_bytes()
    checkpoint.finish("fine_tune")

    def breaking(epoch):
        if epoch == 2:
            raise KeyboardInterrupt
        return data.epoch(epoch)

    deterministic(7)
    with pytest.raises(KeyboardInterrupt):
        data.train(settings, "fine_tune", loop.by_accuracy, breaking)
    assert "going on" not in capsys.readouterr().out
    deterministic(7)
    again, _, kept_again = data.train(settings, "fine_tune", loop.by_accuracy)
    assert "fine_tune: going on after epoch 2" in capsys.readouterr().out
    assert same(again.get_weights(), whole.get_weights()) and kept_again == kept
    assert same([v.numpy() for v in again.optimizer.variables], [v.numpy() for v in whole.optimizer.variables])
    assert Path("metrics/fine_tune/plots/metrics/validation/loss.tsv").read_bytes() == logs


def test_other_inputs_start_anew(capsys):
    Data().train(head(epochs=2))
    Path("params.yaml").write_text(Path("params.yaml").read_text().replace("\nseed: 1 ", "\nseed: 2 "))
    Data().train(head(epochs=2))
    assert "going on" not in capsys.readouterr().out


def test_balanced_accuracy_is_the_mean_recall_and_ranks_epochs():
    labels = np.array([0] * 6 + [1, 1])
    for units, outputs in ((1, [[0.2]] * 5 + [[0.9]] + [[0.9], [0.1]]), (3, [[0.7, 0.2, 0.1]] * 7 + [[0.1, 0.8, 0.1]])):
        metric = loop.BalancedAccuracy(units)
        for part in (slice(0, 5), slice(5, 8)):
            metric.update_state(labels[part, None].astype("float32"), np.array(outputs, "float32")[part])
        recalls = (5 / 6, 1 / 2) if units == 1 else (1, 1 / 2)
        assert float(metric.result()) == pytest.approx(np.mean(recalls))
        metric.reset_state()
        metric.update_state(np.zeros((1, 1), "float32"), np.array(outputs[:1], "float32"))
        assert float(metric.result()) == 1
    _, _, kept = Data().train(tuning(epochs=2), "fine_tune", loop.RANKINGS["balanced_accuracy"])
    logged = curve("metrics/fine_tune/plots/metrics/validation/balanced_accuracy.tsv")
    assert list(logged) == [0, 1, 2] and logged[kept] == max(logged.values())
