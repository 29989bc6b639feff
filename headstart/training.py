"""Training epoch by epoch: logged by DVCLive, checkpointed after each epoch, the same bytes after a break."""

import json
import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from dvclive import Live

from headstart import checkpoint, files, params, progress
from headstart.errors import UserError
from headstart.manifest import Manifest
from headstart.runtime import ahead, keras, tf

Logs = dict[str, float]


def rows(manifest: Manifest, count: int | None, seed: int) -> np.ndarray:
    """The rows of the training images that are trained on, ascending: int64 (k,).

    count: images a class; None: the whole training split. Of one seed the smaller sets lie within the larger ones, so
        that two sizes differ by the images that were added.

    Raises UserError where a class has fewer.
    """
    train = manifest.rows("train")
    if count is None:
        return train
    drawn = []
    for label, name in enumerate(manifest.classes):
        pool = train[manifest.labels[train] == label]
        if len(pool) < count:
            raise UserError(
                f"train_images: got {count:,}, but class {name} has {len(pool):,} training images: "
                f"take at most {len(pool):,}, or null for all"
            )
        drawn.append(np.random.default_rng([seed, label, 2]).permutation(pool)[:count])
    return np.sort(np.concatenate(drawn))


def feature_batches(
    take: Callable[[np.ndarray], np.ndarray], shape: tuple[int, ...], order: np.ndarray, batch_size: int
) -> tf.data.Dataset:
    """Batches of `take(rows)`, float16 (n, *shape) read from memory-mapped arrays, as float32, in the `order` given."""

    def read(rows: tf.Tensor) -> tf.Tensor:
        batch = tf.numpy_function(take, [rows], tf.float16)
        return tf.cast(tf.ensure_shape(batch, (None, *shape)), tf.float32)

    return ahead(tf.data.Dataset.from_tensor_slices(order).batch(batch_size).map(read))


def targets(manifest: Manifest, rows: np.ndarray, batch_size: int, class_weights: str = "none") -> tf.data.Dataset:
    """Batches of labels of `rows`, float32 (n, 1), and their weights, float32 (n,).

    class_weights: `none` (all 1), or `balanced`: as if each class had as many of these images
    (`sklearn.utils.class_weight.compute_class_weight`).
    """
    labels = manifest.labels[rows]
    weights = np.ones(len(manifest.classes), "float32")
    if class_weights == "balanced":
        from sklearn.utils.class_weight import compute_class_weight  # takes a second to import

        weights = compute_class_weight("balanced", classes=np.arange(len(weights)), y=labels).astype("float32")
    return tf.data.Dataset.from_tensor_slices((labels[:, None].astype("float32"), weights[labels])).batch(batch_size)


def with_targets(
    inputs: tf.data.Dataset, manifest: Manifest, rows: np.ndarray, batch_size: int, class_weights: str = "none"
) -> tf.data.Dataset:
    """Batches of (inputs, labels, weights) for Keras; `inputs` are batches of the same `rows`."""
    paired = tf.data.Dataset.zip(inputs, targets(manifest, rows, batch_size, class_weights))
    return paired.map(lambda x, target: (x, *target))


def shuffled(rows: np.ndarray, seed: int, epoch: int) -> np.ndarray:
    """`rows` in the order of one epoch, which hangs on the seed and the epoch's number alone."""
    return np.random.default_rng([seed, epoch]).permutation(rows)


