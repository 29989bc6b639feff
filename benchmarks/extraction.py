"""`extract` against the bare network on the same images in memory: InceptionV3 at 150x150, the 4,000 photographs.

`extract`'s rate is the one that it says of its work, with decoding and writing; its start is left out, as it is of the
bare network's. The two take turns, and the share is the median over the turns.
"""

import contextlib
import time
from statistics import median

from benchmarks.workspace import Workspace, photographs, workspace
from headstart import backbones, batches, engines, errors, manifest, params
from headstart.archive import open_source
from headstart.runtime import deterministic
from stages import extract

TURNS = 3


def bare(place: Workspace) -> float:
    """Images a second of the network alone, on decoded batches in memory, after one batch to warm up."""
    with contextlib.chdir(place.path):
        settings, paths = params.load_stage("extract"), manifest.read_manifest().paths
        deterministic(backbones.RANDOM_SEED)
        forward = engines.forward(extract.network(settings), settings.extract.engine, settings.extract.precision)
        with open_source(settings.dataset.path) as source:
            images = batches.of_images(source, paths, settings.image.size, settings.extract.batch_size)
            images = [batch.numpy() for batch in images]
    forward(images[0])
    start = time.perf_counter()
    for batch in images:
        forward(batch)
    return len(paths) / (time.perf_counter() - start)


def rows() -> list[tuple[str, str, str]]:
    """The row of the benchmarks' table: figure, measured, to reach."""
    alone, stage = [], []
    with workspace() as place:
        place.preset("cats_vs_dogs", **photographs(), **{"fine_tune.views": "live"})
        for name in ("fetch", "split"):
            place.stage(name)
        for _ in range(TURNS):
            alone.append(bare(place))
            stage.append(place.rate("extract"))
    share = median(one / other for one, other in zip(stage, alone, strict=True))
    return [
        ("extract over the bare network", f"{share:.2f} ({median(stage):.0f}, {median(alone):.0f} images/s)", "0.95")
    ]


if __name__ == "__main__":
    errors.run(lambda: print(*rows()[0], sep="\n"))
