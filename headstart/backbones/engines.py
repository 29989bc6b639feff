"""What runs the frozen network: TensorFlow, or OpenVINO, which is optional."""

import queue
from collections.abc import Callable

import numpy as np

from headstart.base import openvino
from headstart.base.errors import UserError
from headstart.base.runtime import keras, tf, traced

AT_A_TIME = 2  # batches that are computed side by side: one computes where the other has to wait
Forward = Callable[[np.ndarray], list[np.ndarray]]


def forward(model: keras.Model, engine: str, precision: str) -> Forward:
    """Returns a function from uint8 images (n, size, size, 3) to a list of the model's outputs, float16.

    Up to AT_A_TIME threads call it side by side. Values beyond float16 become its largest.

    engine: `tensorflow`, or `openvino` (see requirements-openvino.txt).
    precision: `float32`, or, with OpenVINO only, `bfloat16`: faster where the processor has instructions for it.

    Raises UserError for a precision the engine does not support, and for an engine that is not installed.
    """
    if engine == "openvino":
        return _openvino(model, precision)
    if precision != "float32":
        raise UserError(
            f"extract.precision: got {precision}; extract.engine: tensorflow takes float32 only, openvino takes both"
        )
    # One graph per batch under way: oneDNN's convolutions that add a residual keep where it lies in the graph's own
    # memory, and two calls of one graph crash now and then.
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

    # The first call prepares the graph: done here, it does not count in the speed that the progress bar shows.
    rounded(np.zeros((1, *model.input.shape[1:]), np.uint8))
    return rounded


def _openvino(model: keras.Model, precision: str) -> Forward:
    run, largest = openvino.compiled(model, precision, AT_A_TIME), np.finfo(np.float16).max

    def outputs(images: np.ndarray) -> list[np.ndarray]:
        return [np.clip(output, -largest, largest).astype(np.float16) for output in run(images)]

    return outputs
