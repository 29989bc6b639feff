"""An epoch of fine-tuning `cats_vs_dogs`, on live views against cached activations: the same layers are trained."""

from statistics import median

from benchmarks.workspace import photographs, workspace
from headstart import errors

EPOCHS = 3


def rows() -> list[tuple[str, str, str]]:
    """The row of the benchmarks' table: figure, measured, to reach."""
    seconds = {}
    with workspace() as place:
        place.preset("cats_vs_dogs", **photographs(), **{"fine_tune.epochs": EPOCHS, "fine_tune.views": 2})
        for stage in ("fetch", "split", "extract", "train_head"):
            place.stage(stage)
        for views in (2, "live"):
            place.set({"fine_tune.views": views})
            seconds[views] = median(place.epochs())
    measured = f"{seconds['live'] / seconds[2]:.1f} ({seconds['live']:.1f} s, {seconds[2]:.1f} s)"
    return [("an epoch, live over cached", measured, "3")]


if __name__ == "__main__":
    errors.run(lambda: print(*rows()[0], sep="\n"))
