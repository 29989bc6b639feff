"""Jobs on a real cluster of several nodes, all on this machine, and what happens to them when its parts die."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from itertools import count
from pathlib import Path
from unittest import mock

import pytest
from conftest import ROOT
from workers import Doubling

from headstart.base.errors import UserError
from headstart.cluster import spreading
from headstart.cluster.where import Place
from tests.team import servers

pytest.importorskip("ray", reason="Ray is not installed: pip install -r requirements-ray.txt")
PORT = servers.free_port()
NODE = {"num_cpus": 1, "object_store_memory": 100 * 2**20}


@pytest.fixture(scope="module")
def nodes():
    """A cluster of two nodes with a core each."""
    from ray.cluster_utils import Cluster

    kept = dict(os.environ)
    places = [str(Path(__file__).parent), str(ROOT), *filter(None, [kept.get("PYTHONPATH")])]
    os.environ["PYTHONPATH"] = os.pathsep.join(places)
    head = NODE | {"include_dashboard": False, "ray_client_server_port": PORT}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    cluster.add_node(**NODE)
    os.environ["RAY_ADDRESS"] = cluster.address
    yield cluster
    cluster.shutdown()
    os.environ.clear()
    os.environ.update(kept)


@pytest.fixture(autouse=True)
def environment(nodes):
    """As it was: a cluster on one machine leaves there that it wants a token, which that of several nodes does not."""
    with mock.patch.dict(os.environ):
        yield


@pytest.fixture
def notes(tmp_path):
    return tmp_path / "notes"


def run(notes, numbers, seconds=0.0, during=None, address="auto", **place):
    """What comes back of each number. during: called with what has come back so far, as soon as that changes."""
    done = {}
    with spreading.connected(Place(**{"address": address, "cores": 1} | place)) as cluster:
        for number, (result, content) in cluster.results(Doubling, (str(notes), seconds), ((n, n) for n in numbers)):
            assert len(content) == 2_000_000 and number not in done
            done[number] = result
            if during:
                during(done)
    return done


def processes(notes):
    return [int(line.split()[1]) for line in notes.read_text().splitlines()]


def times(notes):
    return Counter(int(line.split()[0]) for line in notes.read_text().splitlines())


def expected(numbers):
    return {number: 2 * number for number in numbers}


def test_each_job_is_done_once_on_all_nodes_in_a_store_that_is_too_small_for_all(nodes, notes, capfd):
    """240 MB of results, of which the nodes hold 200."""
    assert run(notes, range(100, 220)) == expected(range(100, 220))
    assert set(times(notes).values()) == {1} and len(set(processes(notes))) == 2
    printed = capfd.readouterr()
    assert printed.out == printed.err == ""


def test_a_cluster_elsewhere_does_the_same(nodes, notes):
    assert run(notes, range(100, 120), address=f"ray://127.0.0.1:{PORT}") == expected(range(100, 120))
    assert set(times(notes).values()) == {1} and len(set(processes(notes))) == 2


def test_a_worker_that_is_killed_costs_its_job_alone(nodes, notes):
    def kill(done):
        if len(done) == 3:
            os.kill(processes(notes)[-1], signal.SIGKILL)

    assert run(notes, range(100, 140), 0.1, kill) == expected(range(100, 140))
    assert len(set(processes(notes))) == 3 and max(times(notes).values()) <= 2


def test_a_job_that_kills_its_workers_is_left_out_and_the_others_are_done(nodes, notes, capfd):
    assert run(notes, range(10, 14)) == expected(range(10, 13))
    assert times(notes)[13] == spreading.TRIES
    printed = capfd.readouterr()
    assert printed.out == printed.err == ""


@pytest.mark.parametrize("joins", [False, True])
def test_a_node_that_vanishes(joins, nodes, notes):
    node = nodes.add_node(**NODE)
    before, deadline = len(nodes.list_all_nodes()), time.monotonic() + 60
    given = []

    def numbers():
        """60, and where a node joins as many more as it takes until its worker is there."""
        for number in count(100):
            if len(given) >= 60 and (not joins or len(set(processes(notes))) == 4 or time.monotonic() > deadline):
                return
            given.append(number)
            yield number

    def change(done):
        if len(done) == 5:
            nodes.remove_node(node, allow_graceful=False)
        if len(done) == 15 and joins:
            nodes.add_node(**NODE)

    assert run(notes, numbers(), 0.2, change, workers=4) == expected(given)
    assert before == 3 and len(set(processes(notes))) == 3 + joins and max(times(notes).values()) <= 2


@pytest.mark.parametrize(
    ("number", "kind", "message"), [(14, UserError, "^14: takes other numbers$"), (15, RuntimeError, "ValueError: 15")]
)
def test_what_a_worker_raises_ends_the_work(number, kind, message, nodes, notes):
    with pytest.raises(kind, match=message):
        run(notes, [1, number, 2])


@pytest.mark.parametrize("place", [{}, {"address": "local", "workers": 1}])
def test_more_than_there_is_is_one_line(place, nodes, notes):
    with pytest.raises(UserError, match=r"the cluster has \d cores and 0 GPUs: lower HEADSTART_RAY_CORES"):
        run(notes, [1], gpus=1, **place)


WAITING = """
import sys
from headstart.cluster import spreading
from headstart.cluster.where import Place
from workers import Doubling
spreading.START = 1
with spreading.connected(Place("auto", workers=1, cores=5)) as cluster:
    for number, (result, _) in cluster.results(Doubling, (sys.argv[1],), [(7, 7)]):
        print(number, result)
"""


def test_whoever_waits_for_a_node_is_told_and_goes_on_when_it_joins(nodes, notes):
    command = [sys.executable, "-c", WAITING, str(notes)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as waiting:
        told = waiting.stdout.readline()
        node = nodes.add_node(**NODE | {"num_cpus": 5})
        assert waiting.communicate(timeout=100)[0] == "7 14\n"
    nodes.remove_node(node)
    there = r"the cluster has (\d) cores and 0 GPUs, \1 cores and 0 GPUs of them free"
    said = f"HEADSTART_RAY: waiting for the first worker, which takes 5 cores and 0 GPUs: {there}\n"
    assert re.fullmatch(said, told)


def test_workers_on_one_machine_yield_to_nothing_that_a_stage_does_not_yield_to(nodes, notes):
    found = []
    run(notes, [1], 0.1, lambda _: found.append(os.getpriority(os.PRIO_PROCESS, processes(notes)[0])), "local")
    assert found == [os.getpriority(os.PRIO_PROCESS, 0)]


def test_the_environment_is_afterwards_as_it_was(nodes, notes):
    """Of a cluster on one machine Ray leaves there that it wants a token, and a debugger of its own."""
    before = dict(os.environ)
    run(notes, [1], address="local")
    assert dict(os.environ) == before


def test_an_address_of_ipv6_is_knocked_at():
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as server:
        spreading._knock(f"ray://[::1]:{server.getsockname()[1]}")


def test_no_cluster_is_one_line(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with (
        pytest.raises(UserError, match="^HEADSTART_RAY: auto cannot be reached .*: start one with `ray start"),
        spreading.connected(Place("auto")),
    ):
        pass
