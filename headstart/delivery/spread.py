"""Predictions of many images by the workers of a cluster, each of which reads images where they are."""

import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, nullcontext
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

from headstart.base import origin
from headstart.cluster import spreading
from headstart.cluster.spreading import Cluster
from headstart.cluster.where import Place as Machines
from headstart.delivery import places, rows, runtimes, tables
from headstart.delivery.classifier import ABOUT, Classifier, about
from headstart.delivery.depths import Depths
from headstart.delivery.places import Place
from headstart.delivery.tables import Entry
from headstart.images.decoding import Broken

SIZES = 256, 32, 1  # images of a job; of one that workers died of, in smaller jobs


class Job(NamedTuple):
    """Images at one place: its `given` and `threads`, and of each image the name there and the path to show.

    Those on S3 are fetched by `threads`, which mostly wait; others are decoded by as many as the worker has cores.
    """

    given: str
    threads: int
    names: list[str]
    paths: list[str]


class Worker:
    """Predicts the images of one job after the other.

    files: those of the classifier, by their names in its folder; the one called `main` is loaded, "" the folder itself.
    engine: as `Classifier.load` takes it. cores: what it may take of the machine.
    """

    def __init__(self, files: dict[str, bytes], main: str, engine: str, cores: int):
        self._folder = tempfile.TemporaryDirectory()
        for name, content in files.items():
            path = Path(self._folder.name, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        runtimes.share_of(cores)
        if main.endswith(".keras"):
            from headstart.base.runtime import share_of  # TensorFlow, which an export does without

            share_of(cores)
        self._classifier, self._cores = Classifier.load(Path(self._folder.name, main), engine), cores
        self._stack = ExitStack()
        self._reader = cache(lambda given: places.reader(given, self._stack))

    def __call__(self, job: Job) -> tuple[list[Entry], Counter[int | str], list[float]]:
        """Returns the entries, and what `Depths` has counted."""
        depths, read = Depths(), self._reader(job.given)
        reads = (partial(read, name) for name in job.names)
        threads = job.threads if origin.is_remote(job.given) else self._cores
        outcomes = self._classifier.outcomes(reads, threads, depths)
        return [rows.entry(*pair) for pair in zip(job.paths, outcomes, strict=True)], depths.counts, depths.ends


def batches(
    machines: Machines, classifier: Classifier, where: Sequence[Place], left: set[str], depths: Depths
) -> Iterator[list[Entry]]:
    """Yield the entries of the images whose paths are in `left`, in any order.

    An image that workers die of is an entry with an error. depths: counts what was read.
    """
    made, jobs = (*content(classifier.path), classifier.engine, machines.cores), []
    for place in where:
        known = ((name, tables.as_written(place.prefix + name)) for name in place.names)
        images = [(name, shown) for name, shown in known if shown in left]
        left -= {shown for _, shown in images}
        if place.given is None:
            yield [rows.entry(shown, _why(place, name)) for name, shown in images]
        elif images:
            jobs += _cut(_absolute(Job(place.given, place.threads, *map(list, zip(*images, strict=True)))), SIZES[0])
    with spreading.connected(machines) if jobs else nullcontext() as cluster:
        for size in SIZES:
            if jobs:  # nothing is asked of a cluster whose work is done: its nodes may be gone
                jobs = yield from _done(cluster, made, [part for job in jobs for part in _cut(job, size)], depths)
    if jobs:
        died = Broken(f"{spreading.TRIES} processes died of it")
        yield [rows.entry(shown, died) for job in jobs for shown in job.paths]


def content(path: Path) -> tuple[dict[str, bytes], str]:
    """Return the files of the classifier at `path`, and which of them is loaded, as a `Worker` takes them."""
    if path.suffix == ".keras":
        return {path.name: path.read_bytes()}, path.name
    folder = path if path.is_dir() else path.parent
    names = [ABOUT, *about(folder)[1]["files"]]
    return {name: (folder / name).read_bytes() for name in names}, ""


def _done(cluster: Cluster, made: tuple, jobs: list[Job], depths: Depths) -> Iterator[list[Entry]]:
    """Yields the entries of the jobs; returns those of which workers died."""
    lost = dict(enumerate(jobs))
    for number, (entries, *counted) in cluster.results(Worker, made, enumerate(jobs)):
        del lost[number]
        depths.add(*counted)
        yield entries
    return list(lost.values())


def _cut(job: Job, size: int) -> list[Job]:
    starts = range(0, len(job.names), size)
    return [job._replace(names=job.names[at : at + size], paths=job.paths[at : at + size]) for at in starts]


def _absolute(job: Job) -> Job:
    """The same for processes that work in other folders."""
    if job.given:
        return job._replace(given=origin.absolute(job.given))
    return job._replace(names=[origin.absolute(name) for name in job.names])


def _why(place: Place, name: str) -> Exception:
    try:
        place.read(name)
    except Exception as error:
        return error
    raise AssertionError(f"{name} can be read")
