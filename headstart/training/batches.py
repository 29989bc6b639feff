"""What training takes: which images, in which order, as batches of inputs, labels and weights."""

from collections.abc import Callable

import numpy as np

from headstart.artifacts.manifest import Manifest
from headstart.base.errors import UserError
from headstart.base.runtime import ahead, tf
from headstart.base.streams import rng
from headstart.training import weighting

PIECE, WINDOW = 256, 16_384  # images: neighbours that are read together, and what is shuffled at a time


def rows(manifest: Manifest, count: int | None, seed: int) -> np.ndarray:
    """Returns the rows of the training images that are trained on, ascending: int64 (k,).

    count: images per class; None: the whole training split. With one seed the smaller sets lie within the larger ones,
        so that two sizes differ by the images that were added. Where images are in groups these are drawn one by one,
        for all classes in the same order: fewer images are fewer patients, not fewer images of each.

    Raises UserError where a class has fewer.
    """
    train = manifest.rows("train")
    if count is None:
        return train
    names, group = np.unique(manifest.groups[train], return_inverse=True)
    turn = rng(seed, "subset of groups", 0).permutation(len(names))[group]
    drawn = []
    for label, name in enumerate(manifest.classes):
        mine = manifest.labels[train] == label
        pool = train[mine]
        if len(pool) < count:
            raise UserError(
                f"train_images: got {count:,}, but class {name} has {len(pool):,} training images: "
                f"take at most {len(pool):,}, or null for all"
            )
        if len(names) == len(train):
            order = rng(seed, "subset", label).permutation(len(pool))
        else:
            order = turn[mine].argsort(kind="stable")
        drawn.append(pool[order[:count]])
    return np.sort(np.concatenate(drawn))


def shuffled(rows: np.ndarray, seed: int, epoch: int) -> np.ndarray:
    """Returns `rows` in the order of one epoch (from 0), which depends only on seed and epoch.

    Up to `WINDOW` of them come in any order, each as likely as the next. More are too many for the memory, and one by
    one from all over the disk they would be slow: they are cut into pieces of `PIECE` neighbours, the pieces are
    shuffled, and the images of as many pieces as make a window are. So each epoch mixes other pieces, and a batch is
    drawn from 64 places of the data set.
    """
    draw = rng(seed, "order", epoch)
    if len(rows) <= WINDOW:
        return draw.permutation(rows)
    pieces = [rows[start : start + PIECE] for start in range(0, len(rows), PIECE)]
    mixed = np.concatenate([pieces[number] for number in draw.permutation(len(pieces))])
    return np.concatenate([draw.permutation(mixed[start : start + WINDOW]) for start in range(0, len(mixed), WINDOW)])


def of_features(
    take: Callable[[np.ndarray], np.ndarray],
    shape: tuple[int, ...],
    order: np.ndarray,
    batch_size: int,
    ahead_of: Callable[[np.ndarray], None] | None = None,
) -> tf.data.Dataset:
    """Returns batches of `take(rows)`, float16 (n, *shape) read from files, as float32, in `order`.

    ahead_of: has the rows of a window read from the disk, before they are taken.
    """

    def taken(rows: np.ndarray, start: int) -> np.ndarray:
        if ahead_of and len(order) > WINDOW and start % WINDOW < batch_size:
            ahead_of(order[start : start + WINDOW])
        return take(rows)

    def read(start: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
        batch = tf.numpy_function(taken, [rows, start], tf.float16)
        return tf.cast(tf.ensure_shape(batch, (None, *shape)), tf.float32)

    starts = tf.data.Dataset.range(0, max(1, len(order)), batch_size)
    batches = tf.data.Dataset.from_tensor_slices(order).batch(batch_size)
    return ahead(tf.data.Dataset.zip(starts, batches).map(read))


def with_targets(
    inputs: tf.data.Dataset, manifest: Manifest, rows: np.ndarray, batch_size: int, class_weights: str = "none"
) -> tf.data.Dataset:
    """Returns batches of (inputs, targets, weights) for Keras; `inputs` are batches of the same `rows`.

    Targets are the probabilities of the classes, float32 (n, k), of two classes that of class 1 alone, (n, 1); weights
    are float32 (n,), of mean 1. Both are the manifest's, where it has them.

    class_weights: as `weighting.of` takes it.
    """
    labels = manifest.labels[rows]
    weights = weighting.of(labels, manifest.of(rows, "weights"), class_weights).astype("float32")
    given, count = manifest.of(rows, "probabilities"), len(manifest.classes)
    targets = tf.data.Dataset.from_tensor_slices((labels if given is None else given, weights))

    def paired(x: tf.Tensor, target: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, ...]:
        # Made batch by batch: of all images they would take a gigabyte where there are 10,000 of 25,000.
        probabilities = tf.one_hot(target[0], count) if given is None else target[0]
        return x, probabilities[:, 1:] if count == 2 else probabilities, target[1]

    return tf.data.Dataset.zip(inputs, targets.batch(batch_size)).map(paired)


def mixed(batches: tf.data.Dataset, alpha: float, seed: int, epoch: int) -> tf.data.Dataset:
    """Returns `batches` (of `with_targets`), each a weighted mean of itself and of itself in reverse order (mixup).

    The share of the mean is drawn for each batch from the beta distribution with both parameters `alpha`; it depends
    only on seed and epoch. Inputs that are uint8 are rounded.

    Source: Zhang et al., mixup: Beyond Empirical Risk Minimization, ICLR 2018; of activations: Verma et al., Manifold
    Mixup, ICML 2019.
    """
    shares = rng(seed, "mixup", epoch).beta(alpha, alpha, len(batches)).astype("float32")

    def mix(batch: tuple[tf.Tensor, tf.Tensor, tf.Tensor], share: tf.Tensor) -> tuple[tf.Tensor, ...]:
        inputs, targets, weights = batch

        def mean(values: tf.Tensor) -> tf.Tensor:
            values = tf.cast(values, tf.float32)
            return share * values + (1 - share) * tf.reverse(values, [0])

        together = mean(inputs)
        if inputs.dtype == tf.uint8:
            together = tf.cast(tf.round(together), tf.uint8)
        weight = mean(weights)
        return together, mean(targets * weights[:, None]) / weight[:, None], weight

    return tf.data.Dataset.zip(batches, tf.data.Dataset.from_tensor_slices(shares)).map(mix)
