"""What runs the frozen network: TensorFlow, or OpenVINO, which is optional."""

import queue
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from headstart.errors import UserError
from headstart.runtime import keras, tf

AT_A_TIME = 2  # batches that are computed side by side
Forward = Callable[[np.ndarray], list[np.ndarray]]


def forward(model: keras.Model, engine: str, precision: str) -> Forward:
    """A function from uint8 images (n, size, size, 3) to the model's outputs, float16; any thread may call it.

    engine: `tensorflow`, or `openvino` (see requirements-openvino.txt).
    precision: `float32`, or, of OpenVINO alone, `bfloat16`: faster where the processor has instructions for it.

    Raises UserError for a precision that the engine has not, and for an engine that is not installed.
    """
    if engine == "openvino":
        return _openvino(model, precision)
    if precision != "float32":
        raise UserError(f"extract.precision: got {precision}; extract.engine: tensorflow takes float32, openvino both")
    # A graph for each of the batches that `in_turn` has under way: oneDNN's convolutions that add a residual keep where
    # it lies in the graph's own memory, and two calls of one graph crash now and then.
    graphs = queue.SimpleQueue()
    for _ in range(AT_A_TIME):
        graphs.put(_rounded(model))

    def outputs(images: np.ndarray) -> list[np.ndarray]:
        graph = graphs.get()
        try:
            return [output.numpy() for output in graph(images)]
        finally:
            graphs.put(graph)

    return outputs


def _rounded(model: keras.Model) -> Callable[[np.ndarray], list[tf.Tensor]]:
    graph = traced(model).get_concrete_function()

    @tf.function(input_signature=[tf.TensorSpec(model.input.shape, tf.uint8)])
    def rounded(images):
        return [tf.saturate_cast(output, tf.float16) for output in graph(images)]

    # The first call makes the graph ready: not in the midst of the work, which tells how fast it is.
    rounded(np.zeros((1, *model.input.shape[1:]), np.uint8))
    return rounded


def traced(model: keras.Model) -> tf.types.experimental.PolymorphicFunction:
    """`model` as one graph, made at the first call: any number of uint8 images to the list of its outputs."""

    @tf.function(input_signature=[tf.TensorSpec(model.input.shape, tf.uint8)])
    def run(images):
        return keras.tree.flatten(model(images, training=False))

    return run


def _openvino(model: keras.Model, precision: str) -> Forward:
    # Where this can be imported, OpenVINO tells Intel and Google of each conversion, without having asked anybody.
    sys.modules["openvino_telemetry"] = None
    try:
        import openvino
    except ModuleNotFoundError:
        raise UserError(
            "extract.engine: got openvino, which is not installed: pip install -r requirements-openvino.txt, "
            "or take tensorflow"
        ) from None
    hint = {"float32": "f32", "bfloat16": "bf16"}[precision]
    # A stream for each of the two batches that `in_turn` has under way: neither waits for the threads of the other.
    options = {"INFERENCE_PRECISION_HINT": hint, "NUM_STREAMS": AT_A_TIME}
    graph = traced(model).get_concrete_function()
    compiled = openvino.Core().compile_model(openvino.convert_model(graph), "CPU", options)
    largest, own = np.finfo(np.float16).max, threading.local()

    def outputs(images: np.ndarray) -> list[np.ndarray]:
        if not hasattr(own, "request"):  # its results lie in memory that its next call writes to
            own.request = compiled.create_infer_request()
        results = own.request.infer([np.asarray(images)])
        return [np.clip(results[i], -largest, largest).astype(np.float16) for i in range(len(model.outputs))]

    return outputs


def in_turn(forward: Forward, batches: Iterable[np.ndarray]) -> Iterator[list[np.ndarray]]:
    """What `forward` gives for each batch, in their order, two at a time: one computes where the other has to wait."""
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        waiting: deque[Future] = deque()
        for batch in batches:
            waiting.append(pool.submit(forward, batch))
            if len(waiting) > AT_A_TIME:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
