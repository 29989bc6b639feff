"""Fuzz the readers for minutes: python tests/fuzz/long.py --minutes 10 --readers "image zip"; `make fuzz` runs it.

Prints how many files each reader was given; the first that it neither reads nor refuses as promised ends the command.
"""

import argparse
import contextlib
import io
import sys
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1])]

from hypothesis import HealthCheck, given, settings  # noqa: E402
from readers import READERS, attempt  # noqa: E402


def fuzz(name: str, minutes: float) -> int:
    """Read damaged files for so long. Returns how many; raises what the reader does not promise."""
    count, end = 0, time.monotonic() + 60 * minutes

    @settings(max_examples=500, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(READERS[name].strategy())
    def read(drawn):
        nonlocal count
        count += 1
        with contextlib.redirect_stdout(io.StringIO()):
            attempt(name, drawn)

    while time.monotonic() < end:
        read()
    return count


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Fuzz the readers of files that come from outside.")
    parser.add_argument("--minutes", type=float, default=10, help="for each reader (default: %(default)s)")
    parser.add_argument("--readers", default=" ".join(READERS), help="default: %(default)s")
    options = parser.parse_args()
    for name in options.readers.split():
        print(f"{name}: {fuzz(name, options.minutes):,} files in {options.minutes:g} minutes, no fault", flush=True)
