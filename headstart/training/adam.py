"""Adam and AdamW by one operation of TensorFlow's for each variable and step.

Keras's own go through the weights and their moments ten times a step: where the tail has many weights and few images
are in a batch, that is a fifth of the training.
"""

from headstart.base.runtime import keras, tf


class _OneOperation:
    """Without `amsgrad`, which the operation does not know."""

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: tf.Tensor) -> None:
        place, steps = self._get_variable_index(variable), keras.ops.cast(self.iterations + 1, variable.dtype)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[place].handle,
            v=self._velocities[place].handle,
            beta1_power=self.beta_1**steps,
            beta2_power=self.beta_2**steps,
            lr=keras.ops.cast(learning_rate, variable.dtype),
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=gradient,
        )


class Adam(_OneOperation, keras.optimizers.Adam):
    """`keras.optimizers.Adam`, which it is equal to but for rounding."""


class AdamW(_OneOperation, keras.optimizers.AdamW):
    """`keras.optimizers.AdamW`, likewise."""
