import numpy as np
import pytest

from headstart.artifacts import features
from headstart.base import places
from headstart.base.errors import UserError
from headstart.base.runtime import keras

TOKENS = np.random.default_rng(0).random((3, 5, 4)).astype("float32")
MAP = np.random.default_rng(0).random((3, 2, 2, 4)).astype("float32")


def made(array, function):
    inputs = keras.Input(array.shape[1:])
    return np.asarray(keras.Model(inputs, function(inputs))(array))


@pytest.mark.parametrize(
    ("pooling", "expected"),
    [
        ("average", TOKENS[:, 1:].mean(1)),
        ("token", TOKENS[:, 0]),
        ("both", np.concatenate([TOKENS[:, 0], TOKENS[:, 1:].mean(1)], axis=1)),
        ("flatten", TOKENS.reshape(3, -1)),
    ],
)
def test_tokens_are_pooled(pooling, expected):
    np.testing.assert_allclose(made(TOKENS, lambda x: places.pooled(x, pooling)), expected, atol=1e-6)


def test_an_average_is_over_patches_or_places():
    np.testing.assert_allclose(made(TOKENS, places.averaged), TOKENS[:, 1:].mean(1), atol=1e-6)
    np.testing.assert_allclose(made(MAP, places.averaged), MAP.mean((1, 2)), atol=1e-6)
    assert made(TOKENS, lambda x: places.averaged(x, keepdims=True)).shape == (3, 1, 4)
    for array, expected in ((TOKENS, TOKENS[:, 1:].mean(1)), (MAP, MAP.mean((1, 2)))):
        np.testing.assert_allclose(features.averaged(array), expected, atol=1e-6)


@pytest.mark.parametrize("pooling", ["token", "both"])
def test_a_map_has_no_class_token(pooling):
    places.refuse_pooling((5, 4), pooling, "hub:vit")
    places.refuse_pooling((2, 2, 4), "average", "ResNet50")
    with pytest.raises(
        UserError, match=f"head.pooling: got {pooling}, but ResNet50 gives a map without a class token: "
    ):
        places.refuse_pooling((2, 2, 4), pooling, "ResNet50")
