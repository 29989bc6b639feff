"""Workers of the tests: they are imported by the processes of a cluster."""

import os
import signal
import time
from pathlib import Path

from headstart.base.errors import UserError


class Doubling:
    """Doubles numbers; notes each in `notes`, with its process. 13 kills it, 14 is refused, 15 is a fault of ours."""

    def __init__(self, notes: str, seconds: float = 0):
        self._notes, self._seconds = Path(notes), seconds

    def __call__(self, number: int) -> tuple[int, bytes]:
        with self._notes.open("a") as file:
            file.write(f"{number} {os.getpid()} {os.environ.get('RAY_NODE', '')}\n")
        if number == 13:
            os.kill(os.getpid(), signal.SIGKILL)
        if number == 14:
            raise UserError("14: takes other numbers")
        if number == 15:
            raise ValueError("15")
        time.sleep(self._seconds)
        return 2 * number, bytes(2_000_000)
