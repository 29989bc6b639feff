"""Jobs that workers do on a cluster of Ray's, each on its own; what is done comes back in any order."""

import logging
import os
import socket
import sys
import traceback
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import headstart
from headstart.base import errors
from headstart.base.errors import UserError
from headstart.base.quiet import standard_error_closed
from headstart.base.terminal import say
from headstart.cluster.where import CLIENT, CORES, GPUS, LOCAL, RAY, RUNNING, Place

TRIES = 3  # of a job whose worker died under it, or whose node vanished; and of workers that die as they start
PATIENCE = 10  # seconds for an address to answer; Ray itself waits for minutes
START = 60  # seconds, which a worker takes on a busy machine
DONE, REFUSED, FAILED = "done", "refused", "failed"
Job = Any
Make = Callable[..., Callable[[Job], Any]]  # makes a worker, which then takes one job after the other


class Cluster:
    """A cluster that is connected; `connected` makes one."""

    def __init__(self, place: Place):
        self._place = place
        self._patience: float | None = START  # None: said already

    def results(self, make: Make, arguments: tuple, jobs: Iterable[tuple[int, Job]]) -> Iterator[tuple[int, Any]]:
        """Yield of each job its number and what a worker makes of it, as soon as it is done.

        make, arguments: a class or function in a package, and what each worker is made with. A worker has one job at a
        time, so none dies of another's. A job whose worker dies `TRIES` times under it is left out. Raises UserError
        where a worker does, and where workers die as they start.
        """
        import ray

        new = ray.remote(num_cpus=self._place.cores, num_gpus=self._place.gpus)(_Worker).remote
        made = ray.put((make, arguments))  # once for all workers
        jobs = iter(jobs)
        left = deque(islice(jobs, self._most()))
        busy: dict[Any, tuple] = {}  # what is awaited: the worker and its job; as long as it starts, it has none
        missing, died = len(left), Counter[int | None]()
        while left or any(job for _, job in busy.values()):
            for worker in [new(made) for _ in range(missing)]:
                busy[worker.start.remote()] = worker, None
            ready = self._first(busy)
            (worker, job), missing = busy.pop(ready), 0
            try:
                outcome = ray.get(ready)
            except ray.exceptions.RayError as error:
                died[job and job[0]] += 1
                if job is None and died[None] == TRIES:
                    raise UserError(
                        f"{RAY}: {TRIES} workers died as they started ({errors.text_of(error)[:200]})"
                    ) from None
                if job and died[job[0]] < TRIES:
                    left.append(job)
                elif not left:
                    left.extend(islice(jobs, 1))
                missing = 1 if left else 0
                continue
            died[None] = 0
            if following := left.popleft() if left else next(jobs, None):
                busy[worker.do.remote(following[1])] = worker, following
            result = _result(*outcome)
            if job:
                yield job[0], result

    def _first(self, busy: dict[Any, tuple]) -> Any:
        """What of `busy` is done first. Where no worker starts, it says why that may be, and waits: a node may join."""
        import ray

        if not any(job for _, job in busy.values()):
            ready, _ = ray.wait(list(busy), num_returns=1, timeout=self._patience)
            if ready:
                return ready[0]
            self._patience = None
            one = _said({"CPU": self._place.cores, "GPU": self._place.gpus})
            there, free = _said(ray.cluster_resources()), _said(ray.available_resources())
            say(f"{RAY}: waiting for the first worker, which takes {one}: the cluster has {there}, {free} of them free")
        return ray.wait(list(busy), num_returns=1)[0][0]

    def _most(self) -> int:
        """How many workers at most. To a cluster nodes may be added which have room for them; to one machine not."""
        if self._place.workers and self._place.address != LOCAL:
            return self._place.workers
        return min(self._room(), self._place.workers or sys.maxsize)

    def _room(self) -> int:
        """How many workers the cluster has the cores and GPUs for now."""
        import ray

        there = ray.cluster_resources()
        rooms = [there.get("CPU", 0) / self._place.cores]
        if self._place.gpus:
            rooms.append(there.get("GPU", 0) / self._place.gpus)
        if min(rooms) < 1:
            has = _said(there)
            raise UserError(
                f"{RAY}: the cluster has {has}: lower {CORES} or {GPUS} (a worker takes that many), or add nodes"
            )
        return int(min(rooms))


