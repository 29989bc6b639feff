"""Fuzz a reader for minutes: python tests/fuzz/long.py image 10. Prints how many files, and the first that fails."""

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
    reader, minutes = sys.argv[1], float(sys.argv[2])
    print(f"{reader}: {fuzz(reader, minutes):,} files in {minutes:g} minutes, no fault")
