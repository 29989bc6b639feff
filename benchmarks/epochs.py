"""An epoch of fine-tuning `cats_vs_dogs`, on live views against cached activations: the same layers are trained."""

from statistics import median

from benchmarks.workspace import photographs, workspace
from headstart import errors

TURNS, EPOCHS = 2, 2


def rows() -> list[tuple[str, str, str]]:
    """The row of the benchmarks' table: figure, measured, to reach."""
    seconds = {2: [], "live": []}
    with workspace() as place:
        place.preset("cats_vs_dogs", **photographs(), **{"fine_tune.epochs": EPOCHS, "fine_tune.views": 2})
        for stage in ("fetch", "split", "extract", "train_head"):
            place.stage(stage)
        for _ in range(TURNS):
            for views, found in seconds.items():
                place.set({"fine_tune.views": views})
                found += place.epochs()
    cached, live = (median(found) for found in seconds.values())
    measured = f"{live / cached:.1f} ({live:.1f} s, {cached:.1f} s)"
    return [("an epoch, live over cached", measured, "3")]


if __name__ == "__main__":
    errors.run(lambda: print(*rows()[0], sep="\n"))
