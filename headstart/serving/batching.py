"""Images of many requests, run through the network in batches by one thread.

Of the libraries for it (ray.serve, litserve, BentoML, batched) each brings a server of its own or leaves out what is
wanted here: what nobody waits for any more is not computed.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np


class Batcher:
    """Runs `run` on batches of at most `most` images; the first of a batch waits `wait` seconds at most for others.

    run: takes uint8 (n, size, size, 3); it is called in one thread. seen: is told how many images each batch has.
    `pace`: the seconds that an image takes, of late.
    """

    def __init__(self, run: Callable[[np.ndarray], Any], most: int, wait: float, seen: Callable[[int], None]):
        self._run, self._most, self._wait, self._seen = run, most, wait, seen
        self._queue: asyncio.Queue[tuple[np.ndarray, asyncio.Future]] = asyncio.Queue()
        self._thread = ThreadPoolExecutor(1, "batch")
        self._task: asyncio.Task | None = None
        self._began: float | None = None
        self.pace = 0.0

    async def __aenter__(self) -> "Batcher":
        self._task = asyncio.create_task(self._work())
        return self

    async def __aexit__(self, *_: object) -> None:
        """End the thread: nobody waits for an answer any more."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._thread.shutdown()

    async def answer(self, pixels: np.ndarray) -> tuple[Any, int]:
        """Return what `run` gave for the batch that an image was in, and its place in the batch.

        pixels: uint8 (size, size, 3). What `run` raises is raised here. An image whose caller is cancelled before its
        batch begins is left out of it.
        """
        future = asyncio.get_running_loop().create_future()
        self._queue.put_nowait((pixels, future))
        return await future

    def stuck(self, seconds: float) -> bool:
        """Whether nothing works any more, or one batch has been running for longer than that."""
        began = self._began
        return self._task is None or self._task.done() or (began is not None and time.monotonic() - began > seconds)

    async def _work(self) -> None:
        while True:
            batch = [(image, future) for image, future in await self._collected() if not future.done()]
            if batch:
                await self._answer(batch)

    async def _collected(self) -> list[tuple[np.ndarray, asyncio.Future]]:
        batch = [await self._queue.get()]
        try:
            async with asyncio.timeout(self._wait):
                while len(batch) < self._most:
                    batch.append(await self._queue.get())
        except TimeoutError:
            pass
        return batch

    async def _answer(self, batch: list[tuple[np.ndarray, asyncio.Future]]) -> None:
        images, futures = zip(*batch, strict=True)
        self._seen(len(batch))
        self._began = began = time.monotonic()
        try:
            given = await asyncio.get_running_loop().run_in_executor(self._thread, self._stacked, images)
        except Exception as error:  # it is each caller's
            for future in futures:
                if not future.done():
                    future.set_exception(error)
        else:
            for place, future in enumerate(futures):
                if not future.done():
                    future.set_result((given, place))
            self.pace = 0.8 * self.pace + 0.2 * (time.monotonic() - began) / len(batch)
        finally:
            self._began = None

    def _stacked(self, images: tuple[np.ndarray, ...]) -> Any:
        return self._run(np.stack(images))
