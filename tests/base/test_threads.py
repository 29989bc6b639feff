"""Results in the order of their inputs, errors at their place, and a bounded look-ahead."""

import os
import subprocess
import sys
import threading
import time

import pytest

from headstart.base import threads


def test_results_come_in_the_order_of_their_inputs():
    """The later an item, the sooner it is ready."""

    def slow(number):
        time.sleep((20 - number) / 500)
        return number * number

    assert list(threads.in_order(slow, range(20), workers=4)) == [number * number for number in range(20)]


def test_all_workers_compute_side_by_side():
    """Each call waits until three are under way: fewer workers would end in a BrokenBarrierError."""
    together = threading.Barrier(3, timeout=60)
    assert list(threads.in_order(lambda item: together.wait() * 0 + item, range(6), workers=3)) == list(range(6))


def test_an_error_is_raised_where_its_result_would_be_next():
    results = threads.in_order(lambda number: 12 // (number - 2), range(1, 6), workers=2)
    assert next(results) == -12
    with pytest.raises(ZeroDivisionError):
        next(results)


@pytest.mark.parametrize(("options", "ahead"), [({"workers": 2}, 2), ({"workers": 2, "ahead": 5}, 5)])
def test_only_the_next_items_are_taken_ahead(options, ahead):
    items = iter(range(100))
    results = threads.in_order(lambda item: item, items, **options)
    assert [next(results), next(results)] == [0, 1]
    assert next(items) == ahead + 2
    results.close()


def test_items_are_taken_in_the_callers_thread():
    def items():
        for _ in range(3):
            yield threading.current_thread()

    assert set(threads.in_order(lambda thread: thread, items(), workers=2)) == {threading.current_thread()}


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system gives processes no cores of their own")
def test_as_many_work_as_there_are_cores_for_the_process():
    script = "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])\n"
    script += "from headstart.base import threads; print(threads.THREADS)"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout == "1\n"
