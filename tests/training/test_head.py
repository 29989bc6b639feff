import pytest
from classifiers import head_params

from headstart.base.runtime import keras
from headstart.training import head


@pytest.mark.parametrize(("pooling", "width"), [("average", 3), ("token", 3), ("both", 6), ("flatten", 15)])
def test_a_head_on_tokens_is_as_wide_as_its_pooling(pooling, width):
    model = head.build((5, 3), 2, head_params(pooling=pooling))
    assert model.get_layer("pooling").output.shape == (None, width)
    assert model.get_layer("output").kernel.shape == (width, 1)


@pytest.mark.parametrize(
    ("pooling", "hidden", "classes", "outputs", "activation"),
    [("flatten", [5, 4], 2, 1, "sigmoid"), ("average", [], 2, 1, "sigmoid"), ("average", [], 4, 4, "softmax")],
)
def test_the_head_is_as_asked_for(pooling, hidden, classes, outputs, activation):
    model = head.build((2, 2, 3), classes, head_params(pooling=pooling, hidden=hidden))
    dense = [layer for layer in model.layers if isinstance(layer, keras.layers.Dense)]
    assert [layer.units for layer in dense] == [*hidden, outputs]
    assert dense[0].kernel.shape[0] == (12 if pooling == "flatten" else 3)
    assert dense[-1].activation is getattr(keras.activations, activation)
    rates = [layer.rate for layer in model.layers if isinstance(layer, keras.layers.Dropout)]
    assert rates == [0.5] * max(1, len(hidden))
