"""How far a long piece of work is, on standard error: a bar in a terminal, now and then a plain line elsewhere.

With HEADSTART_LOG set to a file, how long the work took is written there too, one JSON object per line. It is no output
of a stage: seconds in the metrics would make every run another one.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from headstart.base import wording
from headstart.base.terminal import printable, say

Item = TypeVar("Item")
EVERY = 10.0  # seconds between two plain lines
LOG = "HEADSTART_LOG"  # the variable that names the log's file


def track(iterable: Iterable[Item], what: str, total: int | None = None, unit: str = "image") -> Iterator[Item]:
    """Yield the items of `iterable`; an item counts as done when the next one is asked for.

    `what` names the work; `total` defaults to `len(iterable)`, and to unknown where there is no length.
    """
    if total is None and hasattr(iterable, "__len__"):
        total = len(iterable)
    with counter(what, total, unit) as advance:
        for item in iterable:
            yield item
            advance(1)


@contextmanager
def bytes_bar(what: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Yields a function that takes the number of bytes just done; `total` is in bytes, None where it is unknown."""
    with counter(what, total, "MB", lambda count: f"{count / 1e6:,.1f}") as advance:
        yield advance


def log(**facts: Any) -> None:
    """Append `facts` to the log, where there is one, as a JSON object on a line of its own."""
    if file := os.environ.get(LOG):
        with Path(file).open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(facts) + "\n")


class _Tail(ProgressColumn):
    """Count and rate; rich's own columns know bytes, but no other unit."""

    def __init__(self, line: Callable[[float, float | None], str]):
        super().__init__()
        self._line = line

    def render(self, task: Task) -> Text:
        return Text(self._line(task.completed, task.finished_speed or task.speed))


class _Pace:
    """How much of `total` is done, and how fast it went."""

    def __init__(self, total: int | None):
        self._total, self.done, self.start = total, 0, time.monotonic()
        self._last = self.start
        self._quarter: tuple[int, float] | None = None

    def add(self, count: int) -> None:
        self.done, self._last = self.done + count, time.monotonic()
        if self._quarter is None and self._total and self.done >= self._total / 4:
            self._quarter = self.done, self._last

    def steady(self) -> float | None:
        """Units per second from the first quarter to the last unit: without what starts and ends once, as a cluster."""
        done, at = self._quarter or (self.done, 0.0)
        return (self.done - done) / (self._last - at) if self.done > done else None


@contextmanager
def counter(
    what: str, total: int | None, unit: str, number: Callable[[float], str] = "{:,.0f}".format
) -> Iterator[Callable[[int], None]]:
    """Yields a function that takes how many units were just done; `unit` is one of them, `number` writes a count."""
    units = wording.plural(unit)

    def speed(rate: float | None) -> str:
        return f", {number(rate) if rate >= 10 else f'{rate:.1f}'} {units}/s" if rate else ""

    def amount(done: float) -> str:
        return f"{number(done)} {unit if done == 1 else units}"

    def line(done: float, rate: float | None) -> str:
        count = amount(done) if total is None else f"{number(done)}/{amount(total)}"
        return f"{count}{speed(rate)}"

    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        _Tail(line),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )
    task = bar.add_task(printable(what), total=total)
    pace = _Pace(total)
    printed = pace.start

    def advance(count: int) -> None:
        nonlocal printed
        pace.add(count)
        if console.is_terminal:
            bar.advance(task, count)
        elif (now := time.monotonic()) - printed >= EVERY:
            printed = now
            rate = pace.done / (now - pace.start)
            left = f", {wording.duration((total - pace.done) / rate)} left" if total and pace.done else ""
            say(f"{what}: {line(pace.done, rate)}{left}", file=sys.stderr)

    if console.is_terminal:
        with bar:
            yield advance
    else:
        yield advance
    seconds = time.monotonic() - pace.start
    rate = speed(pace.done / seconds) if seconds else ""
    say(f"{what}: {amount(pace.done)} in {seconds:.1f} s{rate}", file=sys.stderr)
    log(work=what, count=pace.done, unit=unit, seconds=seconds, steady=pace.steady())
