import io

import numpy as np
import pytest
from classifiers import details, pictures, small
from PIL import Image

from headstart.classifier import answering, joining, unlike
from headstart.classifier.unlike import Known
from headstart.page import looking


def test_heat_and_the_nearest_training_images_are_of_the_images_as_they_are():
    network, images = small(), pictures(8, count=40)
    classifier = joining.calibrated(joining.averaged(network, (2,)), 1.7)
    known = Known(unlike.unit(np.random.default_rng(0).random((9, 4))).astype("float16"), 0.1)
    heat, nearest = looking.looks(classifier, details(axes=(2,), known=known), images)
    expected = answering.network(joining.calibrated(network, 1.7), details(known=known))(images)
    np.testing.assert_allclose(heat, expected["heat"], atol=1e-5)
    assert (nearest == expected["nearest"].numpy()).all() and nearest.shape == (40, 5)


def test_an_overlay_is_the_more_opaque_the_warmer():
    picture = Image.open(io.BytesIO(looking.overlay(np.array([[0.0, 0.5], [0.75, 1.0]]))))
    assert picture.mode == "RGBA" and picture.size == (2, 2)
    opacity = np.array(picture)[..., 3].ravel()
    assert opacity[0] == 0 and list(opacity) == sorted(opacity)


def test_few_images_are_in_memory_at_a_time():
    known = Known(unlike.unit(np.random.default_rng(0).random((9, 4))).astype("float16"), 0.1)
    given, images = [], pictures(8, count=100)

    def drawn():
        for image in images:
            given.append(1)
            yield image

    def run(*arguments, traced=looking.traced):
        network = traced(*arguments)

        def counted(batch):
            assert len(given) == 100 or len(given) % looking.BATCH == 0
            return network(batch)

        return counted

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(looking, "traced", run)
        heat, _ = looking.looks(joining.calibrated(small(), 1.0), details(known=known), drawn())
    assert len(heat) == 100
