"""Run every image through the frozen backbone once: bottleneck features, and activations at the cut."""

from headstart.base import watch

watch.start(__name__, lower="extract.batch_size or image.size")  # before what takes seconds to import

from collections.abc import Callable, Iterator

from headstart.artifacts import features, manifest, value_range
from headstart.backbones import spread, weights
from headstart.backbones.blocks import Blocks
from headstart.backbones.extraction import Arrays, Extraction
from headstart.base import checkpoint, errors, params, progress
from headstart.cluster import where
from headstart.images import ranges
from headstart.images.archive import open_source


def main() -> None:
    settings, table, place = params.load_stage("extract"), manifest.read(), where.of_environment()
    path, values = settings.dataset.path, ranges.of_fields(value_range.read())
    weights_files = weights.fetched(len(settings.backbone))
    extraction = Extraction(settings, weights_files)
    shapes = extraction.shapes(len(table.paths), len(table.trained_on()))
    writer = features.Writer(checkpoint.folder("extract"), shapes, table, extraction.widths)
    blocks = Blocks(table.paths, table.sha256, table.trained_on(), extraction.views, settings.extract.batch_size)
    left = sorted(set(range(len(blocks))) - writer.done)

    def computed(advance: Callable[[int], None]) -> Iterator[tuple[int, Arrays]]:
        if place is not None:
            yield from spread.blocks(place, weights_files, values, left, blocks.__getitem__, advance)
        elif left:
            with open_source(path, values) as source:
                yield from extraction.blocks(source, left, blocks.__getitem__, advance)

    if place is None:
        extraction.prepare()
    with progress.counter("extract", sum(blocks[number].count for number in left), "image") as advance:
        for number, arrays in computed(advance):
            writer.write(number, arrays)
    writer.publish()
    checkpoint.finish("extract")


if __name__ == "__main__":
    errors.run(main)
