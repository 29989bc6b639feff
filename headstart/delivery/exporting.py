"""The classifier in the formats of other runtimes, by Keras's own export: a folder each, with all it takes to run."""

import itertools
import json
import shutil
import tempfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from headstart.base import files
from headstart.base.errors import UserError, text_of
from headstart.base.quiet import standard_error_closed
from headstart.base.runtime import keras, tf
from headstart.base.terminal import say
from headstart.classifier import answering
from headstart.classifier.details import Details, fields
from headstart.delivery import runtimes, sample
from headstart.delivery.classifier import ABOUT, PROGRAMS
from headstart.delivery.runtimes import FORMATS
from headstart.images import decoding

EXAMPLES = Path(__file__).parent / "examples"
KEPT = ("probabilities", "distance")  # in int8: heat of 8 bits is worth nothing, nor is the order of the nearest


def write(
    folder: Path, classifier: keras.Model, details: Details, sha256: str, form: str, images: np.ndarray | None
) -> None:
    """Write an export into `folder`, which is new or empty.

    form: of `FORMATS`. sha256: of the classifier's file. images: training images, uint8 (n, size, size, 3), to find the
    ranges of an export in int8 with; None: one in float32. Raises UserError where what writes it is not installed, and
    where it fails, as for a network that the format has no words for.
    """
    if form != "saved_model" and (kinds := _of_kerashub(classifier)):
        raise UserError(
            f"the classifier holds layers of KerasHub ({', '.join(kinds)}), which no converter to {form} knows: take "
            "saved_model, or another backbone"
        )
    network = answering.network(classifier, details)
    photo = sample.photo()
    pixels = decoding.read(photo, details.square, details.value_range)[None]
    expected = np.asarray(network(pixels)["probabilities"])
    if images is not None:
        network = keras.Model(network.input, {name: network.output[name] for name in KEPT if name in network.output})
        network(pixels)  # Keras exports what has been called
    about = fields(details) | {"format": form, "precision": "float32" if images is None else "int8"}
    about |= {"classifier": sha256, "outputs": sorted(network.output)}
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FORMATS[form].file
    with warnings.catch_warnings(), standard_error_closed():
        warnings.simplefilter("ignore")  # for those who write converters
        try:
            WRITERS[form](network, path, about, images)
        except ModuleNotFoundError as error:
            raise UserError(
                f"an export to {form} takes {error.name}: pip install -r requirements-export.txt, or make export "
                f"FORMAT={form}, which does that"
            ) from None
        except (OSError, MemoryError):  # a full disk, which has a line of its own
            raise
        except Exception as error:  # of a converter's own, which raise all kinds
            said = f"the classifier cannot be written for {form} in {about['precision']} ({text_of(error)})"
            raise UserError(f"{said}: take another format of {', '.join(WRITERS)}, or another backbone") from error
    about["files"] = {str(of.relative_to(folder)): files.sha256(of) for of in sorted(folder.rglob("*")) if of.is_file()}
    for name, source in zip(PROGRAMS, (f"{form}.py", "contract.py"), strict=True):
        files.write_text(folder / name, (EXAMPLES / source).read_text(encoding="utf-8"))
    about["programs"] = {name: files.sha256(folder / name) for name in PROGRAMS}
    (folder / sample.NAME).write_bytes(photo)
    if images is not None:  # in 8 bits it gives something else
        expected = runtimes.start(form, path)(pixels)["probabilities"]
    about["example"] = {"file": sample.NAME, "probabilities": [round(float(value), 6) for value in expected[0]]}
    files.write_text(folder / ABOUT, json.dumps(about, indent=2, ensure_ascii=False) + "\n")
    files.sync_all(folder)


def _of_kerashub(network: keras.Model) -> list[str]:
    """The kinds of layers in a network that Keras alone does not have."""
    found = set()
    for layer in network.layers:
        if isinstance(layer, keras.Model):
            found.update(_of_kerashub(layer))
        elif type(layer).__module__.startswith("keras_hub."):
            found.add(type(layer).__name__)
    return sorted(found)


def put(made: Path, folder: Path) -> None:
    """Put an export in the place of the one in `folder`, file by file; what else lies there is not touched.

    What makes an export of it goes first and comes last: in between there is none. A program that somebody has changed
    is kept beside the new one, and that is said.
    """
    folder.mkdir(exist_ok=True)
    _keep_changed(made, folder)
    (folder / ABOUT).unlink(missing_ok=True)
    for path in sorted(made.iterdir(), key=lambda path: path.name == ABOUT):
        target = folder / path.name
        if target.is_dir() and not target.is_symlink():
            shutil.rmtree(target)
        path.replace(target)
    made.rmdir()
    files.sync(folder)
    files.sync(folder.parent)


def _keep_changed(made: Path, folder: Path) -> None:
    """Give programs in `folder` another name that are neither those of the export there, nor of the one in `made`."""
    try:
        written = json.loads((folder / ABOUT).read_text(encoding="utf-8"))["programs"]
    except (OSError, ValueError, LookupError, TypeError):
        written = None
    written = written if isinstance(written, dict) else {}
    for name in PROGRAMS:
        path = folder / name
        if path.is_file() and files.sha256(path) not in (written.get(name), files.sha256(made / name)):
            free = (path.with_name(f"{path.stem}_{number}.py") for number in itertools.count(1))
            kept = next(other for other in free if not other.exists())
            path.rename(kept)
            say(f"export: {path} was another one: it is kept as {kept}")


