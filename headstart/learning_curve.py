"""`python -m headstart.learning_curve`: how many images do I need? `make learning-curve` runs what it draws.

The finished experiments of this commit that differ from params.yaml in nothing but `seed` and `train_images` become
metrics/learning_curve.png: test error against training images a class, of the head alone and fine-tuned. A cross is
the mean over the seeds, with its 95 % Wilson interval (of the mean share of right answers, as if one model had given
it: what other test images would change); a dot is one seed.

The curve is the power law error = a·n^-b, fitted to these means (`scipy.optimize.curve_fit`), as Hestness et al. found
it in many fields (Deep Learning Scaling is Predictable, arXiv:1712.00409, 2017). An error that no
number of images removes (error = a·n^-b + c) is left out: five sizes do not tell c from b, and the forecast would hang
on it. So what the fit says of twice the images is the best case, and it says nothing of ten times.

The sizes share one validation split, which is not made smaller, and the epochs are those of params.yaml: with fewer
images there are fewer steps of training.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table
from scipy.optimize import curve_fit

from headstart import errors, experiments, files, params
from headstart.errors import UserError
from headstart.experiments import MODELS, Run

CURVE = Path("metrics/learning_curve.png")
SIZES = "50,100,250,500,1000"
SEEDS = "1,2,3"
Points = dict[int, list[Run]]  # a size's runs, one a seed


class PowerLaw:
    """error = a·n^-b, fitted to errors at three or more sizes.

    sizes: float (k,), training images a class; found: float (k,), the mean test error over the seeds, from 0 to 1;
    images: the test images. An error weighs by its binomial deviation, as if of one run: more seeds are tested on
    the same images. Raises ValueError where fewer than three sizes or no error at all leave nothing to fit.
    """

    def __init__(self, sizes: np.ndarray, found: np.ndarray, images: int):
        if len(sizes) < 3 or not found.any():
            raise ValueError("three sizes with an error are needed")
        (self.log_a, self.b), likely = (np.log(found.mean()) + 0.5 * np.log(sizes).mean(), 0.5), found.mean()
        # The deviations are of the errors that the curve itself expects: those found would favour the lucky ones.
        for _ in range(5):
            likely = np.clip(likely, 1 / images, 1 - 1 / images)
            deviation = np.sqrt(likely * (1 - likely) / images) * np.ones(len(sizes))
            (self.log_a, self.b), self.covariance = curve_fit(
                _power, sizes, found, (self.log_a, self.b), deviation, absolute_sigma=True
            )
            likely = self.at(sizes)

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
    free = ("seed", "train_images")
    found: dict[int, dict[int, Run]] = {}
    for run in runs:
        names = {name for name in {*run.params, *current} if run.params.get(name) != current.get(name)}
        size = run.params.get("train_images")
        if names <= set(free) and size is not None:
            found.setdefault(size, {}).setdefault(run.params["seed"], run)
    return {size: [found[size][seed] for seed in sorted(found[size])] for size in sorted(found)}


def queue(sizes: list[int], seeds: list[int]) -> None:
    """Queue the runs that are still to be done; what the training split is too small for is left out with a word."""
    current, left = params.load(), _left()
    smallest = min(left, key=left.get)
    small = [size for size in sizes if size > left[smallest]]
    if small:
        listed = ", ".join(f"{size:,}" for size in small)
        print(f"left out: {listed} a class, since class {smallest} has {left[smallest]:,} training images")
    try:
        there = points(experiments.finished(), experiments.flat(current.model_dump()))
    except UserError:
        there = {}
    source = Path(current.dataset.path)
    # Of what neither Git nor DVC keeps a queued run sees nothing; what `fetch` brought it gets from DVC.
    copied = [] if source.is_absolute() or source.is_relative_to("data/raw") else ["--copy-paths", str(source)]
    for size in (size for size in sizes if size not in small):
        missing = [seed for seed in seeds if seed not in {run.params["seed"] for run in there.get(size, [])}]
        if missing:
            swept = ["-S", f"train_images={size}", "-S", f"seed={','.join(map(str, missing))}"]
            command = ["dvc", "exp", "run", "--queue", *copied, *swept]
            print("$", *command, flush=True)
            if subprocess.run([sys.executable, "-m", *command]).returncode:
                raise UserError("DVC did not queue this: see above")


def draw(path: Path, found: Points) -> dict[str, PowerLaw | None]:
    """Write the plot of both models as a PNG; their power laws, None where there is nothing to fit."""
    figure = Figure(figsize=(8, 5), dpi=100, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    fits = {model: _draw(axes, found, model, f"C{number}") for number, model in enumerate(MODELS)}
    sizes = list(found)
    ends = [*sizes, 2 * sizes[-1]]
    axes.set_xscale("log")
    axes.set_xticks(ends, [f"{size:,}" for size in ends])
    axes.minorticks_off()
    images = found[sizes[-1]][0].test["images"]
    axes.set(xlabel="training images a class", ylabel=f"test error, % of {images:,} images", title="Learning curve")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend()
    with files.whole(path) as part:
        figure.savefig(part, format="png", metadata={"Software": None})
    return fits


def table(found: Points) -> Table:
    """Mean test error of both models, a row a size."""
    drawn = Table("images a class", "seeds", *(f"{name}, error" for name in MODELS.values()))
    for size, runs in found.items():
        cells = []
        for model in MODELS:
            mean, low, high = _mean(runs, model)
            cells.append(f"{mean:.1%} ({low:.1%}–{high:.1%})")
        drawn.add_row(f"{size:,}", ", ".join(str(run.params["seed"]) for run in runs), *cells)
    return drawn


def in_words(name: str, fit: PowerLaw | None, size: int) -> str:
    """What twice the `size` would bring."""
    if fit is None:
        return f"{name}: no power law, which takes three sizes and an error to learn from."
    low, high = fit.interval(2 * size)
    law = f"{name}: error = {np.exp(fit.log_a):.3g}·n^{-fit.b:.3f}"
    if fit.b <= 0:
        return f"{law}; more images have brought nothing that these runs can show."
    return (
        f"{law}; {fit.at(size):.2%} at {size:,} a class, so twice the images would bring it to {fit.at(2 * size):.2%} "
        f"at best (95 %: {low:.2%}–{high:.2%})."
    )


def _power(sizes: np.ndarray, log_a: float, b: float) -> np.ndarray:
    return np.exp(log_a - b * np.log(sizes))


def _mean(runs: list[Run], model: str) -> tuple[float, float, float]:
    """The mean error over the seeds, and its interval."""
    mean, images = 1 - np.mean([run.test[model]["accuracy"] for run in runs]), runs[0].test["images"]
    # scipy's binomtest takes whole images; the mean over seeds is rarely one.
    extra = 1.96**2 / images
    middle, half = mean + extra / 2, np.sqrt(extra * (mean * (1 - mean) + extra / 4))
    return mean, (middle - half) / (1 + extra), (middle + half) / (1 + extra)


def _draw(axes: Axes, found: Points, model: str, colour: str) -> PowerLaw | None:
    sizes = np.array(list(found), float)
    all_sizes = [size for size, runs in found.items() for _ in runs]
    single = [1 - run.test[model]["accuracy"] for runs in found.values() for run in runs]
    mean, low, high = 100 * np.array([_mean(runs, model) for runs in found.values()]).T
    # The two models stand beside each other, or their intervals could not be told apart.
    aside = {"head": 0.98, "fine_tuned": 1.02}[model]
    axes.scatter(aside * np.array(all_sizes), 100 * np.array(single), s=12, alpha=0.4, color=colour)
    around = (mean - low, high - mean)
    axes.errorbar(aside * sizes, mean, around, fmt="x", capsize=3, color=colour, label=MODELS[model])
    try:
        fit = PowerLaw(sizes, mean / 100, next(iter(found.values()))[0].test["images"])
    except (ValueError, RuntimeError):
        return None
    drawn = np.geomspace(sizes.min(), 2 * sizes.max(), 100)
    for part, style in ((drawn <= sizes.max(), "-"), (drawn >= sizes.max(), "--")):
        axes.plot(drawn[part], 100 * fit.at(drawn[part]), style, color=colour)
    return fit


def _left() -> dict[str, int]:
    """The training images of each class."""
    try:
        return json.loads(Path(experiments.DATASET).read_text(encoding="utf-8"))["counts"]["train"]
    except FileNotFoundError:
        raise UserError(f"no {experiments.DATASET} here: run `dvc repro extract` first") from None


def _whole_numbers(option: str, text: str, least: int) -> list[int]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and int(part) >= least for part in parts):
        raise UserError(f"{option}: got {text!r}; takes whole numbers from {least} with commas between")
    return sorted({int(part) for part in parts})


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m headstart.learning_curve", description="How many images do I need? Draw it, or queue the runs."
    )
    parser.add_argument("--queue", action="store_true", help="queue the runs that are missing; draw nothing")
    parser.add_argument("--sizes", default=SIZES, metavar="N,N,…", help="training images a class; default: %(default)s")
    parser.add_argument("--seeds", default=SEEDS, metavar="N,N,…", help="default: %(default)s")
    asked = parser.parse_args()
    sizes, seeds = _whole_numbers("--sizes", asked.sizes, 1), _whole_numbers("--seeds", asked.seeds, 0)
    if asked.queue:
        return queue(sizes, seeds)
    found = points(experiments.finished(), experiments.flat(params.load().model_dump()))
    if not found:
        raise UserError("no experiment with train_images and these parameters yet: `make learning-curve` runs them")
    fits = draw(CURVE, found)
    console = Console(highlight=False)
    console.print(table(found))
    for model, fit in fits.items():
        console.print(in_words(MODELS[model], fit, max(found)), soft_wrap=True)
    console.print(f"in a picture: {CURVE}")


if __name__ == "__main__":
    errors.run(main)
