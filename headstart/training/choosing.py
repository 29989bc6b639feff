"""Which candidate is delivered: by the validation images, or by folds of all images that are not test images."""

from collections.abc import Callable

import numpy as np

from headstart.artifacts.arrays import Rows
from headstart.artifacts.manifest import Manifest
from headstart.backbones import several
from headstart.base import checkpoint, params, saved
from headstart.base.runtime import deterministic, keras
from headstart.base.terminal import say
from headstart.classifier import candidates
from headstart.classifier.candidates import Choice, Network
from headstart.images import augment
from headstart.images.archive import Source
from headstart.images.decoding import Square
from headstart.training import again

FEW = 200  # validation images: with fewer, two models hardly ever differ by more than chance


def choose(
    settings: params.View,
    table: Manifest,
    source: Source,
    at_cut: Rows | None,
    networks: dict[str, Network],
    epochs: int,
    build: Callable[[], keras.Model],
) -> tuple[Choice, np.ndarray]:
    """Returns what is delivered, and the rows of the images that it was chosen by, int64 (n,).

    They are those of validation, or of all folds where `fine_tune.choose_on` says so. Where it is `auto`, nothing is
    fine-tuned for the folds if the fine-tuned one is no better on validation, which flatters it.

    at_cut: the activations of all images; None: of live views. networks: as `candidates.answers` takes them.
    epochs: after how many of them the fine-tuned one was kept. build: returns the backbone as it was before.
    Each fold that is done is kept until the stage has ended, so that a killed run goes on after it.
    """
    tuning, rows = settings.fine_tune, table.rows("validation")
    scale, square = several.scaling(settings.backbone, networks["head"][0]), Square.of(settings.image)
    axes = augment.flipped_axes(settings.augment) if tuning.average_flips else []

    def answers(networks: dict[str, Network], rows: np.ndarray) -> dict[str, np.ndarray]:
        paths = [table.paths[row] for row in rows]
        return candidates.answers(networks, tuning.cut, scale, axes, source, square, paths, at_cut and (at_cut, rows))

    def weigh(given: dict[str, np.ndarray], rows: np.ndarray) -> Choice:
        weights, targets = table.of(rows, "weights"), table.of(rows, "probabilities")
        return candidates.weigh(given, table.labels[rows], tuning.select_by, weights, targets, table.groups[rows])

    few = tuning.choose_on == "auto" and len(rows) < FEW
    folds = again.folds(table, settings) if few or tuning.choose_on == "folds" else []
    if not folds:
        return weigh(answers(networks, rows), rows), rows
    say(f"fine_tune: {f'{len(rows)} validation images are few: ' * few}the choice is made by {len(folds)} folds")
    if epochs and tuning.choose_on == "auto" and not _is_promising(weigh(answers(networks, rows), rows)):
        say("fine_tune: it is no better on them, by which its epoch was chosen: the folds compare the head alone")
        epochs = 0
    parts = []
    for number, (inside, outside) in enumerate(folds, 1):
        part = checkpoint.folder("fine_tune") / f"fold{number}.npz"
        done = saved.read_arrays(part)
        if done is None:
            work = f"fold {number} of {len(folds)}"
            trained = _trained(settings, table, inside, networks["head"][0], epochs, build, source, work)
            done = {}, answers(trained, outside)
            saved.write_arrays(part, *done)
        parts.append(done[1])
    together = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return weigh(together, rows := np.concatenate([outside for _, outside in folds])), rows


def _is_promising(choice: Choice) -> bool:
    """Whether anything that was trained after the head costs less than the head, with and without its average."""
    heads = [choice.costs[name] for name in candidates.NAMES["head"] if name in choice.costs]
    return min(choice.costs.values()) < min(heads)


def _trained(
    settings: params.View,
    table: Manifest,
    inside: np.ndarray,
    backbone: keras.Model,
    epochs: int,
    build: Callable[[], keras.Model],
    source: Source,
    work: str,
) -> dict[str, Network]:
    """The networks of a fold, trained on the images `inside` it."""
    deterministic(settings.seed)  # whether the folds before it were done in this process or not
    head = again.head(settings, table, inside)
    networks = {"head": (backbone, head)}
    if epochs:
        networks["fine_tuned"] = again.tuned(settings, table, inside, build(), head, epochs, source, work)
    return networks
