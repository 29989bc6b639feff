"""The blocks of `extract`, computed by the workers of a cluster."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from headstart.backbones.blocks import Block
from headstart.backbones.extraction import Arrays, Extraction
from headstart.base import origin, params, wording
from headstart.base.errors import UserError
from headstart.base.runtime import share_of
from headstart.base.terminal import say
from headstart.cluster import spreading
from headstart.cluster.where import Place
from headstart.images import batches
from headstart.images.archive import open_source
from headstart.images.decoding import Square
from headstart.images.ranges import Range


class Worker:
    """Computes one block after the other, of images that it reads where they are.

    settings: of the project. weights: name and content of the file of each backbone; None: random ones. path: of the
    source, as this machine has it. cores: what it may take of the machine.
    """

    def __init__(
        self,
        settings: params.Params,
        weights: Sequence[tuple[str, bytes] | None],
        path: str,
        values: Range | None,
        cores: int,
    ):
        share_of(cores)
        with tempfile.TemporaryDirectory() as folder:
            files = [of and Path(folder, f"{number}{of[0]}") for number, of in enumerate(weights)]
            for file, of in zip(files, weights, strict=True):
                if of:
                    file.write_bytes(of[1])
            self._extraction = Extraction(settings, files)
        self._extraction.prepare()
        self._source, self._square = open_source(path, values), Square.of(settings.image)

    def __call__(self, job: Block | str) -> Arrays | None:
        """Returns the arrays of a block; of an image's path nothing: it is decoded, to see whether that can be done."""
        if isinstance(job, str):
            batches.pixels(self._source, job, self._square)
            return None
        ((_, arrays),) = self._extraction.blocks(self._source, [job.number], lambda _: job, lambda _: None)
        return arrays


def blocks(
    place: Place,
    weights: Sequence[Path | None],
    values: Range | None,
    wanted: Sequence[int],
    block: Callable[[int], Block],
    advance: Callable[[int], None],
) -> Iterator[tuple[int, Arrays]]:
    """Yield the number of each block that is wanted, and its arrays, in any order.

    weights: of each backbone; values: of the source, as `open_source` takes them; wanted, block, advance: as of
    `Extraction.blocks`. Raises UserError for images that workers die of, which it names.
    """
    if not wanted:
        return
    settings, left = params.load(), set(wanted)
    path = origin.absolute(settings.dataset.path)
    made = settings, [file and (file.name, file.read_bytes()) for file in weights], path, values, place.cores
    with spreading.connected(place) as cluster:
        for number, arrays in cluster.results(Worker, made, ((number, block(number)) for number in wanted)):
            left.discard(number)
            advance(block(number).count)
            yield number, arrays
        if not left:
            return
        say(f"extract: workers died of {len(left)} of {len(wanted)} blocks: looking which images they die of")
        paths = [path for number in sorted(left) for path in block(number).paths]
        fine = {number for number, _ in cluster.results(Worker, made, enumerate(paths))}
        if deadly := [path for number, path in enumerate(paths) if number not in fine]:
            more = f" and {wording.count(len(deadly) - 1, 'more image')}" if deadly[1:] else ""
            raise UserError(
                f"{deadly[0]}{more}: workers die of it: leave it out (data/corrections.csv), or take it out of the "
                "source, and run `dvc repro` again"
            )
        raise UserError(
            f"workers died {spreading.TRIES} times of blocks whose images are sound each alone: give each more memory "
            "(fewer workers a machine, a smaller extract.batch_size), and run `dvc repro` again, which goes on"
        )
