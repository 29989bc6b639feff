"""Training epoch by epoch: logged by DVCLive, checkpointed after each epoch, the same bytes after a break."""

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from dvclive import Live

from headstart.base import checkpoint, files, params, progress, saved
from headstart.base.errors import UserError
from headstart.base.runtime import keras, tf
from headstart.base.terminal import say
from headstart.training import adam, rates

Logs = dict[str, float]
Better = Callable[[Logs], tuple]  # what ranks epochs: the higher, the better


@dataclass
class History:
    """The epochs so far. `epochs`: the logs of each, from 0, the model as it was; `kept`: the number of the best one
    after that (without a ranking: of the last one); `best`: its weights.
    """

    epochs: list[Logs]
    kept: int
    best: list[np.ndarray]

    def add(self, logs: Logs, model: keras.Model, better: Better | None) -> None:
        """Take down one more epoch, after which `model` has its weights."""
        # The model as it was is weighed against the best epoch on other evidence: `classifier.selection`.
        if better is None or self.kept == 0 or better(logs) > better(self.epochs[self.kept]):
            self.kept, self.best = len(self.epochs), model.get_weights()
        self.epochs.append(logs)

    def stalled(self, patience: int | None, better: Better | None) -> bool:
        """Whether `patience` epochs have passed without a better one."""
        return better is not None and patience is not None and len(self.epochs) - 1 - self.kept >= patience


def compiled(model: keras.Model, settings: params.Head | params.FineTune, steps: int, at_once: int = 1) -> keras.Model:
    """Returns `model`, compiled for its output: cross-entropy, binary for one unit, categorical for more.

    `label_smoothing`: the fraction of the target that is spread evenly over all classes (Szegedy et al.,
        arXiv:1512.00567, 2015, section 7).

    `ema`: the model ends each epoch with the moving average of its weights, over some 1 / (1 - ema) steps, in which the
        noise of single steps cancels out (Polyak and Juditsky, SIAM Journal on Control and Optimization 30, 1992); over
        two epochs at most, or the average of a few steps would still be what training began with.

    steps: batches per epoch. For `warmup` epochs the learning rate rises from 0, without which the first steps of Adam
        would undo some of what was pretrained (Goyal et al., arXiv:1706.02677, 2017, section 2.2); then it stays, or
        with `schedule: cosine` falls to 0 over the rest.
    `layer_decay`: each layer's rate falls with its distance from the head (`rates.factors`).

    at_once: batches that Keras runs without coming back to Python in between: 1, or `steps`. The results are the same.
    """
    rate = settings.learning_rate
    cosine, rising = getattr(settings, "schedule", None) == "cosine", round(steps * getattr(settings, "warmup", 0))
    if cosine or rising:
        rise = {"warmup_target": rate, "warmup_steps": rising} if rising else {}
        rate = keras.optimizers.schedules.CosineDecay(
            0.0 if rising else rate, max(1, steps * settings.epochs - rising), alpha=0.0 if cosine else 1.0, **rise
        )
    make, extra = {
        "sgd": (keras.optimizers.SGD, {"momentum": settings.momentum}),
        "rmsprop": (keras.optimizers.RMSprop, {"momentum": settings.momentum}),
        "adam": (adam.Adam, {}),
        "adamw": (adam.AdamW, {"weight_decay": settings.weight_decay}),
    }[settings.optimizer]
    if ema := getattr(settings, "ema", 0.0):
        extra |= {"use_ema": True, "ema_momentum": min(ema, 1 - 1 / (2 * steps))}
    loss = _loss(model.output.shape[-1], getattr(settings, "label_smoothing", 0.0))
    if (decay := getattr(settings, "layer_decay", 1.0)) < 1:
        make = rates.layered(make, rates.factors(model, decay))
    model.compile(
        make(rate, **extra),
        loss,
        weighted_metrics=[],
        metrics=[accuracy],
        steps_per_execution=at_once,
        jit_compile=False,
    )
    model.optimizer.build(model.trainable_variables)
    return model


def _loss(units: int, smoothing: float) -> keras.losses.Loss:
    kind = keras.losses.BinaryCrossentropy if units == 1 else keras.losses.CategoricalCrossentropy
    return kind(label_smoothing=smoothing)


