import numpy as np
import pytest
from classifiers import details, head_params, pictures

from headstart.base.runtime import keras, tf
from headstart.classifier import answering, joining, unlike
from headstart.classifier.details import Rule
from headstart.classifier.unlike import Known
from headstart.training import head

SIZE = 12


def network(classes, pooling, hidden):
    keras.utils.set_random_seed(classes + len(hidden))
    inputs = keras.Input((SIZE, SIZE, 3))
    backbone = keras.Model(inputs, keras.layers.Conv2D(6, 3, 2, activation="relu")(inputs), name="backbone")
    top = head.build(backbone.output.shape[1:], classes, head_params(pooling=pooling, hidden=hidden))
    top.set_weights([3 * weights for weights in top.get_weights()])
    return joining.join(backbone, top, lambda pixels: pixels / 127.5 - 1)


def differentiated(whole, images):
    """Grad-CAM as its paper has it, by automatic differentiation of the likeliest class's logit."""
    top = whole.layers[-1]
    output = top.get_layer("output")
    hidden = keras.Model(top.input, output.input)
    maps = tf.constant(keras.Model(whole.input, whole.get_layer(joining.FEATURES).output)(images))
    with tf.GradientTape() as tape:
        tape.watch(maps)
        logits = tf.matmul(hidden(maps, training=False), output.kernel) + output.bias
        best = tf.reduce_max(tf.concat([-logits, logits], axis=1) if logits.shape[-1] == 1 else logits, axis=1)
    slopes = tape.gradient(best, maps).numpy()
    heat = np.maximum((maps.numpy() * slopes.mean(axis=(1, 2), keepdims=True)).sum(axis=3), 0)
    return heat / np.maximum(heat.max(axis=(1, 2), keepdims=True), 1e-12)


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize(
    ("pooling", "hidden"), [("average", []), ("average", [9, 7]), ("flatten", []), ("flatten", [9])]
)
def test_the_heat_is_that_of_automatic_differentiation(classes, pooling, hidden):
    whole, images = network(classes, pooling, hidden), pictures(SIZE, count=20)
    classifier = joining.calibrated(joining.averaged(whole, (2,)), 1.7)
    about = details(classes=list("abcd")[:classes], size=SIZE, axes=(2,), rule=Rule(1.7))
    given = answering.network(classifier, about)(images)
    expected = differentiated(whole, images)
    assert expected.any(axis=(1, 2)).mean() > 0.5
    np.testing.assert_allclose(given["heat"], expected, atol=1e-3)
    answers = classifier(images).numpy()
    answers = np.concatenate([1 - answers, answers], axis=1) if classes == 2 else answers
    np.testing.assert_allclose(given["probabilities"], answers, atol=1e-6)
    assert given.keys() == {"probabilities", "heat"}


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("pooling", ["average", "both", "flatten", "token"])
@pytest.mark.parametrize("hidden", [[], [9]])
def test_of_tokens_the_heat_is_that_of_their_patches(classes, pooling, hidden):
    keras.utils.set_random_seed(classes)
    images, inputs = pictures(SIZE, count=20), keras.Input((SIZE, SIZE, 3))
    patches = keras.layers.Reshape((9, 6))(keras.layers.Conv2D(6, 4, 4, activation="relu")(inputs))
    tokens = keras.layers.Dense(6)(keras.layers.ZeroPadding1D((1, 0))(patches))
    top = head.build((10, 6), classes, head_params(pooling=pooling, hidden=hidden))
    top.set_weights([3 * weights for weights in top.get_weights()])
    whole = joining.join(keras.Model(inputs, tokens), top, lambda pixels: pixels / 127.5 - 1)
    given = answering.network(whole, details(classes=list("abcd")[:classes], size=SIZE))(images)
    if pooling == "token":
        assert given.keys() == {"probabilities"}
        return
    output = top.get_layer("output")
    seen = tf.constant(keras.Model(whole.input, whole.get_layer(joining.FEATURES).output)(images))
    with tf.GradientTape() as tape:
        tape.watch(seen)
        logits = tf.matmul(keras.Model(top.input, output.input)(seen, training=False), output.kernel) + output.bias
        best = tf.reduce_max(tf.concat([-logits, logits], axis=1) if classes == 2 else logits, axis=1)
    slopes = tape.gradient(best, seen).numpy()[:, 1:].mean(axis=1, keepdims=True)
    heat = np.maximum((seen.numpy()[:, 1:] * slopes).sum(axis=2), 0).reshape(-1, 3, 3)
    assert heat.any()
    np.testing.assert_allclose(given["heat"], heat / np.maximum(heat.max((1, 2), keepdims=True), 1e-12), atol=1e-3)


@pytest.mark.parametrize(("kept", "widths"), [(3, ()), (30, ()), (30, (2, 4))])
def test_distances_and_the_nearest_training_images_are_those_of_numpy(kept, widths):
    whole, images = network(2, "average", []), pictures(SIZE, count=20)
    features = keras.Model(whole.input, whole.get_layer(joining.FEATURES).output)(images).numpy().mean(axis=(1, 2))
    noise = np.random.default_rng(0).random((kept, features.shape[1]))
    known = Known(unlike.unit(features[:kept].mean(axis=0) + noise, widths).astype("float16"), 0.1, widths)
    about = details(classes=["a", "b"], size=SIZE, known=known)
    given = answering.network(joining.calibrated(whole, 1.0), about)(images)
    np.testing.assert_allclose(given["distance"], unlike.distances(features, known.features, widths), atol=1e-5)
    away = 1 - unlike.unit(features, widths) @ known.features.astype("float32").T
    assert (given["nearest"].numpy() == np.argsort(away, axis=1, kind="stable")[:, :5]).all()
