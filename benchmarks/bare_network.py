"""The network of `extract` alone, on decoded batches in memory, in a project whose `split` has run.

How long it takes is written to HEADSTART_LOG, as the work `bare`; one batch before the others makes the graph.
"""

import time

from headstart.artifacts import manifest
from headstart.backbones import engines, extraction, registry, several, weights
from headstart.base import errors, params, progress
from headstart.base.runtime import deterministic
from headstart.images import archive, batches
from headstart.images.decoding import Square


def main() -> None:
    settings, paths = params.load_stage("extract"), manifest.read().paths
    deterministic(registry.RANDOM_SEED)
    backbone = several.build(settings.backbone, settings.image.size, weights.fetched(len(settings.backbone)))
    network = extraction.network(settings, backbone)
    forward = engines.forward(network, settings.extract.engine, settings.extract.precision)
    with archive.open_source(settings.dataset.path) as source:
        images = batches.of_images(source, paths, Square.of(settings.image), settings.extract.batch_size)
        images = [batch.numpy() for batch in images]
    forward(images[0])
    start = time.perf_counter()
    for batch in images:
        forward(batch)
    progress.log(work="bare", count=len(paths), unit="image", seconds=time.perf_counter() - start)


if __name__ == "__main__":
    errors.run(main)