def accuracy(y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
    """Whether the likeliest class is that of the target, which may be mixed of several: bool (n,)."""
    return keras.ops.equal(_classes(y_true), _classes(y_pred))


def _classes(probabilities: tf.Tensor) -> tf.Tensor:
    if probabilities.shape[1] == 1:
        return keras.ops.cast(probabilities[:, 0] >= 0.5, "int32")
    return keras.ops.argmax(probabilities, axis=1)


def train(
    model: keras.Model,
    batches: Callable[[int], tf.data.Dataset],
    validation: tf.data.Dataset,
    settings: params.Head | params.FineTune,
    stage: str,
    better: Better | None,
) -> int:
    """Train a compiled `model` for `settings.epochs`, and leave the weights to keep in it.

    batches: the training batches of an epoch, counted from 0.
    better: what ranks an epoch; the best one's weights are kept (the model as it was, epoch 0, is none of them), and
        training stops early after `settings.early_stopping` epochs without a better one. None keeps the last epoch's.

    Writes DVCLive's logs to `metrics/head/` or `metrics/fine_tune/`. Returns the number of the epoch that was kept.
    Raises UserError where the loss becomes infinite or is not a number.
    """
    file = checkpoint.folder(stage) / "epochs.npz"
    judge = _judge(model, [BalancedAccuracy(model.output.shape[-1])] if better is by_balanced_accuracy else [])
    history = _restore(file, model)
    if history:
        say(f"{stage}: going on after epoch {len(history.epochs) - 1}")
    else:
        history = History([_judged(judge, validation)], 0, model.get_weights())
        _save(file, model, history)
    steps, printed = len(batches(0)), 0.0
    with (
        _live(stage) as live,
        progress.counter(stage, (settings.epochs - len(history.epochs) + 1) * steps, "batch") as advance,
    ):
        for logs in history.epochs:
            _log(live, logs)
        while len(history.epochs) <= settings.epochs and not history.stalled(settings.early_stopping, better):
            start, epoch = time.monotonic(), len(history.epochs)
            logs, weights = _fit(model, batches(epoch - 1), advance)
            logs |= _judged(judge, validation)
            _refuse_infinite(logs, stage, epoch, settings.learning_rate)
            history.add(logs, model, better)
            _assign(model, weights)
            _save(file, model, history)
            _log(live, logs)
            progress.log(work=stage, epoch=epoch, seconds=time.monotonic() - start)
            if time.monotonic() - printed > 2 or epoch == settings.epochs:
                printed = time.monotonic()
                say(f"{stage}: epoch {epoch}/{settings.epochs}  {_line(logs)}  {printed - start:.1f} s")
        live.step = len(history.epochs) - 1
        live.summary["kept_epoch"] = history.kept
        live.make_summary()
    model.set_weights(history.best)
    return history.kept


def fit(model: keras.Model, batches: Callable[[int], tf.data.Dataset], epochs: int, work: str) -> None:
    """Train a compiled `model` for `epochs` and show how far it is; nothing is logged, and the last weights, or their
    average, stay.

    batches: the training batches of an epoch, counted from 0. work: names it.
    """
    with progress.counter(work, epochs * len(batches(0)), "batch") as advance:
        weights = []
        for epoch in range(epochs):
            _assign(model, weights)
            _, weights = _fit(model, batches(epoch), advance)


def solved(
    model: keras.Model,
    solution: list[np.ndarray],
    batches: tf.data.Dataset,
    validation: tf.data.Dataset,
    stage: str,
    facts: dict[str, Any],
) -> None:
    """Give `model` the weights `solution`, and log it as `train` does: epoch 0 is as it was, epoch 1 the solution.

    batches: the training images, for the metrics alone. facts: what the summary says of the solution.
    """
    judge = _judge(model)
    with _live(stage) as live:
        _log(live, _judged(judge, validation))
        model.set_weights(solution)
        logs = _named(judge.evaluate(batches, verbose=0, return_dict=True), "train") | _judged(judge, validation)
        _log(live, logs)
        live.step = 1
        live.summary |= {"kept_epoch": 1, **facts}
        live.make_summary()
    say(f"{stage}: {_line(logs)}")


def add_facts(stage: str, facts: dict[str, Any]) -> None:
    """Add `facts`, of what came after the training, to the metrics.json of a stage."""
    path = _folder(stage) / "metrics.json"
    content = json.loads(path.read_text(encoding="utf-8")) | facts
    files.write_text(path, json.dumps(content, indent=4))


def by_loss(logs: Logs) -> tuple:
    """Ranks epochs by validation loss."""
    return (-logs["validation/loss"],)


def by_accuracy(logs: Logs) -> tuple:
    """Ranks epochs by validation accuracy, ties by validation loss."""
    return logs["validation/accuracy"], -logs["validation/loss"]


def by_balanced_accuracy(logs: Logs) -> tuple:
    """Ranks epochs by the mean of the classes' recalls on the validation images, ties by validation loss."""
    return logs["validation/balanced_accuracy"], -logs["validation/loss"]


RANKINGS = {"loss": by_loss, "accuracy": by_accuracy, "balanced_accuracy": by_balanced_accuracy}


def _folder(stage: str) -> Path:
    return Path("metrics", stage.removeprefix("train_"))


def _live(stage: str) -> Live:
    return Live(str(_folder(stage)), save_dvc_exp=False, dvcyaml=None, report=None)


def _fit(model: keras.Model, batches: tf.data.Dataset, advance: Callable[[int], None]) -> tuple[Logs, list[np.ndarray]]:
    """Train for one epoch. Returns the logs and, where the model is left with an average, the weights to go on from."""
    weights = []

    def keep(epoch: int, logs: Logs) -> None:
        if model.optimizer.use_ema:
            weights.extend(variable.numpy() for variable in model.trainable_variables)

    bar = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: advance(model.steps_per_execution), on_epoch_end=keep
    )
    fitted = model.fit(batches, shuffle=False, verbose=0, callbacks=[bar])
    return _named({name: values[0] for name, values in fitted.history.items()}, "train"), weights


