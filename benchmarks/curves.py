"""Learning curves: a table of test errors over training images, a picture, and what the fitted power law says."""

from dataclasses import dataclass
from functools import partial

import numpy as np

from benchmarks import runs, training, workspace
from benchmarks.measuring import Measurement
from benchmarks.tables import UNKNOWN, Numbers, Row, Table
from benchmarks.training import PUBLISHED
from headstart import learning_curve
from headstart.experiments import Run

SEEDS = (1, 2, 3)


@dataclass(frozen=True)
class Curve:
    """The curve of a preset, and where its picture lies.

    sizes: training images per class; whole: their number where all are trained on, and the runs on all.
    """

    preset: str
    picture: str
    sizes: tuple[int, ...]
    whole: tuple[int, tuple[Measurement, ...]] | None = None

    def groups(self) -> dict[int, tuple[Measurement, ...]]:
        """The measurements of each size, one per seed."""
        runs = {size: tuple(self._run(size, seed) for seed in SEEDS) for size in self.sizes}
        return runs | dict([self.whole] if self.whole else [])

    def tables(self) -> tuple[Table, Table]:
        """The errors, and the power laws with what they forecast."""
        runs = self.groups()
        everything = tuple(run for group in runs.values() for run in group)
        command = f"python -m benchmarks.results --only learning_curve_{self.preset}"
        errors = Table(
            f"learning_curve_{self.preset}",
            "docs/results.md",
            ("images per class", *(f"{name}, error" for name in PUBLISHED.values()), "seeds"),
            tuple(Row(str(size), (f"{size:,}",), partial(_errors, size=size), runs[size], ("1 – 3",)) for size in runs),
            command,
        )
        laws = Table(
            f"power_law_{self.preset}",
            "docs/results.md",
            ("model", "error of n images per class"),
            tuple(
                Row(model, (name,), partial(self._law, model=model), everything) for model, name in PUBLISHED.items()
            ),
            command.replace("learning_curve_", "power_law_"),
        )
        return errors, laws

    def draw(self) -> None:
        """Draw the picture, where all sizes are measured."""
        records = {size: [run.record() for run in group] for size, group in self.groups().items()}
        if not any(record is None for group in records.values() for record in group):
            numbers = {size: [record.numbers for record in group] for size, group in records.items()}
            points = {size: _points(group, size) for size, group in numbers.items()}
            learning_curve.draw(workspace.ROOT / self.picture, points)

    def _run(self, size: int, seed: int) -> Measurement:
        name, minutes = f"learning_curve/{self.preset}_{size}", 0.7 + size / 1000
        return runs.run(name, self.preset, minutes, seed, {"train_images": size})

    def _law(self, numbers: Numbers, model: str) -> list[str]:
        sizes = list(self.groups())
        groups = {size: numbers[i * len(SEEDS) : (i + 1) * len(SEEDS)] for i, size in enumerate(sizes)}
        tests = {size: [training.test(run) for run in group] for size, group in groups.items()}
        if model not in tests[sizes[0]][0].scores:
            return [UNKNOWN]
        means = [1 - np.mean([test.scores[model]["accuracy"] for test in group]) for group in tests.values()]
        try:
            law = learning_curve.PowerLaw(np.array(sizes, float), np.array(means), tests[sizes[0]][0].images)
        except (ValueError, RuntimeError):
            law = None
        return [learning_curve.sentence(PUBLISHED[model], law, max(sizes)).partition(": ")[2]]


def _errors(numbers: Numbers, size: int) -> list[str]:
    """The mean test error of each model with its interval, as learning_curve's own table has it."""
    table = learning_curve.table({size: _points(numbers, size)})
    cells = {str(column.header): str(next(iter(column.cells))) for column in table.columns}
    return [cells.get(f"{name}, error", UNKNOWN) for name in PUBLISHED.values()]


def _points(numbers: Numbers, size: int) -> list[Run]:
    tests = zip(SEEDS, map(training.test, numbers), strict=True)
    return [Run("", "", {"seed": seed, "train_images": size}, test, {}) for seed, test in tests]


CURVES = (
    Curve("solar_cells", "metrics/learning_curve.png", (50, 100, 250, 500)),
    Curve("cats_vs_dogs", "metrics/learning_curve_cats_vs_dogs.png", (50, 100, 250, 500), (1000, runs.CATS)),
)
