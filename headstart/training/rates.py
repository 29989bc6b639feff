"""Learning rates that fall from layer to layer, the further it is from the head."""

from collections.abc import Iterator, Sequence

from headstart.base.runtime import keras

HEAD = "head"  # the name of the head's network, which learns at the full rate


def factors(model: keras.Model, decay: float) -> list[float]:
    """Returns what part of the learning rate each of the model's trainable variables has, in their order.

    `decay` for the last layer before the head, `decay` times as much for each before it. A layer that has a kernel is
    one; a transformer's block is one too; a normalisation goes with the layer before it. (Clark et al., ELECTRA, ICLR
    2020, appendix A; Bao et al., BEiT, ICLR 2022, section 3.)
    """
    by_variable, depth = {}, 0
    for layer, in_head in reversed(list(_leaves(model))):
        if not layer.trainable_variables:
            continue
        factor = 1.0 if in_head else decay ** (depth + 1)
        by_variable |= {id(variable): factor for variable in layer.trainable_variables}
        depth += not in_head and any(len(variable.shape) > 1 for variable in layer.trainable_variables)
    return [by_variable[id(variable)] for variable in model.trainable_variables]


def layered(kind: type[keras.optimizers.Optimizer], given: Sequence[float]) -> type[keras.optimizers.Optimizer]:
    """Returns an optimizer like `kind` that learns each variable at its own part of the rate, `given` as by `factors`.

    A weight decay that goes with the rate, as AdamW's, is that part of it too.
    """

    class Layered(kind):
        def __init__(self, *args, weight_decay: float = 0.0, **options):
            super().__init__(*args, weight_decay=0.0, **options)  # Keras's own goes with the full rate
            self._decay = weight_decay

        def update_step(self, gradient, variable, learning_rate):
            rate = learning_rate * given[self._get_variable_index(variable)]
            if self._decay:
                self.assign_sub(variable, variable * keras.ops.cast(self._decay * rate, variable.dtype))
            super().update_step(gradient, variable, rate)

    return Layered


def _leaves(model: keras.Model, in_head: bool = False) -> Iterator[tuple[keras.layers.Layer, bool]]:
    """The layers from the input on, those of the networks in it too, and whether each is of the head."""
    in_head = in_head or model.name == HEAD
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _leaves(layer, in_head)
        else:
            yield layer, in_head
