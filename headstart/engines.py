"""What runs the frozen network: TensorFlow, or OpenVINO, which is optional."""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from headstart.errors import UserError
from headstart.runtime import keras, tf

Forward = Callable[[np.ndarray], list[np.ndarray]]


def forward(model: keras.Model, engine: str, precision: str) -> Forward:
    """A function from uint8 images (n, size, size, 3) to the model's outputs, float16; any thread may call it.

    engine: `tensorflow`, or `openvino` (see requirements-openvino.txt).
    precision: `float32`, or, of OpenVINO alone, `bfloat16`: faster where the processor has instructions for it.

    Raises UserError for a precision that the engine has not, and for an engine that is not installed.
    """

    @tf.function(input_signature=[tf.TensorSpec(model.input.shape, tf.uint8)])
    def run(images):
        return keras.tree.flatten(model(images, training=False))

    if engine == "tensorflow":
        if precision != "float32":
            raise UserError(f"extract.precision: got {precision}; extract.engine: tensorflow takes float32")

        @tf.function
        def rounded(images):
            return [tf.saturate_cast(output, tf.float16) for output in run(images)]

        return lambda images: [output.numpy() for output in rounded(images)]
    try:
        import openvino
    except ModuleNotFoundError:
        raise UserError(
            "extract.engine: got openvino, which is not installed: pip install -r requirements-openvino.txt, "
            "or take tensorflow"
        ) from None
    hint = {"float32": "f32", "bfloat16": "bf16"}[precision]
    network = openvino.convert_model(run.get_concrete_function())
    compiled = openvino.Core().compile_model(network, "CPU", {"INFERENCE_PRECISION_HINT": hint})
    largest, alone = np.finfo(np.float16).max, threading.Lock()

    def outputs(images: np.ndarray) -> list[np.ndarray]:
        with alone:  # the results lie in memory that the next call writes to
            results = compiled(np.asarray(images))
            return [np.clip(results[i], -largest, largest).astype(np.float16) for i in range(len(model.outputs))]

    return outputs


def in_turn(forward: Forward, batches: Iterable[np.ndarray]) -> Iterator[list[np.ndarray]]:
    """What `forward` gives for each batch, in their order, two at a time: one computes where the other has to wait."""
    with ThreadPoolExecutor(2) as pool:
        waiting: deque[Future] = deque()
        for batch in batches:
            waiting.append(pool.submit(forward, batch))
            if len(waiting) > 2:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