class _Worker:
    """A worker as Ray takes it. What goes wrong is an answer: it is said where the work was asked for."""

    def __init__(self, made: tuple[Make, tuple]):
        self._made = made

    def start(self) -> tuple[str, Any]:
        make, arguments = self._made
        kind, content = _outcome(make, *arguments)
        if kind != DONE:
            return kind, content
        self._do = content
        return DONE, None

    def do(self, job: Job) -> tuple[str, Any]:
        return _outcome(self._do, job)


def _said(resources: Mapping[str, float]) -> str:
    return f"{resources.get('CPU', 0):g} cores and {resources.get('GPU', 0):g} GPUs"


def _outcome(do: Callable, *arguments: Any) -> tuple[str, Any]:
    try:
        return DONE, do(*arguments)
    except Exception as error:
        line = errors.in_one_line(error)
        return (FAILED, traceback.format_exc()) if line is None else (REFUSED, line)


def _result(kind: str, content: Any) -> Any:
    if kind == REFUSED:
        raise UserError(content)
    if kind == FAILED:
        raise RuntimeError(f"a worker failed:\n{content}")
    return content


def _knock(address: str) -> None:
    """Raise OSError where nothing answers at the address."""
    host, _, port = (os.environ.get("RAY_ADDRESS", "") if address == RUNNING else address).rpartition(":")
    if port.isdigit():
        host = host.removeprefix(CLIENT).strip("[]")  # of an address of IPv6
        socket.create_connection((host, int(port)), PATIENCE).close()


@contextmanager
def connected(place: Place) -> Iterator[Cluster]:
    """A cluster while the block runs. Raises UserError where Ray is not installed, and where there is none.

    The environment is afterwards as it was: Ray leaves things in it, such as that programs started from here shall want
    a token of any cluster.
    """
    before = set(os.environ)
    try:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would tell its makers of each run
        os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
        os.environ.setdefault("RAY_worker_niceness", "0")  # else they yield to all that runs beside: a stage does not
        import ray
        from ray._private import worker
    except ModuleNotFoundError:
        raise UserError(f"{RAY} is set, but Ray is not installed: pip install -r requirements-ray.txt") from None
    worker._worker_logs_enabled = False  # what a worker dies of is said here, in one line
    options: dict[str, Any] = {"logging_level": logging.CRITICAL, "log_to_driver": False}
    if place.address == LOCAL:
        options |= {"num_cpus": os.cpu_count() or 1, "include_dashboard": False}
        paths = [str(Path(headstart.__file__).parents[1]), os.environ.get("PYTHONPATH")]
        options["runtime_env"] = {"env_vars": {"PYTHONPATH": os.pathsep.join(filter(None, paths))}}
    else:
        # The nodes run the same code, whatever lies there.
        options["runtime_env"] = {"py_modules": [str(Path(headstart.__file__).parent)]}
    try:
        try:
            _knock(place.address)
            with standard_error_closed():
                ray.init(place.address, **options)
        except (OSError, RuntimeError) as error:
            advice = {LOCAL: "see `ulimit -a` and the space in /tmp", RUNNING: "start one with `ray start --head`"}.get(
                place.address, "check host, port and token (RAY_AUTH_TOKEN), and that the versions of Ray agree"
            )
            raise UserError(
                f"{RAY}: {place.address} cannot be reached ({errors.text_of(error)[:200]}): {advice}"
            ) from None
        yield Cluster(place)
    finally:
        ray.shutdown()  # also where it was reached, and then refused
        for name in os.environ.keys() - before:
            del os.environ[name]
