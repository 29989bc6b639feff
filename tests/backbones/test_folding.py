import numpy as np
import pytest
from networks import SIZES, backbone, enliven, pixels, run

from headstart.backbones import folding


@pytest.mark.parametrize("name", SIZES)
def test_folded_computes_the_same(name):
    whole = backbone(name)
    enliven(whole)
    images = pixels(SIZES[name], 2) / 255
    expected = run(whole, images)
    assert expected.std() > 0
    folded = folding.folded(whole)
    np.testing.assert_allclose(run(folded, images), expected, rtol=1e-3, atol=1e-3 * expected.std())
    assert len(folded.weights) < len(whole.weights)