def _onnx(network: keras.Model, path: Path, about: dict[str, Any], images: np.ndarray | None) -> None:
    import onnx

    _whole_onnx(network, path, images)
    model = onnx.load(path)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "images"
    model.metadata_props.add(key="headstart", value=json.dumps(about, ensure_ascii=False))
    onnx.save(model, path)


def _number(graph: Any) -> None:
    """Name the values of an ONNX graph by their order: the converter takes any of the names of equal constants.

    No name ends in a digit: the quantisation appends one to that of a bias which it copies, whatever has that name.
    """
    graph.doc_string = ""  # a number that Keras counts up
    names = {value.name: value.name for value in (*graph.input, *graph.output)} | {"": ""}
    for number, node in enumerate(graph.node):
        node.name = f"{node.op_type} {number}"
        for values in (node.input, node.output):
            values[:] = [names.setdefault(name, f"value ({len(names)})") for name in values]
    for value in (*graph.initializer, *graph.value_info):
        value.name = names.get(value.name, "")
    for values in (graph.initializer, graph.value_info):
        kept = sorted((value for value in values if value.name), key=lambda value: value.name)
        del values[:]
        values.extend(kept)


def _without_erfc(graph: Any) -> None:
    """Write Erfc, by which TensorFlow computes GELU and which ONNX lacks, as 1 - Erf."""
    from onnx import helper, numpy_helper

    nodes, one = [], "one of erfc"
    for node in graph.node:
        if node.op_type == "Erfc":
            part = f"{node.output[0]} of erf"
            nodes.append(helper.make_node("Erf", node.input, [part]))
            node = helper.make_node("Sub", [one, part], node.output)
        nodes.append(node)
    if len(nodes) > len(graph.node):
        graph.initializer.append(numpy_helper.from_array(np.float32(1.0), one))
        del graph.node[:]
        graph.node.extend(nodes)


def _whole_onnx(network: keras.Model, path: Path, images: np.ndarray | None) -> None:
    import onnx
    import tf2onnx  # noqa: F401 (Keras wants it, and would say so at length)

    network.export(str(path), format="onnx", verbose=False)
    model = onnx.load(path)
    graph = model.graph
    _without_erfc(graph)
    _number(graph)
    onnx.save(model, path)
    if images is None:
        return
    from onnxruntime import quantization

    # What follows the last convolution stays as it is: it is next to nothing, and a probability of 8 bits says little.
    makers = {name: node for node in graph.node for name in node.output}
    left, after = [output.name for output in graph.output], set()
    while left:
        node = makers.get(left.pop())
        if node is not None and node.op_type != "Conv" and node.name not in after:
            after.add(node.name)
            left += node.input
    quantization.quantize_static(
        path,
        path,
        _Fed(images),
        quant_format=quantization.QuantFormat.QDQ,  # which OpenVINO reads too
        per_channel=True,
        reduce_range=True,  # weights of 7 bits: without VNNI a processor adds products up in 16, and more overflow
        op_types_to_quantize=["Add", "Clip", "Conv", "GlobalAveragePool", "Mul", "Relu"],
        nodes_to_exclude=sorted(after),
    )


class _Fed:
    """Images, one by one, as ONNX Runtime's quantisation asks for them."""

    def __init__(self, images: np.ndarray):
        self.left = iter(images)

    def get_next(self) -> dict[str, np.ndarray] | None:
        image = next(self.left, None)
        return None if image is None else {"image": image[None]}


def _openvino(network: keras.Model, path: Path, about: dict[str, Any], images: np.ndarray | None) -> None:
    import openvino

    # NNCF, OpenVINO's own way to 8 bits, takes neither the NumPy nor the NetworkX of these requirements.
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder, "classifier.xml" if images is None else "classifier.onnx")
        if images is None:
            network.export(str(written), format="openvino", verbose=False)
        else:
            _whole_onnx(network, written, images)
        model = openvino.Core().read_model(written)
        model.set_rt_info(json.dumps(about, ensure_ascii=False), "headstart")
        openvino.save_model(model, path, compress_to_fp16=False)


def _tflite(network: keras.Model, path: Path, about: dict[str, Any], images: np.ndarray | None) -> None:
    options = {}
    if images is not None:
        sets = tf.lite.OpsSet
        options = {
            "optimizations": [tf.lite.Optimize.DEFAULT],
            "representative_dataset": lambda: ([image[None]] for image in images),
            "target_spec": {"supported_ops": [sets.TFLITE_BUILTINS_INT8, sets.TFLITE_BUILTINS]},
        }
    network.export(str(path), format="litert", verbose=False, **options)
    # As TensorFlow Lite's own metadata: a zip behind the network, which no runtime minds.
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(zipfile.ZipInfo(ABOUT), json.dumps(about, ensure_ascii=False))


def _saved_model(network: keras.Model, path: Path, about: dict[str, Any], _: None) -> None:
    network.export(str(path), format="tf_saved_model", verbose=False)
    (path / "assets").mkdir(exist_ok=True)
    files.write_text(path / "assets" / ABOUT, json.dumps(about, ensure_ascii=False))


WRITERS: dict[str, Callable[[keras.Model, Path, dict[str, Any], np.ndarray | None], None]] = {
    "onnx": _onnx,
    "openvino": _openvino,
    "tflite": _tflite,
    "saved_model": _saved_model,
}
