"""`python -m headstart.learning_curve`: how many images do I need? `make learning-curve` runs what it draws.

The finished experiments of this commit that differ from params.yaml in nothing but `seed` and `train_images`, and are
of the code and the images that lie here now, become metrics/learning_curve.png: the test error of each model against
the training images per class. A cross is the mean over the seeds, with its 95 % Wilson interval (of the mean share of
right answers, as if one model had given it: what other test images would change; where images belong together, of as
many as the intervals of the runs, which are by groups, say that they are worth); a dot is one seed.

The curve is the power law error = a·n^-b, fitted to these means (`scipy.optimize.curve_fit`), as Hestness et al. found
it in many fields (Deep Learning Scaling is Predictable, arXiv:1712.00409, 2017). An error that no number of images
removes (error = a·n^-b + c) is left out: five sizes do not tell c from b, and the forecast would depend on it. So what
the fit says of twice the images is the best case, and it says nothing of ten times as many.

The sizes share one validation split, which is not made smaller, and the epochs are those of params.yaml: with fewer
images there are fewer steps of training.
"""

from headstart.base import errors  # first: from here on Ctrl-C is one line

# isort: split
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from rich.console import Console
from scipy.optimize import brentq, curve_fit

from headstart import experiments
from headstart.base import checkpoint, figures, wording
from headstart.base.arguments import JOBS, Parser, refuse_jobs
from headstart.base.errors import UserError
from headstart.base.intervals import wilson
from headstart.base.tables import Table
from headstart.base.terminal import say
from headstart.experiments import MODELS, Run

CURVE = Path("metrics/learning_curve.png")
SIZES = "50,100,250,500,1000"
SEEDS = "1,2,3"
DELIVERED = "delivered"
NOISE = 1.1  # so many times as wide as Wilson's an interval by groups may be without a reason: it is drawn
NAMES = {**MODELS, DELIVERED: "classifier"}
Points = dict[int, list[Run]]  # by the training images per class, the runs, one per seed


class PowerLaw:
    """error = a·n^-b, fitted to errors at three or more sizes.

    sizes: float (k,), training images per class; measured: float (k,), the mean test error over the seeds, from 0 to
    1; images: how many test images, or how many they are worth. An error weighs by its binomial deviation, as if of one
    run: more seeds are tested on the same images. Raises ValueError where fewer than three sizes or no error at all
    leave nothing to fit.
    """

    def __init__(self, sizes: np.ndarray, measured: np.ndarray, images: float):
        if len(sizes) < 3 or not measured.any():
            raise ValueError("three sizes with an error are needed")
        self.log_a, self.b = np.log(measured.mean()) + 0.5 * np.log(sizes).mean(), 0.5
        # The deviations are of the errors that the curve itself expects: those measured would favour the lucky ones.
        expected = measured.mean()
        for _ in range(5):
            expected = np.clip(expected, 1 / images, 1 - 1 / images)
            deviation = np.sqrt(expected * (1 - expected) / images) * np.ones(len(sizes))
            (self.log_a, self.b), self.covariance = curve_fit(
                _power, sizes, measured, (self.log_a, self.b), deviation, absolute_sigma=True
            )
            expected = self.at(sizes)

    def at(self, sizes: np.ndarray) -> np.ndarray:
        """The error at `sizes`."""
        return _power(sizes, self.log_a, self.b)

    def interval(self, size: float) -> tuple[float, float]:
        """A 95 % interval of the error at `size`, if the law holds (of its logarithm, by the delta method)."""
        slope = np.array([1, -np.log(size)])
        factor = np.exp(1.96 * np.sqrt(slope @ self.covariance @ slope))
        return float(self.at(size) / factor), float(min(1, self.at(size) * factor))


