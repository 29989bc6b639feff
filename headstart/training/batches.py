"""What training takes: which images, in which order, as batches of inputs, labels and weights."""

from collections.abc import Callable

import numpy as np

from headstart.artifacts.manifest import Manifest
from headstart.base.errors import UserError
from headstart.base.runtime import ahead, tf
from headstart.base.streams import rng


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
    """Returns `rows` in the order of one epoch (from 0), which depends only on seed and epoch."""
    return rng(seed, "order", epoch).permutation(rows)


def of_features(
    take: Callable[[np.ndarray], np.ndarray], shape: tuple[int, ...], order: np.ndarray, batch_size: int
) -> tf.data.Dataset:
    """Returns batches of `take(rows)`, float16 (n, *shape) read from memory-mapped arrays, as float32, in `order`."""

    def read(rows: tf.Tensor) -> tf.Tensor:
        batch = tf.numpy_function(take, [rows], tf.float16)
        return tf.cast(tf.ensure_shape(batch, (None, *shape)), tf.float32)

    return ahead(tf.data.Dataset.from_tensor_slices(order).batch(batch_size).map(read))


def with_targets(
    inputs: tf.data.Dataset, manifest: Manifest, rows: np.ndarray, batch_size: int, class_weights: str = "none"
) -> tf.data.Dataset:
    """Returns batches of (inputs, labels, weights) for Keras; `inputs` are batches of the same `rows`.

    Labels are float32 (n, 1), weights float32 (n,).

    class_weights: `none` (all 1), or `balanced`: as if each class had as many of these images
        (`sklearn.utils.class_weight.compute_class_weight`).
    """
    labels = manifest.labels[rows]
    weights = np.ones(len(manifest.classes), "float32")
    if class_weights == "balanced":
        from sklearn.utils.class_weight import compute_class_weight  # takes a second to import

        weights = compute_class_weight("balanced", classes=np.arange(len(weights)), y=labels).astype("float32")
    targets = tf.data.Dataset.from_tensor_slices((labels[:, None].astype("float32"), weights[labels]))
    paired = tf.data.Dataset.zip(inputs, targets.batch(batch_size))
    return paired.map(lambda x, target: (x, *target))
