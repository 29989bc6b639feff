"""How many threads work side by side, and results that come in the order of their inputs."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

# Images that are decoded side by side: as many as this process has cores. `taskset` and Slurm give it a part of the
# machine's, and each image that is under way takes memory.
THREADS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_order(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int = THREADS, ahead: int | None = None
) -> Iterator[Result]:
    """Yield `function(item)` for each item, in their order, computed by `workers` threads.

    ahead: how many items are under way beside the one whose result comes next, so that memory does not grow with the
        number of items; default: `workers`.

    `items` is consumed in the caller's thread. An error of `function` is raised when its result would be next.
    """
    ahead = workers if ahead is None else ahead
    with ThreadPoolExecutor(workers) as pool:
        waiting: deque[Future[Result]] = deque()
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
