"""The models that can be delivered: the head on the backbone as it was, fine-tuned, and halfway between the two.

Each with and without its average over flips.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from headstart.artifacts.arrays import Rows
from headstart.artifacts.results import AVERAGED
from headstart.backbones import cut
from headstart.backbones.folding import folded
from headstart.backbones.several import Cut
from headstart.base.runtime import keras
from headstart.classifier import decision, inference, joining, selection
from headstart.images.archive import Source
from headstart.images.decoding import Square

Network = tuple[keras.Model, keras.Model]  # backbone and head
Scale = Callable[[keras.KerasTensor], keras.KerasTensor]
# Of each network, the simplest first, the names of two candidates: its answers, and their average over flips.
NAMES = {network: (network, mean) for network, mean in AVERAGED.items()} | {"halfway": ("halfway", "halfway_averaged")}
WORK = "compare the candidates"


class Choice(NamedTuple):
    """What is delivered: the `name` of a candidate.

    `costs`: the mean cost of each candidate, as `selection.costs` has it. `probabilities`: float32 (n, k), what it says
    of the images that the choice was made on. `evidence`: that what was trained after the head is better than the head,
    the best of each, as `selection.evidence` has it; None: nothing was.
    """

    name: str
    costs: dict[str, float]
    probabilities: np.ndarray
    evidence: float | None

    @property
    def network(self) -> str:
        """Which of the networks it is made of: `head`, `halfway` or `fine_tuned`."""
        return next(network for network, names in NAMES.items() if self.name in names)

    @property
    def averages(self) -> bool:
        """Whether it is an average over flips."""
        return self.name == NAMES[self.network][1]

    @property
    def model(self) -> str:
        """Which of `artifacts.results.MODELS` it is: what is halfway counts as fine-tuned."""
        return NAMES["head" if self.network == "head" else "fine_tuned"][self.averages]

    @property
    def facts(self) -> dict[str, Any]:
        """For the metrics."""
        return {"delivered": self.name, "candidates": self.costs}


def halfway(before: Network, after: Network) -> Network:
    """Returns the network whose weights lie halfway between those of two.

    It often tells new images apart better than both, and is calmer than what was fine-tuned on few images (Wortsman et
    al., Robust Fine-Tuning of Zero-Shot Models, CVPR 2022).
    """
    middle = tuple(joining.copied(model) for model in before)
    for model, start, end in zip(middle, before, after, strict=True):
        weights = zip(start.get_weights(), end.get_weights(), strict=True)
        model.set_weights([(first + second) / 2 for first, second in weights])
    return middle


def answers(
    networks: dict[str, Network],
    at: Cut | list[Cut],
    scale: Scale,
    axes: Sequence[int],
    source: Source,
    square: Square,
    paths: Sequence[str],
    activations: tuple[Rows, np.ndarray] | None,
) -> dict[str, np.ndarray]:
    """Returns the probabilities that each network gives, float32 (n, views, k): for images as they are, then mirrored.

    networks: `head` and, where something was trained, `fine_tuned`, which brings `halfway` with it; they differ after
        the cut `at` alone.
    scale, axes: as `joining.join` and `joining.averaged` take them.
    square: what the networks take. paths: of the n images, in `source`.
    activations: those at the cut, float16 (m, …), of all m images as they are, and the rows of the n images in them;
        None: there are none, and they are computed.

    Raises UserError where an image can no longer be read.
    """
    if "fine_tuned" in networks:
        middle = halfway(networks["head"], networks["fine_tuned"])
        networks = networks | {"halfway": middle}
    tails, looks = _tails(networks, at), []
    if activations:
        looks.append(inference.of_rows(tails, *activations, f"{WORK}, after the cut"))
    if axes or not activations:
        network = _mirrored(networks["head"][0], tails, at, scale, axes, left_out=len(looks))
        given, count = inference.of_source(network, square, source, paths, WORK), len(networks)
        looks += [given[start : start + count] for start in range(0, len(given), count)]
    views = zip(*looks, strict=True)
    return {
        name: np.stack([decision.probabilities(given) for given in of], axis=1)
        for name, of in zip(networks, views, strict=True)
    }


def weigh(
    given: dict[str, np.ndarray],
    labels: np.ndarray,
    select_by: str,
    weights: np.ndarray | None = None,
    targets: np.ndarray | None = None,
    groups: np.ndarray | None = None,
) -> Choice:
    """Returns what `selection.choose` takes.

    given: as `answers` returns them. labels: (n,) int. select_by, weights, targets: as `selection.costs` takes them.
    groups: as `selection.choose` does.

    Each is weighed at the temperature that suits the images, at which it is delivered: training on mixed or smoothed
    labels makes a model modest, and that is no fault of it.
    """
    candidates, answers = {}, {}
    for network, views in given.items():
        for name, probabilities in zip(NAMES[network], (views[:, 0], views.mean(axis=1)), strict=True):
            if name == network or views.shape[1] > 1:
                suited = selection.temperature(probabilities, labels, weights, targets)
                tempered, answers[name] = decision.tempered(probabilities, suited), probabilities
                candidates[name] = selection.costs(tempered, labels, select_by, weights, targets)
    chosen = selection.choose(candidates, groups)
    means = {name: round(float(cost.mean()), 6) for name, cost in candidates.items()}
    heads = [name for name in candidates if name in NAMES["head"]]
    trained = [name for name in candidates if name not in heads]
    best = [candidates[min(names, key=means.get)] for names in (heads, trained) if names]
    evidence = selection.evidence(*best, groups) if trained else None
    return Choice(chosen, means, answers[chosen], evidence)


def build(network: Network, choice: Choice, scale: Scale, axes: Sequence[int]) -> keras.Model:
    """Returns the classifier of a choice, made of the `network` that it names; before its temperature."""
    backbone, head = network
    # Of the trained network only answers are wanted, and folded it gives them in two thirds of the time.
    whole = joining.join(folded(backbone), head, scale)
    return joining.averaged(whole, axes if choice.averages else [])


def _tails(networks: dict[str, Network], at: Cut | list[Cut]) -> keras.Model:
    """Activations at the cut, or scaled pixels where it divides no network, to an output for each network."""
    tails = {
        name: (folded(cut.cut_in_two(backbone, at)[1] if cut.divides(backbone, at) else backbone), head)
        for name, (backbone, head) in networks.items()
    }
    start = keras.Input(tails["head"][0].input.shape[1:])
    # Each a model of its own: the layers of two backbones have the same names.
    wholes = [keras.Model(tail.input, head(tail.output), name=name) for name, (tail, head) in tails.items()]
    return keras.Model(start, [whole(start) for whole in wholes], name="tails")


def _mirrored(
    backbone: keras.Model, tails: keras.Model, at: Cut | list[Cut], scale: Scale, axes: Sequence[int], left_out: int
) -> keras.Model:
    """Images to the outputs of `tails` for each of their views but the first `left_out`."""
    pixels = keras.Input(backbone.input.shape[1:], dtype="uint8")
    scaled = scale(pixels)
    frozen = folded(cut.cut_in_two(backbone, at)[0])(scaled) if cut.divides(backbone, at) else scaled
    shared = keras.Model(pixels, frozen, name="shared")
    inputs = keras.Input(backbone.input.shape[1:], dtype="uint8", name="image")
    views = joining.mirrored(inputs, axes)[left_out:]
    return keras.Model(inputs, [output for view in views for output in keras.tree.flatten(tails(shared(view)))])
