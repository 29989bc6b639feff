"""Look at images, labels and splits by their features: what is worth a look before a result is believed.

Writes metrics/inspection.json. Nothing is chosen by it, and no later stage reads it but the report.
"""

from functools import partial

import numpy as np

from headstart.artifacts import dataset, features, inspection, manifest, value_range
from headstart.base import errors, params
from headstart.base.progress import track
from headstart.base.threads import in_order
from headstart.images import archive
from headstart.images.ranges import Range
from headstart.inspection import looks, mislabelled, neighbours, shift, summary

BLOCK = 256  # images


def pooled() -> np.ndarray:
    """The bottleneck features, averaged over their places: float32 (n, c)."""
    written = features.read_bottleneck()
    starts = track(range(0, len(written), BLOCK), "reading features", unit="batch")
    return np.concatenate([written[at : at + BLOCK].astype("float32").mean(axis=(1, 2)) for at in starts])


def main() -> None:
    settings = params.load_stage("inspect")
    table, published = manifest.read(), dataset.read()["published"]
    values = value_range.read()
    with archive.open_source(settings.dataset.path, values and Range(**values)) as source:
        seen = in_order(partial(looks.look, source), table.paths)
        unusual = looks.unusual(list(track(seen, "looking", len(table.paths))))
    vectors = pooled()
    near = neighbours.nearest(vectors)
    suspects = mislabelled.find(vectors, table, settings.seed)
    areas = shift.areas(vectors, table, settings.seed) if published else {}
    found = summary.of(table, suspects, neighbours.outliers(near), neighbours.alike(near), unusual, areas)
    inspection.write(found)
    print(summary.lines(found))


if __name__ == "__main__":
    errors.run(main)
