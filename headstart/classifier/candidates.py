"""The models that can be delivered: the head on the backbone as it was, and fine-tuned; each with and without flips."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from headstart.artifacts.results import AVERAGED
from headstart.backbones import cut
from headstart.backbones.folding import folded
from headstart.base.runtime import keras
from headstart.classifier import inference, joining, selection
from headstart.images.archive import Source

Network = tuple[keras.Model, keras.Model]  # backbone and head
Scale = Callable[[keras.KerasTensor], keras.KerasTensor]


def deliver(
    networks: dict[str, Network],
    at: str | int,
    scale: Scale,
    axes: Sequence[int],
    source: Source,
    paths: Sequence[str],
    labels: np.ndarray,
    select_by: str,
) -> tuple[keras.Model, dict[str, Any]]:
    """Returns the classifier that `selection.choose` takes on n validation images, and for the metrics how it came.

    networks: `head` and, where something was trained, `fine_tuned`; they differ after the cut `at` alone.
    scale, axes: as `joining.join` and `joining.averaged` take them; with no axes there are no averages.
    paths: of the n images, in `source`. labels: (n,) int. select_by: as `selection.costs` takes it.

    Raises UserError where an image can no longer be read.
    """
    names = [name for model in networks for name in ([model, AVERAGED[model]] if axes else [model])]
    network, size = _network(networks, at, scale, axes), networks["head"][0].input.shape[1]
    answers = inference.of_source(network, size, source, paths, "compare the candidates")
    costs = {
        name: selection.costs(probabilities, labels, select_by)
        for name, probabilities in zip(names, answers.swapaxes(0, 1), strict=True)
    }
    chosen = selection.choose(costs)
    backbone, head = networks["head" if chosen in ("head", AVERAGED["head"]) else "fine_tuned"]
    # Of the trained network only answers are wanted, and folded it gives them in two thirds of the time.
    classifier = joining.averaged(
        joining.join(folded(backbone), head, scale), axes if chosen in AVERAGED.values() else []
    )
    means = {name: round(float(cost.mean()), 6) for name, cost in costs.items()}
    return classifier, {"delivered": chosen, "candidates": means}


def _network(networks: dict[str, Network], at: str | int, scale: Scale, axes: Sequence[int]) -> keras.Model:
    """One network with an output for each candidate; what lies before the cut is computed once for all of them."""
    backbone, _ = networks["head"]
    divided = cut.divides(backbone, at)
    pixels = keras.Input(backbone.input.shape[1:], dtype="uint8")
    frozen = folded(cut.cut_in_two(backbone, at)[0]) if divided else None
    shared = keras.Model(pixels, frozen(scale(pixels)) if frozen else scale(pixels), name="shared")
    inputs = keras.Input(backbone.input.shape[1:], dtype="uint8", name="image")
    activations = [shared(view) for view in joining.mirrored(inputs, axes)]
    outputs = []
    for name, (backbone, head) in networks.items():
        tail = folded(cut.cut_in_two(backbone, at)[1] if divided else backbone)
        start = keras.Input(shared.output.shape[1:])
        # A model of its own: the layers of two backbones have the same names.
        whole = keras.Model(start, head(tail(start)), name=name)
        answers = [whole(activation) for activation in activations]
        outputs += [answers[0], keras.layers.Average()(answers)] if axes else answers
    return keras.Model(inputs, outputs)
