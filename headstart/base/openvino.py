"""OpenVINO, which is optional: it runs a network of Keras's faster on the processor than TensorFlow does."""

import sys
import tempfile
import threading
from collections.abc import Callable

import numpy as np

from headstart.base.errors import UserError
from headstart.base.runtime import keras, tf, traced


def compiled(
    model: keras.Model, precision: str = "float32", at_a_time: int = 1
) -> Callable[[np.ndarray], list[np.ndarray]]:
    """Returns a function from a batch of what the model takes, such as uint8 images, to its outputs, float32.

    precision: `float32`, or `bfloat16`: faster where the processor has instructions for it. at_a_time: how many threads
    may call it side by side. What it returns lies in memory that the next call of the same thread writes to.

    Raises UserError where OpenVINO is not installed.
    """
    sys.modules["openvino_telemetry"] = None  # Disable OpenVINO's telemetry, which is on by default.
    try:
        import openvino
    except ModuleNotFoundError:
        raise UserError(
            "extract.engine: got openvino, which is not installed: pip install -r requirements-openvino.txt, "
            "or take tensorflow"
        ) from None
    hint = {"float32": "f32", "bfloat16": "bf16"}[precision]
    # One stream per thread: neither waits for the threads of the other.
    options = {"INFERENCE_PRECISION_HINT": hint, "NUM_STREAMS": at_a_time}
    # In a process that was given some of the cores, as those of a cluster are.
    if threads := tf.config.threading.get_intra_op_parallelism_threads():
        options["INFERENCE_NUM_THREADS"] = threads
    graph, module = traced(model).get_concrete_function(), tf.Module()
    module.kept = list(graph.variables)
    # By way of a file: `openvino.convert_model` takes the graph itself, but fails on Python 3.13.
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(module, folder, signatures=graph)
        network = openvino.Core().compile_model(folder, "CPU", options)
    own, names = threading.local(), [f"output_{number}" for number in range(len(model.outputs))]

    def outputs(images: np.ndarray) -> list[np.ndarray]:
        if not hasattr(own, "request"):
            own.request = network.create_infer_request()
        results = own.request.infer([np.asarray(images)])
        return [results[name] for name in names]

    return outputs
