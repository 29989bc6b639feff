"""The models that can be delivered: the head on the backbone as it was, and fine-tuned; each with and without flips."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from headstart.artifacts.results import AVERAGED
from headstart.backbones import cut
from headstart.backbones.folding import folded
from headstart.base.runtime import keras
from headstart.classifier import inference, joining, selection
from headstart.images.archive import Source

Network = tuple[keras.Model, keras.Model]  # backbone and head
Scale = Callable[[keras.KerasTensor], keras.KerasTensor]


class Choice(NamedTuple):
    """What is delivered: `name`, one of `artifacts.results.MODELS`; the `temperature` that its logits are divided by.

    `costs`: the mean cost of each candidate, as `selection.costs` has it.
    """

    name: str
    temperature: float
    costs: dict[str, float]

    @property
    def network(self) -> str:
        """Which of the networks it is made of: `head` or `fine_tuned`."""
        return next(network for network, mean in AVERAGED.items() if self.name in (network, mean))

    @property
    def facts(self) -> dict[str, Any]:
        """For the metrics."""
        return {"delivered": self.name, "temperature": round(self.temperature, 6), "candidates": self.costs}


def answers(
    networks: dict[str, Network],
    at: str | int,
    scale: Scale,
    axes: Sequence[int],
    source: Source,
    paths: Sequence[str],
    what: str,
) -> dict[str, np.ndarray]:
    """Returns the probabilities that each network gives, float32 (n, views, k): for images as they are, then mirrored.

    networks: `head` and, where something was trained, `fine_tuned`; they differ after the cut `at` alone.
    scale, axes: as `joining.join` and `joining.averaged` take them.
    paths: of the n images, in `source`. what: names the work, whose progress is shown.

    Raises UserError where an image can no longer be read.
    """
    network, size = _network(networks, at, scale, axes), networks["head"][0].input.shape[1]
    given = inference.of_source(network, size, source, paths, what)
    return dict(zip(networks, np.split(given, len(networks), axis=1), strict=True))


def weigh(given: dict[str, np.ndarray], labels: np.ndarray, select_by: str) -> Choice:
    """Returns what `selection.choose` takes.

    given: as `answers` returns them. labels: (n,) int. select_by: as `selection.costs` takes it.

    What was fine-tuned is weighed, and delivered, at the temperature that suits the images; the head as it is, so that
    it stays what models/head.keras says.
    """
    candidates, temperatures = {}, {}
    for network, views in given.items():
        for name, probabilities in ((network, views[:, :1]), (AVERAGED[network], views)):
            if name == network or views.shape[1] > 1:
                temperatures[name] = 1.0 if network == "head" else selection.temperature(probabilities, labels)
                tempered = selection.tempered(probabilities, temperatures[name])
                candidates[name] = selection.costs(tempered, labels, select_by)
    chosen = selection.choose(candidates)
    means = {name: round(float(cost.mean()), 6) for name, cost in candidates.items()}
    return Choice(chosen, temperatures[chosen], means)


def build(network: Network, choice: Choice, scale: Scale, axes: Sequence[int]) -> keras.Model:
    """Returns the classifier of a choice, made of the `network` that it names."""
    backbone, head = network
    # Of the trained network only answers are wanted, and folded it gives them in two thirds of the time.
    whole = joining.join(folded(backbone), joining.tempered(head, choice.temperature), scale)
    return joining.averaged(whole, axes if choice.name in AVERAGED.values() else [])


def _network(networks: dict[str, Network], at: str | int, scale: Scale, axes: Sequence[int]) -> keras.Model:
    """One network with an output for each of the networks and views; what lies before the cut is computed once."""
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
        outputs += [whole(activation) for activation in activations]
    return keras.Model(inputs, outputs)
