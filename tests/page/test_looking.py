import io

import numpy as np
from classifiers import pictures, small
from PIL import Image

from headstart.base.runtime import keras
from headstart.classifier import joining, unlike
from headstart.page import looking


def test_the_heat_map_of_a_linear_head_is_its_class_activation():
    network, images = small(), pictures(8, count=40)
    classifier = joining.calibrated(joining.averaged(network, (2,)), 1.7)
    heat, features = looking.looks(classifier, images)
    places = keras.Model(network.input, network.get_layer(joining.FEATURES).output).predict(images, verbose=0)
    np.testing.assert_allclose(features, places.mean(axis=(1, 2)), atol=1e-5)
    kernel = network.layers[-1].get_layer("output").get_weights()[0][:, 0]
    signs = np.where(network.predict(images, verbose=0)[:, 0] >= 0.5, 1, -1)
    activation = np.maximum((places @ kernel) * signs[:, None, None], 0)
    expected = activation / np.maximum(activation.max(axis=(1, 2), keepdims=True), 1e-12)
    np.testing.assert_allclose(heat, expected, atol=1e-3)


def test_an_overlay_is_the_more_opaque_the_warmer():
    picture = Image.open(io.BytesIO(looking.overlay(np.array([[0.0, 0.5], [0.75, 1.0]]))))
    assert picture.mode == "RGBA" and picture.size == (2, 2)
    opacity = np.array(picture)[..., 3].ravel()
    assert opacity[0] == 0 and list(opacity) == sorted(opacity)


def test_the_nearest_training_images_come_first():
    known = unlike.Known(unlike.unit(np.array([[1, 0], [1, 1], [0, 1]])).astype("float16"), 0.1)
    assert looking.nearest(np.array([[2.0, 0.1], [0.0, 3.0]]), known, 2).tolist() == [[0, 1], [2, 1]]
