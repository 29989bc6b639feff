"""Pictures of what a model got wrong and right. The same images and probabilities give the same bytes."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from headstart.artifacts.predictions import Predictions
from headstart.base import figures, wording
from headstart.evaluation.lettering import LEFT, Lettering

SIDE, GAP, WORDS, HEADING = 1.2, 0.12, 0.42, 0.55  # inches: an image, between images, text above an image, the title
LONGEST = 12  # columns of a class name
Pixels = Callable[[int], np.ndarray]


def wrong(path: Path, answers: Predictions, read: Pixels) -> None:
    """Draw at most 100 images that a model got wrong: the highest probability of a wrong class comes first.

    Above each image stand its true class in blue and, in red, the predicted class with its probability.

    Args:
        path: of the PNG; its folder is made where it is missing.
        answers: of n images, the model last; long names of classes are shortened in the picture.
        read: returns image i, i from 0 to n - 1, as uint8 (height, width, 3); called only for the images drawn. Where
            it raises an exception, since the image has gone in the meantime, a grey square is drawn.
    """
    guesses, probabilities = _of_the_last(answers)
    missed = np.flatnonzero(guesses != answers.labels)
    worst = missed[np.argsort(-probabilities[missed, guesses[missed]], kind="stable")]
    heading = f"Wrong: {len(missed):,} of {wording.count(len(guesses), 'image')}"
    if len(missed) > 100:
        heading += ", the worst 100"
    _draw(path, heading, worst[:100], 10, answers, read)


def right(path: Path, answers: Predictions, read: Pixels) -> None:
    """Draw the first 20 images that a model got right, in their order. Arguments as in `wrong`."""
    guesses, _ = _of_the_last(answers)
    correct = np.flatnonzero(guesses == answers.labels)
    heading = f"Right: {len(correct):,} of {wording.count(len(guesses), 'image')}"
    if len(correct) > 20:
        heading += ", the first 20"
    _draw(path, heading, correct[:20], 5, answers, read)


def _of_the_last(answers: Predictions) -> tuple[np.ndarray, np.ndarray]:
    return list(answers.predicted.values())[-1], list(answers.probabilities.values())[-1]


def _draw(path, heading, chosen, columns, answers, read) -> None:
    classes, labels, (guesses, probabilities) = answers.classes, answers.labels, _of_the_last(answers)
    lettering = Lettering(classes)
    names = wording.labels(lettering.shown, LONGEST)
    rows = max(1, -(-len(chosen) // columns))
    width = columns * (SIDE + GAP) + GAP
    height = HEADING + rows * (WORDS + SIDE + GAP)
    with lettering.used():
        figure = figures.empty(width, height, layout=None)
        # One set of axes in inches from the upper left corner: a hundred of their own would take a hundred times as
        # long.
        axes = figure.add_axes((0, 0, 1, 1))
        axes.axis("off")
        axes.text(GAP, HEADING / 2, heading, fontsize=13, weight="bold", va="center")
        thumbnails = [_thumbnail(read, int(i)) for i in chosen]
        legend = "above: the label, below: what was predicted"
        if None in thumbnails:
            legend += "; grey: can no longer be read"
        style = {"fontsize": 8, "color": "gray", "va": "center", "ha": "right"}
        axes.text(width - GAP, HEADING / 2, legend, **style)
        if not len(chosen):
            axes.text(width / 2, HEADING + (height - HEADING) / 2, "none", fontsize=16, color="gray", ha="center")
        for cell, i in enumerate(chosen):
            left = GAP + cell % columns * (SIDE + GAP)
            top = HEADING + cell // columns * (WORDS + SIDE + GAP)
            words = {"fontsize": 8, "va": "center"}
            axes.text(left, top + 0.1, names[labels[i]], color="blue", **words)
            guess = f"{LEFT}{names[guesses[i]]} {LEFT}{probabilities[i, guesses[i]]:.2f}"
            axes.text(left, top + 0.29, guess, color="red" if guesses[i] != labels[i] else "green", **words)
            thumbnail = thumbnails[cell] or Image.new("RGB", 2 * (round(SIDE * figures.DPI),), "lightgray")
            wide, high = (length / figures.DPI for length in thumbnail.size)
            x, y = left + (SIDE - wide) / 2, top + WORDS + (SIDE - high) / 2
            axes.imshow(thumbnail, extent=(x, x + wide, y + high, y), aspect="auto")
        axes.set(xlim=(0, width), ylim=(height, 0))
        figures.save(figure, path)


def _thumbnail(read: Pixels, i: int) -> Image.Image | None:
    """The image, small; None where it cannot be read."""
    try:
        image = Image.fromarray(read(i))
    except Exception:  # of whatever kind: it costs this image, not the others
        return None
    scale = round(SIDE * figures.DPI) / max(image.size)
    # Of a strip of 4000 x 6 pixels a row has to be left.
    return image.resize([max(1, round(length * scale)) for length in image.size], Image.Resampling.BICUBIC)
