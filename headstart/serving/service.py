"""From the image files of a request to what is answered of each: decoded side by side, then run in batches."""

import asyncio
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import headstart
from headstart.base.threads import THREADS
from headstart.images.decoding import Broken
from headstart.serving import photos
from headstart.serving.batching import Batcher
from headstart.serving.counts import Counts
from headstart.serving.limits import Limits
from headstart.serving.photos import Photo
from headstart.serving.problems import Problem
from headstart.serving.project import TrainingImages

NEAREST = 4  # training images that are shown beside one


class File(NamedTuple):
    """An image file of a request. content: returns its bytes, or raises `Broken`; it is called in another thread."""

    name: str
    content: Callable[[], bytes]


class Service:
    """What a classifier answers, within limits. An asynchronous context manager: inside of it there are threads.

    known: the classifier's training images, where they are shown. `under_way`: how many images
    are decoded or wait for their batch. `counts`: what is told to Prometheus.
    """

    def __init__(self, classifier: headstart.Classifier, limits: Limits, known: TrainingImages | None = None):
        self._classifier, self._limits, self._known = classifier, limits, known
        self.under_way = 0
        self.counts = Counts(lambda: self.under_way)
        self._batcher = Batcher(classifier.answers, limits.batch, limits.wait / 1000, self.counts.batch.observe)
        self._pool = ThreadPoolExecutor(THREADS, "decode")

    async def __aenter__(self) -> "Service":
        await self._batcher.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._batcher.__aexit__(*error)
        self._pool.shutdown(cancel_futures=True)

    async def of(self, files: Sequence[File], explain: bool) -> list[dict[str, Any]]:
        """Return an entry for each file, in their order: what `predict --json` has of an image, or `error`.

        explain: with the entries `preview`, `heat` and `nearest`, too. Raises Problem where there is no room for so
        many images, and where none of them can be read.
        """
        with self._room(len(files)):
            entries = await asyncio.gather(*(self._entry(file, explain) for file in files))
        if all("error" in entry for entry in entries):
            raise Problem(422, f"{entries[0]['name']}: {entries[0]['error']}", images=entries)
        return entries

    async def apart(self, function: Callable, *arguments: Any) -> Any:
        """Return what a function gives that takes its time: it is called in another thread."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, function, *arguments)
        except MemoryError:
            raise Problem(503, "too little memory for it now: try again, or send it smaller", self._later()) from None

    def unready(self) -> str | None:
        """Why no request should come now; None where they may."""
        if self._batcher.stuck(self._limits.seconds):
            return "the network does not answer"
        return "the queue is full" if self.under_way >= self._limits.queue else None

    @contextmanager
    def _room(self, count: int) -> Iterator[None]:
        if self.under_way + count > self._limits.queue:
            detail = f"{self.under_way} of {self._limits.queue} images are under way, and {count} more have no room"
            raise Problem(503, f"{detail}: try again", self._later())
        self.under_way += count
        try:
            yield
        finally:
            self.under_way -= count

    def _later(self) -> dict[str, str]:
        return {"Retry-After": str(max(1, math.ceil(self.under_way * self._batcher.pace)))}

    async def _entry(self, file: File, explain: bool) -> dict[str, Any]:
        try:
            photo, doubt = await self.apart(self._decoded, file, explain)
        except Broken as error:
            self.counts.errors.labels("unreadable_image").inc()
            return {"name": file.name, "error": str(error)}
        answers, place = await self._batcher.answer(photo.pixels)
        self.counts.images.inc()
        prediction = self._classifier.prediction(answers, place)
        entry = {
            "name": file.name,
            "class": prediction.label,
            "probability": round(float(prediction.probability), 6),
            "possible": list(prediction.possible),
            "unlike": prediction.unlike,
            "probabilities": {name: round(float(value), 6) for name, value in prediction.probabilities.items()},
        }
        entry |= {} if doubt is None else {"doubt": doubt}
        return entry | (await self.apart(self._explained, answers, place, photo) if explain else {})

    def _decoded(self, file: File, explain: bool) -> tuple[Photo, str | None]:
        details, depths = self._classifier.details, self._classifier.depths()
        note, values, most = partial(depths.note, details.value_range), details.value_range, self._limits.pixels
        photo = photos.read(file.content(), details.square, values, most, explain, note)
        return photo, depths.of_another(values)

    def _explained(self, answers: Any, place: int, photo: Photo) -> dict[str, Any]:
        heat, near = None, None
        if answers.heat is not None:
            heat = [[round(float(value), 3) for value in row] for row in answers.heat[place]]
        if self._known is not None and answers.nearest is not None:
            near = [self._known.shown(int(number)) for number in answers.nearest[place][:NEAREST]]
        return {"preview": photo.preview, "heat": heat, "nearest": near}
