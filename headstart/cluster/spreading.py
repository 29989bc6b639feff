"""Jobs that workers do on a cluster of Ray's, by Ray Data; what is done comes back in any order."""

import logging
import os
import pickle
import socket
import traceback
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import headstart
from headstart.base import errors
from headstart.base.errors import UserError
from headstart.base.quiet import standard_error_closed
from headstart.cluster.where import CLIENT, CORES, GPUS, LOCAL, RAY, RUNNING, Place

# Of a job whose worker died under it: it may have been unlucky alone. With a worker die the jobs that wait for it, and
# with a node what was done there and is not fetched yet: what is lost has a second turn, in which no job waits.
TURNS, TRIES = 2, 4
PATIENCE = 10  # seconds for an address to answer; Ray itself waits for minutes
Job = Any
Make = Callable[..., Callable[[Job], Any]]  # makes a worker, which then takes one job after the other


class Cluster:
    """A cluster that is connected; `connected` makes one."""

    def __init__(self, place: Place):
        self._place = place

    def results(self, make: Make, arguments: tuple, jobs: Iterable[tuple[int, Job]]) -> Iterator[tuple[int, Any]]:
        """Yield of each job its number and what a worker makes of it, as soon as it is done.

        make, arguments: a class or function in a package, and what each worker is made with. A job whose worker dies
        `TRIES` times under it is left out. Raises UserError where a worker does.
        """
        left = {number: {"number": number, "job": zlib.compress(pickle.dumps(job))} for number, job in jobs}
        for turn in range(TURNS):
            if not left:
                return
            place = self._place._replace(workers=min(self._place.workers or self._room(), len(left)))
            waiting = 0 if turn == TURNS - 1 else None
            for number, content in self._rows(list(left.values()), (make, arguments), place, waiting):
                kind, result = pickle.loads(content)
                if kind == "refused":
                    raise UserError(result)
                if kind == "failed":
                    raise RuntimeError(f"a worker failed:\n{result}")
                del left[number]
                yield number, result

    def _room(self) -> int:
        """How many workers the cluster has the cores and GPUs for now; more where more nodes may come."""
        import ray

        there = ray.cluster_resources()
        rooms = [there.get("CPU", 0) / self._place.cores]
        if self._place.gpus:
            rooms.append(there.get("GPU", 0) / self._place.gpus)
        if min(rooms) < 1:
            has = f"{there.get('CPU', 0):g} cores and {there.get('GPU', 0):g} GPUs"
            raise UserError(
                f"{RAY}: the cluster has {has}: lower {CORES} or {GPUS} (a worker takes that many), or add nodes"
            )
        return int(min(rooms))

    def _rows(self, *work: Any) -> Iterator[tuple[int, bytes]]:
        import ray

        if not self._place.address.startswith(CLIENT):
            yield from _run(*work)
            return
        # Ray Data does not run through Ray's client: there it runs in a process on the cluster, which hands on.
        remote = ray.remote(num_cpus=0)(_Relay).remote(*work)
        while (row := ray.get(remote.next.remote())) is not None:
            yield row


class _Relay:
    def __init__(self, *work: Any):
        self._rows = _run(*work)

    def next(self) -> tuple[int, bytes] | None:
        return next(self._rows, None)


def _run(rows: list[dict], made: tuple, place: Place, waiting: int | None) -> Iterator[tuple[int, bytes]]:
    """Of each job that no worker died of, its number and the pickled outcome.

    waiting: how many jobs wait for each worker beside the one that it is at; None: as many as Ray Data likes.
    """
    import ray.data

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.max_errored_blocks = -1
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # max_task_retries has no other place in this version
        done = ray.data.from_items(rows, override_num_blocks=len(rows)).map(
            _Worker,
            fn_constructor_args=made,
            # Of a fixed size: a worker that Ray Data stopped for want of work, and made again, would cost its start.
            compute=ray.data.ActorPoolStrategy(
                size=place.workers, max_tasks_in_flight_per_actor=None if waiting is None else 1 + waiting
            ),
            num_cpus=place.cores,
            num_gpus=place.gpus,
            max_task_retries=TRIES // TURNS - 1,
        )
        for row in done.iter_rows():
            yield int(row["number"]), row["outcome"]


class _Worker:
    """A worker as Ray Data takes it: what it does, or why it cannot, as a row."""

    def __init__(self, make: Make, arguments: tuple):
        self._why = self._do = None
        try:
            self._do = make(*arguments)
        except Exception as error:
            self._why = _explained(error)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        outcome = self._why
        if outcome is None:
            try:
                outcome = "done", self._do(pickle.loads(zlib.decompress(row["job"])))
            except Exception as error:
                outcome = _explained(error)
        return {"number": row["number"], "outcome": pickle.dumps(outcome, pickle.HIGHEST_PROTOCOL)}


def _explained(error: Exception) -> tuple[str, str]:
    line = errors.in_one_line(error)
    return ("failed", traceback.format_exc()) if line is None else ("refused", line)


def _knock(address: str) -> None:
    """Raise OSError where nothing answers at the address."""
    host, _, port = (os.environ.get("RAY_ADDRESS", "") if address == RUNNING else address).rpartition(":")
    if port.isdigit():
        socket.create_connection((host.removeprefix(CLIENT), int(port)), PATIENCE).close()


@contextmanager
def connected(place: Place) -> Iterator[Cluster]:
    """A cluster while the block runs. Raises UserError where Ray is not installed, and where there is none."""
    try:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would tell its makers of each run
        os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
        import ray
        from ray._private import worker
    except ModuleNotFoundError:
        raise UserError(f"{RAY} is set, but Ray is not installed: pip install -r requirements-ray.txt") from None
    worker._worker_logs_enabled = False  # what a worker dies of is said here, in one line
    options: dict[str, Any] = {"logging_level": logging.CRITICAL, "log_to_driver": False}
    if place.address == LOCAL:
        cores = place.workers and place.workers * place.cores
        options |= {"num_cpus": max(place.cores, cores or os.cpu_count() or 1), "include_dashboard": False}
        paths = [str(Path(headstart.__file__).parents[1]), os.environ.get("PYTHONPATH")]
        options["runtime_env"] = {"env_vars": {"PYTHONPATH": os.pathsep.join(filter(None, paths))}}
    else:
        # The nodes run the same code, whatever lies there.
        options["runtime_env"] = {"py_modules": [str(Path(headstart.__file__).parent)]}
    try:
        _knock(place.address)
        with standard_error_closed():
            ray.init(place.address, **options)
    except (OSError, RuntimeError) as error:
        advice = {LOCAL: "see `ulimit -a` and the space in /tmp", RUNNING: "start one with `ray start --head`"}.get(
            place.address, "check host, port and token (RAY_AUTH_TOKEN), and that the versions of Ray agree"
        )
        why = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(f"{RAY}: {place.address} cannot be reached ({why}): {advice}") from None
    try:
        yield Cluster(place)
    finally:
        ray.shutdown()
