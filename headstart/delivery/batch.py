"""Predictions of any number of images into a table, in memory that does not grow with them; one that goes on."""

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice, tee
from pathlib import Path

from headstart.base import progress, wording
from headstart.base.errors import UserError, text_of
from headstart.classifier.reading import BATCH, Read
from headstart.cluster.where import of_environment
from headstart.delivery import parquet, places, rows, spread, tables
from headstart.delivery.classifier import Classifier
from headstart.delivery.depths import Depths
from headstart.delivery.parquet import Parquet
from headstart.delivery.parts import Parts
from headstart.delivery.places import Place
from headstart.delivery.tables import Lines

FORMS = (".csv", ".jsonl", ".parquet")
Table = Lines | Parquet | Parts


def check(path: str) -> None:
    """Raise UserError where no table can be written to a file of this name, or not with what is installed."""
    try:
        Path(path).stat()
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (OSError, ValueError) as error:  # a loop of links, a name that is too long, or with a NUL
        raise UserError(f"--out: got {path}; takes the name of a file ({text_of(error)})") from None
    if path and (_is_folder(path) or Path(path).suffix == ".parquet"):
        parquet.installed(path)
    elif Path(path).suffix not in FORMS:
        raise UserError(
            f"--out: got {path or 'nothing'}; takes a name that ends in {', '.join(FORMS)}, or in / for a folder of "
            "Parquet files"
        )


def table(name: str, classifier: Classifier) -> Table:
    """Return the table at `name`, which `check` has taken."""
    path = Path(name).resolve() if Path(name).is_symlink() else Path(name)  # a link stays one
    own = classifier.version[: tables.LETTERS]
    if _is_folder(name):
        return Parts(path, own, classifier.classes)
    if path.suffix == ".parquet":
        return Parquet(path, own, classifier.classes)
    return Lines(path, tables.CSV if path.suffix == ".csv" else tables.JSON, own)


def run(classifier: Classifier, where: Sequence[Place], into: Table, depths: Depths) -> tuple[int, str]:
    """Predict the images that have no row in a table yet, each once.

    Returns how many of the images could not be read, now or when their rows were written, and a line on what was done.
    """
    given = {tables.as_written(path) for path, _ in places.images(where)}
    left = given - into.done.keys()
    before, predicted, machines = len(given) - len(left), len(left), of_environment()
    failed = sum(into.done[path] for path in given - left)
    with progress.counter("predict", len(left), "image") as advance:
        batches = partial(spread.batches, machines) if machines and left else _batches
        for batch in batches(classifier, where, left, depths):
            into.add(batch)
            failed += sum("error" in entry for entry in batch)
            advance(len(batch))
    into.finish()
    line = f"{into.path}: {wording.count(predicted, 'image')} predicted, {before:,} were there before"
    return failed, line + (f"; {failed:,} could not be read, and the column error says why" if failed else "")


def _is_folder(path: str) -> bool:
    return path.endswith("/") or (Path(path).is_dir() and Path(path).suffix not in FORMS)


def _batches(
    classifier: Classifier, where: Sequence[Place], left: set[str], depths: Depths
) -> Iterator[list[tables.Entry]]:
    """The entries of the images whose paths are in `left`, which are taken out, in the batches of the network."""

    def images() -> Iterator[tuple[str, Read]]:
        for path, read in places.images(where):
            if (written := tables.as_written(path)) in left:
                left.remove(written)
                yield written, read

    here, ahead = tee(images())
    reads = (read for _, read in ahead)
    outcomes = classifier.outcomes(reads, max(place.threads for place in where), depths)
    entries = (rows.entry(path, outcome) for (path, _), outcome in zip(here, outcomes, strict=True))
    while batch := list(islice(entries, BATCH)):
        yield batch
