"""TensorFlow and Keras, imported in one place: without start-up noise, with seeds and determinism.

Every module imports `keras` and `tf` from here, so that neither can be imported before this is set up.
"""

import contextlib
import gc
import logging
import os
import platform
import sys
from collections.abc import Iterator

from headstart.base.quiet import standard_error_closed

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"
# TensorFlow takes oneDNN's kernels by itself only where the processor has the newest of AVX-512's instructions. With
# AVX2 alone they extract 1.1 to 2.2 times as fast, and train 1.5 to 1.7 times.
if platform.machine() in ("x86_64", "AMD64"):
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")


@contextlib.contextmanager
def _hidden(*names: str) -> Iterator[None]:
    # Keras imports packages that it has wrappers for: a second of each start, for nothing that is used here.
    absent = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    # What an import makes stays; to look for garbage in a million objects again and again takes a sixth of its time.
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


# TensorFlow's libraries log from C++ before they read TF_CPP_MIN_LOG_LEVEL.
with standard_error_closed(), _hidden("matplotlib", "sklearn"), _uncollected():
    import keras
    import tensorflow as tf

tf.get_logger().setLevel(logging.ERROR)
# A GPU's memory is taken as it is needed, so that several processes can share one. All is computed in float32: mixed
# precision is never switched on. Batch sizes are parameters: extract.batch_size, head.batch_size, fine_tune.batch_size.
for _gpu in tf.config.list_physical_devices("GPU"):
    tf.config.experimental.set_memory_growth(_gpu, True)

__all__ = ["ahead", "deterministic", "keras", "share_of", "tf", "traced"]


def deterministic(seed: int) -> None:
    """Seed Python, NumPy and TensorFlow with `seed`, and let TensorFlow use only ops that give the same bits again."""
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()


def share_of(cores: int) -> None:
    """Let TensorFlow take so many cores of a machine that others take a share of; before it computes anything.

    It splits its work into two at least, also where these share a core: with one it rounds differently.
    """
    tf.config.threading.set_intra_op_parallelism_threads(max(2, cores))
    tf.config.threading.set_inter_op_parallelism_threads(max(2, cores))


def ahead(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Returns `dataset` with two elements prepared ahead, in parallel with the work on the one before them."""
    # The thread that tunes a dataset wakes up after 10 ms, 20 ms, 40 ms and so on, and the end of the dataset sometimes
    # waits for it: epochs of 12 s lasted 21 s. There is nothing to tune here.
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.prefetch(2).with_options(options)


def traced(model: keras.Model) -> tf.types.experimental.PolymorphicFunction:
    """Returns `model` as one graph, made at the first call: any number of its inputs to the list of its outputs."""

    @tf.function(input_signature=[tf.TensorSpec(model.input.shape, model.input.dtype)])
    def run(inputs):
        return keras.tree.flatten(model(inputs, training=False))

    return run
