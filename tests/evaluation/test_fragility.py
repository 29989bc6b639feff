import numpy as np
import pytest
from classifiers import pictures, small

from headstart.classifier import inference, joining, unlike
from headstart.evaluation import fragility


@pytest.mark.parametrize("kind", fragility.STRENGTHS)
def test_each_strength_changes_an_image_more_than_the_one_before(kind):
    rng = np.random.default_rng(1)
    smooth = np.kron(rng.integers(0, 256, (14, 14, 3)), np.ones((16, 16, 1))).astype("uint8")
    before = 0
    for strength in fragility.STRENGTHS[kind]:
        changed = fragility.corrupted(smooth, kind, strength, np.random.default_rng(2))
        assert changed.dtype == np.uint8 and changed.shape == smooth.shape
        apart = np.abs(changed.astype(int) - smooth).mean()
        assert apart > before
        before = apart


def test_accuracy_and_what_is_unlike_at_each_strength():
    network, images = small(), pictures(8, count=130)
    _, model = joining.parts(network, "fine_tuned", ())
    given, features = model.predict(images, verbose=0)
    labels = (given[:, 0] >= 0.5).astype(int)
    kept = unlike.unit(features).astype("float16")
    known = unlike.Known(kept, unlike.distances(features, kept).max() + 1e-3)
    run = inference.runner(model)
    found = fragility.measure(run, lambda row: images[row], labels, known, 1)
    assert list(found) == ["none", *fragility.STRENGTHS]
    assert found["none"] == [{"strength": 0.0, "accuracy": 1.0, "unlike": 0.0}]
    for kind, strengths in fragility.STRENGTHS.items():
        assert [entry["strength"] for entry in found[kind]] == list(strengths)
    assert any(entry["unlike"] > 0 for kind in fragility.STRENGTHS for entry in found[kind])
    assert found == fragility.measure(run, lambda row: images[row], labels, known, 1)
    assert fragility.measure(run, lambda row: images[row], labels, None, 1)["none"][0]["unlike"] is None
