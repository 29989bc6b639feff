"""Learning rates that fall from layer to layer, the further it is from the head."""

import re
from collections.abc import Iterator, Sequence

from headstart.base.places import SEVERAL
from headstart.base.runtime import keras

HEAD = "head"  # the name of the head's network, which learns at the full rate
BLOCK = re.compile(r"(.*?block_?\d+[a-z]?)(?:_|$)")
WAITING = "a normalisation"


def factors(model: keras.Model, decay: float) -> list[float]:
    """Returns what part of the learning rate each of the model's trainable variables has, in their order.

    `decay` for the last layer before the head, `decay` times as much for each before it. Layers of one block, by their
    names (`block_3_…` of transformers, `block7_…`, `conv4_block2_…`), count as one; of others each that has a kernel,
    with the normalisation that follows it. (Clark et al., ELECTRA, ICLR 2020, appendix A; Bao et al., BEiT, ICLR 2022,
    section 3.)
    """
    by_variable, places = {}, {}
    for layer, part in reversed(list(_leaves(model))):
        variables = layer.trainable_variables
        if not variables:
            continue
        depth, current = places.get(part, (0, ""))
        if part != HEAD:
            named = BLOCK.match(layer.name)
            # A normalisation waits for the layer with a kernel that it follows.
            if (named[1] if named else WAITING) != current:
                depth += 1
            has_kernel = any(len(variable.shape) > 1 for variable in variables)
            current = named[1] if named else "" if has_kernel else WAITING
            places[part] = depth, current
        by_variable |= {id(variable): decay**depth for variable in variables}
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


def _leaves(model: keras.Model, part: str = "") -> Iterator[tuple[keras.layers.Layer, str]]:
    """The layers from the input on, those of the networks in it too, and which part each is of: the head, the backbone,
    or of several backbones which one."""
    side_by_side = model.name.startswith(SEVERAL)
    part = HEAD if model.name == HEAD else part
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _leaves(layer, layer.name if side_by_side else part)
        else:
            yield layer, part
