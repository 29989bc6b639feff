"""The runtimes that a classifier runs on: each takes uint8 images and gives what `answering.network` does.

A runtime is imported when it is wanted, and no other one with it.
"""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from headstart.base.errors import Damaged, UserError, doubted
from headstart.base.quiet import standard_error_closed
from headstart.base.threads import THREADS

Run = Callable[[np.ndarray], dict[str, np.ndarray]]
_share: int | None = None  # the cores that a runtime takes; None: all


class Format(NamedTuple):
    """A format that the classifier is exported to.

    `file`: its name in the export's folder; `module`, `package`: of the runtime, as Python imports and as pip installs
    it. `start`: of the file's path, what runs it.
    """

    file: str
    module: str
    package: str
    start: Callable[[Any, Path], Run]


def share_of(cores: int) -> None:
    """Let runtimes that start from now on take so many cores of a machine that others take a share of."""
    global _share
    _share = cores


def start(name: str, path: Path) -> Run:
    """Return what runs the file at `path` of the format `name`: uint8 (n, size, size, 3) to arrays by their names.

    Raises UserError where the runtime is not installed, or the file is missing, damaged or of something else.
    """
    form = FORMATS[name]
    try:
        module = importlib.import_module(form.module)
    except ModuleNotFoundError:
        raise UserError(f"{path} runs on {form.package}, which is not here: pip install {form.package}") from None
    except ImportError as error:
        raise UserError(f"{path} runs on {form.package}, which cannot be imported: {error}") from None
    if not path.exists():
        raise UserError(f"no {path}: run `make export FORMAT={name}`")
    try:
        with doubted(), standard_error_closed():
            return form.start(module, path)
    except Damaged as error:
        raise UserError(f"{path} cannot be run by {form.package} ({error}): run `make export FORMAT={name}`") from None


def _onnx(onnxruntime: Any, path: Path) -> Run:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors: what is less needs nobody's attention
    # Its threads would go on turning between two batches, and take the processor from those that decode the next one.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if _share:
        options.intra_op_num_threads = _share
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return lambda images: dict(zip(names, session.run(names, {"image": images}), strict=True))


def _openvino(openvino: Any, path: Path) -> Run:
    # On processors with bfloat16 it would take that by default, and answer otherwise.
    options = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    if _share:
        options["INFERENCE_NUM_THREADS"] = _share
    model = openvino.Core().compile_model(path, "CPU", options)
    names = [output.get_any_name() for output in model.outputs]
    return lambda images: dict(zip(names, model(images).values(), strict=True))


def _tflite(interpreter: Any, path: Path) -> Run:
    made = interpreter.Interpreter(str(path), num_threads=_share or THREADS)
    run = made.get_signature_runner()
    return lambda images: run(image=images)


def _saved_model(runtime: Any, path: Path) -> Run:
    if _share:
        runtime.share_of(_share)
    loaded = runtime.tf.saved_model.load(str(path))  # its variables live as long as it does
    return lambda images: {name: np.asarray(values) for name, values in loaded.serve(images).items()}


FORMATS = {
    "onnx": Format("classifier.onnx", "onnxruntime", "onnxruntime", _onnx),
    "openvino": Format("classifier.xml", "openvino", "openvino", _openvino),
    "tflite": Format("classifier.tflite", "ai_edge_litert.interpreter", "ai-edge-litert", _tflite),
    "saved_model": Format("saved_model", "headstart.base.runtime", "tensorflow", _saved_model),
}
# Which formats there are in which precision.
PRECISIONS = {"float32": tuple(FORMATS), "int8": ("onnx", "openvino", "tflite")}


def folder_name(form: str, precision: str) -> str:
    """The name of an export's folder: `onnx`, `tflite-int8`."""
    return form if precision == "float32" else f"{form}-{precision}"


# The names of all exports that there can be.
NAMES = [folder_name(form, precision) for precision, forms in PRECISIONS.items() for form in forms]
