import numpy as np
import pytest

from headstart.base.runtime import keras, tf
from headstart.training import adam, rates


def trained(make, graph):
    """The weights of a small network after twenty steps."""
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(7, activation="relu"), keras.layers.Dense(1)])
    schedule = keras.optimizers.schedules.CosineDecay(0.0, 15, warmup_target=0.03, warmup_steps=5)
    model.compile(make(schedule), "mse", run_eagerly=not graph, jit_compile=False)
    inputs = np.random.default_rng(0).normal(size=(160, 5)).astype("float32")
    model.fit(inputs, inputs.sum(1, keepdims=True) ** 2, batch_size=8, epochs=1, shuffle=False, verbose=0)
    return model.get_weights() + [variable.numpy() for variable in model.optimizer.variables]


@pytest.mark.parametrize("graph", [True, False], ids=["graph", "eager"])
@pytest.mark.parametrize(
    ("own", "theirs", "options"),
    [
        (adam.Adam, keras.optimizers.Adam, {}),
        (adam.AdamW, keras.optimizers.AdamW, {"weight_decay": 0.1}),
        (adam.AdamW, keras.optimizers.AdamW, {"weight_decay": 0.1, "use_ema": True, "ema_momentum": 0.9}),
        (adam.Adam, keras.optimizers.Adam, {"beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-3, "clipnorm": 0.1}),
        (
            rates.layered(adam.AdamW, [0.5, 0.5, 1.0, 1.0]),
            rates.layered(keras.optimizers.AdamW, [0.5, 0.5, 1.0, 1.0]),
            {"weight_decay": 0.1},
        ),
    ],
)
def test_a_step_is_that_of_keras(own, theirs, options, graph):
    ours = trained(lambda rate: own(rate, **options), graph)
    others = trained(lambda rate: theirs(rate, **options), graph)
    assert len(ours) == len(others)
    for one, other in zip(ours, others, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_a_step_is_one_operation():
    variable = keras.Variable(np.zeros(3, "float32"), name="weights")
    optimizer = adam.AdamW(0.1)
    optimizer.build([variable])
    step = tf.function(lambda: optimizer.apply([tf.ones(3)])).get_concrete_function()
    kinds = [operation.type for operation in step.graph.get_operations()]
    assert kinds.count("ResourceApplyAdam") == 1 and "Sqrt" not in kinds
