"""Which candidate is delivered: by the validation images, or by folds of all images that are not test images."""

from collections.abc import Callable
from functools import partial

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
ENOUGH = 1000  # with so many, two models that do not differ by more than chance are as good
DECIDED = 2  # standard errors of the paired difference
CERTAIN = 3  # of them; after each fold one looks again, so that it takes more


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

    They are those of validation, or of all folds (`fine_tune.choose_on`), with `auto` where they are fewer than `FEW`,
    or fewer than `ENOUGH` and leave open whether it helped; then folds after those that decide it are left out. If
    validation decides against it, the folds compare heads alone.

    at_cut: the activations of all images; None: of live views. networks: as `candidates.answers` takes them.
    epochs: after how many of them the fine-tuned one was kept. build: returns the backbone as it was before.
    Each fold that is done is kept until the stage has ended, so that a killed run goes on after it.
    """
    tuning, rows = settings.fine_tune, table.rows("validation")
    scale, square = several.scaling(settings.backbone, networks["head"][0]), Square.of(settings.image)
    taken = tuning.cut, scale, augment.flipped_axes(settings.augment) if tuning.average_flips else [], source, square

    def answers(networks: dict[str, Network], rows: np.ndarray) -> dict[str, np.ndarray]:
        return candidates.answers(networks, *taken, [table.paths[row] for row in rows], at_cut and (at_cut, rows))

    def weigh(given: dict[str, np.ndarray], rows: np.ndarray) -> Choice:
        weights, targets = table.of(rows, "weights"), table.of(rows, "probabilities")
        return candidates.weigh(given, table.labels[rows], tuning.select_by, weights, targets, table.groups[rows])

    choice = weigh(answers(networks, rows), rows)
    why = _why_folds(choice, len(rows)) if tuning.choose_on == "auto" else ""
    folds = again.folds(table, settings) if why or tuning.choose_on == "folds" else []
    if not folds:
        return choice, rows
    say(f"fine_tune: {why}the choice is made by {len(folds)} folds")
    if why and epochs and choice.evidence < -DECIDED:
        say("fine_tune: it does harm on them, by which its epoch was chosen: the folds compare the head alone")
        epochs = 0
    parts, rows = [], rows[:0]
    for number, (inside, outside) in enumerate(folds, 1):
        work, backbone = f"fold {number} of {len(folds)}", networks["head"][0]
        train = partial(_trained, settings, table, inside, backbone, epochs, build, source, work)
        parts.append(_kept(number, train, partial(answers, rows=outside)))
        rows = np.concatenate([rows, outside])
        choice = weigh({name: np.concatenate([part[name] for part in parts]) for name in parts[0]}, rows)
        if why and len(rows) >= FEW and number < len(folds) and abs(choice.evidence or 0) > CERTAIN:
            say(f"fine_tune: {number} of {len(folds)} folds decide it")
            break
    return choice, rows


def _why_folds(choice: Choice, images: int) -> str:
    """Why so many validation images do not make the choice, the beginning of a sentence; "" where they do."""
    if images < FEW:
        return f"{images} validation images are few: "
    is_open = choice.evidence is not None and abs(choice.evidence) < DECIDED
    return f"{images} validation images leave it open whether it helped: " if is_open and images < ENOUGH else ""


def _kept(
    number: int, train: Callable[[], dict[str, Network]], answers: Callable[[dict[str, Network]], dict[str, np.ndarray]]
) -> dict[str, np.ndarray]:
    """The answers of a fold's networks, trained once."""
    part = checkpoint.folder("fine_tune") / f"fold{number}.npz"
    done = saved.read_arrays(part)
    if done is None:
        done = {}, answers(train())
        saved.write_arrays(part, *done)
    return done[1]


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
