"""Look at images, labels and splits by their features: what is worth a look before a result is believed.

Writes metrics/inspection.json. Nothing is chosen by it, and no later stage reads it but the report.
"""

from headstart.base import watch

watch.start(__name__)  # before what takes seconds to import

from functools import partial

import numpy as np

from headstart.artifacts import corrections, dataset, features, inspection, manifest, parts, value_range
from headstart.base import checkpoint, errors, params
from headstart.base.progress import track
from headstart.base.terminal import say
from headstart.base.threads import in_order
from headstart.images import archive, ranges
from headstart.inspection import looks, mislabelled, neighbours, shift, summary


def look(source: archive.Source, path: str) -> looks.Look:
    """How an image looks. Raises UserError where it cannot be read any more."""
    with archive.unchanged(path):
        return looks.look(source, path)


def main() -> None:
    settings = params.load_stage("inspect")
    table, known = manifest.read(), dataset.read()
    with archive.open_source(settings.dataset.path, ranges.of_fields(value_range.read())) as source:
        seen = in_order(partial(look, source), table.paths)
        unusual = looks.unusual(list(track(seen, "looking", len(table.paths))))
    vectors, widths = features.averages(table=table), features.widths()
    even = features.even(vectors, widths)
    near = neighbours.nearest(even)
    looked_at = corrections.looked_at()
    fresh = np.array([sha256 not in looked_at for sha256 in table.sha256])
    suspects = [suspect for suspect in mislabelled.find(even, table, settings.seed) if fresh[suspect.row]]
    outliers = [outlier for outlier in neighbours.outliers(near) if fresh[outlier[0]]]
    areas = shift.areas(vectors, table, settings.seed) if known.get("published") else {}
    lost = any(map(neighbours.are_lost, parts.split(vectors, widths)))
    pairs, copies = neighbours.alike(near), known.get("near_duplicates", ())
    found = summary.of(table, suspects, outliers, pairs, unusual, areas, lost, copies)
    inspection.write(found)
    for line in [*summary.lines(found), *filter(None, [mislabelled.note(table)])]:
        say(line)
    checkpoint.finish("inspect")


if __name__ == "__main__":
    errors.run(main)
