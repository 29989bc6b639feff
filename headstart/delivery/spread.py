"""Predictions of many images by the workers of a cluster, each of which reads images where they are."""

import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

from headstart.base import origin
from headstart.cluster import spreading
from headstart.cluster.spreading import Cluster
from headstart.cluster.where import Place as Machines
from headstart.delivery import places, rows, tables
from headstart.delivery.classifier import Classifier
from headstart.delivery.depths import Depths
from headstart.delivery.places import Place
from headstart.delivery.tables import Entry
from headstart.images.decoding import Broken

SIZES = 1_024, 32, 1  # images of a job; of one that workers died of, in smaller jobs


class Job(NamedTuple):
    """Images at one place: its `given` and `threads`, and of each image the name there and the path to show."""

    given: str
    threads: int
    names: list[str]
    paths: list[str]


class Worker:
    """Predicts the images of one job after the other.

    files: those of the classifier, by their names in its folder; the one called `main` is loaded, "" the folder itself.
    engine: as `Classifier.load` takes it.
    """

    def __init__(self, files: dict[str, bytes], main: str, engine: str, cores: int):
        self._folder = tempfile.TemporaryDirectory()
        for name, content in files.items():
            Path(self._folder.name, name).write_bytes(content)
        if main.endswith(".keras"):
            from headstart.base.runtime import share_of  # TensorFlow, which an export does without

            share_of(cores)
        self._classifier = Classifier.load(Path(self._folder.name, main), engine)
        self._stack = ExitStack()
        self._reader = cache(lambda given: places.reader(given, self._stack))

    def __call__(self, job: Job) -> tuple[list[Entry], Counter[int | None]]:
        """Returns the entries, and of what depths the images were."""
        depths, read = Depths(), self._reader(job.given)
        reads = (depths.counted(partial(read, name)) for name in job.names)
        outcomes = self._classifier.outcomes(reads, job.threads)
        return [rows.entry(*pair) for pair in zip(job.paths, outcomes, strict=True)], depths.counts


def batches(
    machines: Machines, classifier: Classifier, where: Sequence[Place], left: set[str], depths: Depths
) -> Iterator[list[Entry]]:
    """Yield the entries of the images whose paths are in `left`, in any order.

    An image that workers die of is an entry with an error. depths: counts what was read.
    """
    path = classifier.path
    folder = path if path.is_dir() else path.parent
    files = [file for file in folder.iterdir() if file.is_file()] if path.is_dir() else [path]
    content, main = {file.name: file.read_bytes() for file in files}, "" if path.is_dir() else path.name
    made = (content, main, classifier.engine, machines.cores)
    jobs = []
    for place in where:
        known = ((name, tables.as_written(place.prefix + name)) for name in place.names)
        images = [(name, shown) for name, shown in known if shown in left]
        left -= {shown for _, shown in images}
        if place.given is None:
            yield [rows.entry(shown, _why(place, name)) for name, shown in images]
        elif images:
            jobs += _cut(_absolute(Job(place.given, place.threads, *map(list, zip(*images, strict=True)))), SIZES[0])
    with spreading.connected(machines) as cluster:
        for size in SIZES:
            jobs = yield from _done(cluster, made, [part for job in jobs for part in _cut(job, size)], depths)
    if jobs:
        died = Broken(f"{spreading.TRIES} processes died of it")
        yield [rows.entry(shown, died) for job in jobs for shown in job.paths]


def _done(cluster: Cluster, made: tuple, jobs: list[Job], depths: Depths) -> Iterator[list[Entry]]:
    """Yields the entries of the jobs; returns those of which workers died."""
    lost = dict(enumerate(jobs))
    for number, (entries, counts) in cluster.results(Worker, made, enumerate(jobs)):
        del lost[number]
        depths.counts += counts
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
