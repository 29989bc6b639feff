"""The exports of classifiers on KerasHub's transformers, each on its own runtime."""

import numpy as np
import pytest
from classifiers import head_params

import headstart
from headstart.backbones import hub
from headstart.backbones.folding import folded
from headstart.base.errors import UserError
from headstart.base.runtime import keras
from headstart.classifier import file, joining, unlike
from headstart.classifier.details import Details, Rule
from headstart.classifier.unlike import Known
from headstart.delivery import exporting
from headstart.delivery.runtimes import FORMATS
from headstart.training import head
from presets import backbone

pytest.importorskip("keras_hub", reason="KerasHub is not installed (requirements-kerashub.txt)")


IMAGES = np.random.default_rng(1).integers(0, 256, (9, 32, 32, 3)).astype("uint8")
FLIPPED = "dinov3"  # averaged over flips, which doubles what a converter has to do


@pytest.fixture(scope="module")
def classifiers(tmp_path_factory):
    """By its family and pooling a classifier, as its file gives it, and what it says; made when it is first wanted."""
    folder, there = tmp_path_factory.mktemp("classifiers"), {}

    def made(family, pooling):
        if family not in there:
            path, axes = folder / f"{family}.keras", (2,) if family == FLIPPED else ()
            network = hub.FAMILIES[family].network(backbone(family), 32)
            keras.utils.set_random_seed(1)
            top = head.build(network.output.shape[1:], 3, head_params(pooling=pooling))
            top.set_weights([6 * weights for weights in top.get_weights()])
            whole = joining.join(folded(network), top, keras.layers.Rescaling(1 / 127.5, -1, name="scaling"))
            known = Known(
                unlike.unit(np.random.default_rng(0).random((9, network.output.shape[-1]))).astype("float16"), 0.1
            )
            about = Details(["a", "b", "c"], 32, "averaged", None, axes, Rule(1.2), known)
            file.save(joining.calibrated(joining.averaged(whole, axes), 1.2), path, about)
            there[family] = *file.load(path), headstart.Classifier.load(path).answers(IMAGES)
        return there[family]

    return made


CASES = [(*case, form) for case in (("dinov3", "both"), ("dinov2", "average")) for form in FORMATS]
MORE = (("vit", "token"), ("siglip", "both"), ("mit", "average"))
CASES += [(*case, form) for case in MORE for form in ("onnx", "tflite")]
CASES.append(("swin", "average", "saved_model"))


@pytest.mark.parametrize(("family", "pooling", "form"), CASES)
def test_an_export_of_a_transformer_says_what_the_classifier_says(family, pooling, form, classifiers, tmp_path):
    network, details, expected = classifiers(family, pooling)
    exporting.write(tmp_path / form, network, details, "0" * 64, form, None)
    given = headstart.Classifier.load(tmp_path / form).answers(IMAGES)
    assert np.ptp(expected.probabilities, axis=0).max() > 0.05
    np.testing.assert_allclose(given.probabilities, expected.probabilities, atol=1e-4)
    np.testing.assert_allclose(given.distances, expected.distances, atol=1e-4)
    if pooling != "token":
        np.testing.assert_allclose(given.heat, expected.heat, atol=2e-3)


@pytest.mark.parametrize("form", ["onnx", "openvino", "tflite"])
def test_what_no_converter_knows_is_refused_in_one_line(form, classifiers, tmp_path):
    with pytest.raises(
        UserError, match=rf"^the classifier holds layers of KerasHub \(.*\), which no converter to {form}"
    ):
        exporting.write(tmp_path / form, *classifiers("swin", "average")[:2], "0" * 64, form, None)
    assert not (tmp_path / form).exists()