def compiled(model: keras.Model, settings: params.Head | params.FineTune, steps: int, at_once: int = 1) -> keras.Model:
    """`model`, compiled for its output: cross-entropy, binary for one unit, sparse categorical for more.

    `label_smoothing`: the share of the target that all classes get in equal parts (Szegedy et al., arXiv:1512.00567,
        2015, section 7).

    steps: batches an epoch. For `warmup` epochs the learning rate rises from 0, without which the first steps of Adam
        would undo some of what was pretrained (Goyal et al., arXiv:1706.02677, 2017, section 2.2); then it stays, or
        with `schedule: cosine` falls to 0 over the rest.
    at_once: batches that Keras takes without coming back to Python in between: 1, or `steps`. The results are the same.
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
        "adam": (keras.optimizers.Adam, {}),
        "adamw": (keras.optimizers.AdamW, {"weight_decay": settings.weight_decay}),
    }[settings.optimizer]
    loss = _loss(model.output.shape[-1], getattr(settings, "label_smoothing", 0.0))
    model.compile(
        make(rate, **extra),
        loss,
        weighted_metrics=[],
        metrics=["accuracy"],
        steps_per_execution=at_once,
        jit_compile=False,
    )
    model.optimizer.build(model.trainable_variables)
    return model


def _loss(units: int, smoothing: float) -> str | Callable:
    if not smoothing:
        return "binary_crossentropy" if units == 1 else "sparse_categorical_crossentropy"
    if units == 1:
        return keras.losses.BinaryCrossentropy(label_smoothing=smoothing)

    # Keras's sparse cross-entropy knows no smoothing.
    def smoothed(labels: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
        classes = keras.ops.one_hot(keras.ops.cast(labels[:, 0], "int32"), units)
        return keras.losses.categorical_crossentropy(classes, outputs, label_smoothing=smoothing)

    return smoothed


def train(
    model: keras.Model,
    batches: Callable[[int], tf.data.Dataset],
    validation: tf.data.Dataset,
    settings: params.Head | params.FineTune,
    stage: str,
    better: Callable[[Logs], tuple] | None,
) -> int:
    """Train a compiled `model` for `settings.epochs`, and leave the weights to keep in it.

    batches: the training batches of an epoch, counted from 0.
    better: what ranks an epoch, the higher the better; the best one's weights are kept, the untrained model's (epoch
        0) among them, and training stops early after `settings.early_stopping` epochs without a better one. None
        keeps the last epoch's.

    Writes DVCLive's logs to `metrics/head/` or `metrics/fine_tune/`. Returns the number of the epoch that was kept.

    Raises UserError where the loss becomes infinite or no number.
    """
    folder = stage.removeprefix("train_")
    file = checkpoint.folder(stage) / "epochs.npz"
    # Validation is against the labels as they are, whatever smoothing training has.
    judge = keras.Model(model.input, model.output)
    judge.compile(loss=_loss(model.output.shape[-1], 0.0), weighted_metrics=[], metrics=["accuracy"], jit_compile=False)
    variables = [*model.variables, *model.optimizer.variables]
    if file.exists():
        history, kept, best = _restore(file, variables)
        print(f"{stage}: going on after epoch {len(history) - 1}")
    else:
        history, kept, best = [_named(judge.evaluate(validation, verbose=0, return_dict=True), "validation")], 0, None
        _save(file, variables, history, kept, best := model.get_weights())
    steps, said = len(batches(0)), 0.0
    with (
        Live(f"metrics/{folder}", save_dvc_exp=False, dvcyaml=None, report=None) as live,
        progress.counter(stage, (settings.epochs - len(history) + 1) * steps, "batches") as advance,
    ):
        for logs in history:
            _log(live, logs)
        while len(history) <= settings.epochs and not _stalled(history, kept, settings.early_stopping, better):
            epoch = len(history)
            start = time.monotonic()
            bar = keras.callbacks.LambdaCallback(
                on_train_batch_end=lambda batch, logs: advance(model.steps_per_execution)
            )
            fitted = model.fit(batches(epoch - 1), shuffle=False, verbose=0, callbacks=[bar])
            logs = _named({name: values[0] for name, values in fitted.history.items()}, "train")
            logs |= _named(judge.evaluate(validation, verbose=0, return_dict=True), "validation")
            if not all(map(math.isfinite, logs.values())):
                raise UserError(
                    f"{stage}: the loss is not finite after epoch {epoch}: got {folder}.learning_rate "
                    f"{settings.learning_rate:g}, take a smaller one"
                )
            history.append(logs)
            if better is None or better(logs) > better(history[kept]):
                kept, best = epoch, model.get_weights()
            _save(file, variables, history, kept, best)
            _log(live, logs)
            if time.monotonic() - said > 2 or epoch == settings.epochs:
                said = time.monotonic()
                numbers = "  ".join(f"{name} {value:.4f}" for name, value in logs.items())
                print(f"{stage}: epoch {epoch}/{settings.epochs}  {numbers}  {said - start:.1f} s", flush=True)
        live.step = len(history) - 1
        live.summary["kept_epoch"] = kept
        live.make_summary()
    model.set_weights(best)
    return kept


def by_loss(logs: Logs) -> tuple:
    """Ranks epochs by validation loss."""
    return (-logs["validation/loss"],)


def by_accuracy(logs: Logs) -> tuple:
    """Ranks epochs by validation accuracy, ties by validation loss."""
    return logs["validation/accuracy"], -logs["validation/loss"]


def _named(logs: Logs, split: str) -> Logs:
    return {f"{split}/{name}": float(value) for name, value in logs.items()}


def _log(live: Live, logs: Logs) -> None:
    for name, value in logs.items():
        live.log_metric(name, value)
    live.next_step()


def _stalled(history: list[Logs], kept: int, patience: int | None, better) -> bool:
    return better is not None and patience is not None and len(history) - 1 - kept >= patience


def _save(file: Path, variables: list, history: list[Logs], kept: int, best: list[np.ndarray]) -> None:
    arrays = {f"variable{number}": variable.numpy() for number, variable in enumerate(variables)}
    arrays |= {f"best{number}": array for number, array in enumerate(best)}
    record = np.array(json.dumps({"history": history, "kept": kept, "best": len(best)}))
    with files.whole(file) as part, part.open("wb") as content:
        np.savez(content, record=record, **arrays)


def _restore(file: Path, variables: list) -> tuple[list[Logs], int, list[np.ndarray]]:
    with np.load(file) as arrays:
        for number, variable in enumerate(variables):
            variable.assign(arrays[f"variable{number}"])
        record = json.loads(str(arrays["record"]))
        return record["history"], record["kept"], [arrays[f"best{number}"] for number in range(record["best"])]