def points(runs: list[Run], current: dict) -> Points:
    """The runs that differ from the parameters `current` in `seed` and `train_images` alone, by ascending size."""
    by_size: dict[int, dict[int, Run]] = {}
    for run in runs:
        size = run.params.get("train_images")
        if experiments.alike(run.params, current, {"seed", "train_images"}) and size is not None:
            by_size.setdefault(size, {}).setdefault(run.params["seed"], run)
    return {size: [by_size[size][seed] for seed in sorted(by_size[size])] for size in sorted(by_size)}


def queue(sizes: list[int], seeds: list[int]) -> None:
    """Queue the runs that are still to be done, after `extract`.

    All of them take the features from DVC's cache, so what `extract` kept to go on from is removed. Sizes for which a
    class has too few training images are left out and named.
    """
    counts = experiments.training_images()
    checkpoint.clear("extract")
    smallest = min(counts, key=counts.get)
    too_large = [size for size in sizes if size > counts[smallest]]
    if too_large:
        names = ", ".join(f"{size:,}" for size in too_large)
        say(f"left out: {names} per class, since class {smallest} has {counts[smallest]:,} training images")
    try:
        done = points(experiments.of_these_inputs(experiments.finished()), experiments.current())
    except UserError:
        done = {}
    for size in (size for size in sizes if size not in too_large):
        missing = [seed for seed in seeds if seed not in {run.params["seed"] for run in done.get(size, [])}]
        if missing:
            experiments.queue({"train_images": size, "seed": missing})


def draw(path: Path, curve: Points) -> dict[str, PowerLaw | None]:
    """Write the plot of all models as a PNG; return the power law of each, None where there is nothing to fit."""
    figure = figures.empty(8, 5)
    axes = figure.subplots()
    models = _models(curve)
    # The models stand beside each other, or their intervals could not be told apart.
    shifts = np.linspace(0.98, 1.02, len(models))
    fits = {model: _draw(axes, curve, model, shift) for model, shift in zip(models, shifts, strict=True)}
    sizes = list(curve)
    ticks = [*sizes, 2 * sizes[-1]]
    axes.set_xscale("log")
    axes.set_xticks(ticks, [f"{size:,}" for size in ticks])
    axes.minorticks_off()
    images = curve[sizes[-1]][0].results.images
    axes.set(
        xlabel="training images per class",
        ylabel=f"test error, % of {wording.count(images, 'image')}",
        title="Learning curve",
    )
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend()
    figures.save(figure, path)
    return fits


def table(curve: Points) -> Table:
    """Each model's mean test error with its interval, one row per size."""
    models = _models(curve)
    rows = Table("images per class", "seeds", *(f"{NAMES[model]}, error" for model in models))
    for size, runs in curve.items():
        cells = []
        for model in models:
            mean, low, high = _mean(runs, model)
            cells.append(f"{mean:.1%} ({low:.1%}–{high:.1%})")
        rows.add_row(f"{size:,}", ", ".join(str(run.params["seed"]) for run in runs), *cells)
    return rows


def sentence(name: str, fit: PowerLaw | None, size: int) -> str:
    """What twice the `size` would bring to the model of that name."""
    if fit is None:
        return f"{name}: no power law, which takes three sizes and an error to learn from."
    low, high = fit.interval(2 * size)
    law = f"{name}: error = {np.exp(fit.log_a):.3g}·n^-{fit.b:.3f}"
    if fit.b <= 0:
        return f"{law}; more images have brought nothing that these runs can show."
    return (
        f"{law}; {fit.at(size):.2%} at {size:,} per class, so twice the images would bring it to "
        f"{fit.at(2 * size):.2%} at best (95 %: {low:.2%}–{high:.2%})."
    )


def _power(sizes: np.ndarray, log_a: float, b: float) -> np.ndarray:
    return np.exp(log_a - b * np.log(sizes))


def _models(curve: Points) -> list[str]:
    """The models that every run has; and what each run delivers, where that is not the same one in all of them."""
    results = [run.results for runs in curve.values() for run in runs]
    common = [model for model in MODELS if all(model in result.scores for result in results)]
    return common if len({result.delivered for result in results}) == 1 else [*common, DELIVERED]