def _assign(model: keras.Model, weights: list[np.ndarray]) -> None:
    """Give the model the weights that `_fit` returned; nothing where it returned none."""
    for variable, array in zip(model.trainable_variables, weights, strict=bool(weights)):
        variable.assign(array)


class BalancedAccuracy(keras.metrics.Metric):
    """The mean recall of the classes that there are images of; `units`: of the model's output."""

    def __init__(self, units: int):
        super().__init__(name="balanced_accuracy")
        self._classes = max(units, 2)
        self._counts = self.add_variable((2, self._classes), initializer="zeros", name="counts")  # right, all

    def update_state(self, y_true: tf.Tensor, y_pred: tf.Tensor, sample_weight: tf.Tensor | None = None) -> None:
        labels = _classes(y_true)
        right = keras.ops.cast(accuracy(y_true, y_pred), "float32")[:, None]
        seen = keras.ops.one_hot(labels, self._classes)
        if sample_weight is not None:
            seen *= sample_weight[:, None]
        self._counts.assign_add(keras.ops.stack([keras.ops.sum(right * seen, axis=0), keras.ops.sum(seen, axis=0)]))

    def result(self) -> tf.Tensor:
        right, seen = self._counts[0], self._counts[1]
        recalls = keras.ops.where(seen > 0, right / keras.ops.maximum(seen, 1), 0)
        return keras.ops.sum(recalls) / keras.ops.sum(keras.ops.cast(seen > 0, "float32"))


def _judge(model: keras.Model, extra: Sequence[keras.metrics.Metric] = ()) -> keras.Model:
    """The same network, compiled for validation: against the labels as they are, whatever smoothing training has."""
    judge = keras.Model(model.input, model.output)
    judge.compile(loss=_loss(model.output.shape[-1], 0.0), weighted_metrics=[accuracy, *extra], jit_compile=False)
    return judge


def _judged(judge: keras.Model, validation: tf.data.Dataset) -> Logs:
    return _named(judge.evaluate(validation, verbose=0, return_dict=True), "validation")


def _refuse_infinite(logs: Logs, stage: str, epoch: int, rate: float) -> None:
    if not all(map(math.isfinite, logs.values())):
        raise UserError(
            f"{stage}: the loss is not finite after epoch {epoch}: got {stage.removeprefix('train_')}.learning_rate "
            f"{rate:g}, take a smaller one"
        )


def _named(logs: Logs, split: str) -> Logs:
    return {f"{split}/{name}": float(value) for name, value in logs.items()}


def _line(logs: Logs) -> str:
    return "  ".join(f"{name} {value:.4f}" for name, value in logs.items())


def _log(live: Live, logs: Logs) -> None:
    for name, value in logs.items():
        live.log_metric(name, value)
    live.next_step()


def _variables(model: keras.Model) -> list:
    return [*model.variables, *model.optimizer.variables]


def _save(file: Path, model: keras.Model, history: History) -> None:
    arrays = {f"variable{number}": variable.numpy() for number, variable in enumerate(_variables(model))}
    arrays |= {f"best{number}": array for number, array in enumerate(history.best)}
    saved.write_arrays(file, {"epochs": history.epochs, "kept": history.kept, "best": len(history.best)}, arrays)


def _restore(file: Path, model: keras.Model) -> History | None:
    """The epochs so far, whose variables are given to the model; None where there are none."""
    found = saved.read_arrays(file)
    if found is None:
        return None
    record, arrays = found
    for number, variable in enumerate(_variables(model)):
        variable.assign(arrays[f"variable{number}"])
    best = [arrays[f"best{number}"] for number in range(record["best"])]
    return History(record["epochs"], record["kept"], best)
