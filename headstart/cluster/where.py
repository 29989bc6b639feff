"""Where the work runs, from the environment: no parameter of the result, so no stage depends on it."""

import os
from typing import NamedTuple

from headstart.base.errors import UserError

RAY, WORKERS, CORES, GPUS = "HEADSTART_RAY", "HEADSTART_RAY_WORKERS", "HEADSTART_RAY_CORES", "HEADSTART_RAY_GPUS"
LOCAL, RUNNING, CLIENT = "local", "auto", "ray://"


class Place(NamedTuple):
    """A cluster of Ray's, and what of it is taken.

    `address`: `local` starts one on this machine, `auto` takes the one that this machine is part of, ray://HOST:10001
    another one. `workers`: how many at most; None: as many as there are cores for. `cores`, `gpus`: of each worker.
    """

    address: str
    workers: int | None = None
    cores: int = 2
    gpus: float = 0


def of_environment() -> Place | None:
    """Return where HEADSTART_RAY says that the work runs; None where it is not set: in this process.

    Raises UserError for a value that makes no sense, and where another of its variables is set without it.
    """
    address = os.environ.get(RAY, "").strip()
    if not address:
        if alone := next((name for name in (WORKERS, CORES, GPUS) if os.environ.get(name)), None):
            raise UserError(f"{alone} is set, but {RAY} is not: takes {LOCAL}, {RUNNING} or {CLIENT}HOST:10001")
        return None
    if address not in (LOCAL, RUNNING) and not (address.startswith(CLIENT) and len(address) > len(CLIENT)):
        raise UserError(f"{RAY}: got {address}; takes {LOCAL}, {RUNNING} or {CLIENT}HOST:10001")
    workers = _number(WORKERS, int, 1) if os.environ.get(WORKERS) else None
    return Place(address, workers, _number(CORES, int, 1, Place._field_defaults["cores"]), _number(GPUS, float, 0, 0))


def _number(name: str, kind: type, least: int, default: float | None = None) -> float:
    text = os.environ.get(name, "").strip()
    if not text and default is not None:
        return default
    try:
        value = kind(text)
    except ValueError:
        value = None
    if value is None or not least <= value < 10_000:
        what = "a whole number" if kind is int else "a number"
        raise UserError(f"{name}: got {text}; takes {what} from {least} on")
    return value