def _scores(runs: list[Run], model: str) -> list[dict]:
    return [run.results.scores[run.results.delivered if model == DELIVERED else model] for run in runs]


def _errors(runs: list[Run], model: str) -> list[float]:
    return [1 - score["accuracy"] for score in _scores(runs, model)]


def _worth(runs: list[Run], model: str) -> float:
    """How many independent test images those of the runs are worth: fewer than they are where they belong together."""
    worth = []
    for run, score in zip(runs, _scores(runs, model), strict=True):
        images, share = run.results.images, score["accuracy"]
        width = score["accuracy_high"] - score["accuracy_low"]
        if width > NOISE * _width(images, share):
            images = brentq(lambda count, share, width: _width(count, share) - width, 1e-3, images, (share, width))
        worth.append(images)
    return float(np.mean(worth))


def _width(images: float, share: float) -> float:
    low, high = wilson(share, images)
    return high - low


def _mean(runs: list[Run], model: str) -> tuple[float, float, float]:
    """The mean error over the seeds, and its interval."""
    mean = np.mean(_errors(runs, model))
    return mean, *wilson(mean, _worth(runs, model))


def _draw(axes: Axes, curve: Points, model: str, shift: float) -> PowerLaw | None:
    colour = f"C{list(NAMES).index(model)}"
    sizes = np.array(list(curve), float)
    dots = [(size, 100 * error) for size, runs in curve.items() for error in _errors(runs, model)]
    axes.scatter(*(np.array(dots) * (shift, 1)).T, s=12, alpha=0.4, color=colour)
    mean, low, high = 100 * np.array([_mean(runs, model) for runs in curve.values()]).T
    interval = (mean - low, high - mean)
    axes.errorbar(shift * sizes, mean, interval, fmt="x", capsize=3, color=colour, label=NAMES[model])
    try:
        fit = PowerLaw(sizes, mean / 100, float(np.mean([_worth(runs, model) for runs in curve.values()])))
    except (ValueError, RuntimeError):
        return None
    line = np.geomspace(sizes.min(), 2 * sizes.max(), 100)
    for part, style in ((line <= sizes.max(), "-"), (line >= sizes.max(), "--")):
        axes.plot(line[part], 100 * fit.at(line[part]), style, color=colour)
    return fit


def _whole_numbers(option: str, text: str, least: int) -> list[int]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and int(part) >= least for part in parts):
        raise UserError(f"{option}: got {text!r}; takes whole numbers from {least} on, separated by commas")
    return sorted({int(part) for part in parts})


def main() -> None:
    parser = Parser(
        prog="python -m headstart.learning_curve", description="How many images do I need? Draw it, or queue the runs."
    )
    parser.add_argument("--queue", action="store_true", help="queue the runs that are missing; draw nothing")
    parser.add_argument(
        "--sizes", default=SIZES, metavar="N,N,…", help="training images per class; default: %(default)s"
    )
    parser.add_argument("--seeds", default=SEEDS, metavar="N,N,…", help="default: %(default)s")
    parser.add_argument("--jobs", **JOBS)
    options = parser.parse_args()
    sizes, seeds = _whole_numbers("--sizes", options.sizes, 1), _whole_numbers("--seeds", options.seeds, 0)
    refuse_jobs(options.jobs)
    if options.queue:
        experiments.reproduce("extract")  # once for all
        return queue(sizes, seeds)
    curve = points(experiments.of_these_inputs(experiments.finished()), experiments.current())
    if not curve:
        raise UserError(
            "no experiment with train_images and these parameters, code and images yet: `make learning-curve` runs them"
        )
    fits = draw(CURVE, curve)
    Console().print(table(curve))
    for model, fit in fits.items():
        say(sentence(NAMES[model], fit, max(curve)))
    say(f"in a picture: {CURVE}")


if __name__ == "__main__":
    errors.run(main)
