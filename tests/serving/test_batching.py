import asyncio
import threading
import time

import numpy as np
import pytest

from headstart.serving.batching import Batcher

MOST = 4


class Network:
    """Gives the mean of each image; notes its batches. It begins when `open` is set."""

    def __init__(self):
        self.batches, self.threads, self.open = [], set(), threading.Event()
        self.open.set()

    def __call__(self, images):
        self.open.wait(10)
        self.batches.append(len(images))
        self.threads.add(threading.get_ident())
        if images.max() == 255:
            raise ValueError("white")
        return images.mean(axis=(1, 2, 3))


def image(value):
    return np.full((2, 2, 3), value, np.uint8)


def run(work, wait=0.01):
    """What `work(batcher, network)` returns, and the network."""
    network, seen = Network(), []

    async def main():
        async with Batcher(network, MOST, wait, seen.append) as batcher:
            return await work(batcher, network)

    result = asyncio.run(main())
    assert seen == network.batches
    return result, network


async def value_of(batcher, value):
    given, place = await batcher.answer(image(value))
    return float(given[place])


def test_each_gets_the_answer_to_its_own_image_and_no_batch_is_too_large():
    async def work(batcher, _):
        return await asyncio.gather(*(value_of(batcher, value) for value in range(30)))

    values, network = run(work)
    assert values == list(map(float, range(30)))
    assert max(network.batches) == MOST and sum(network.batches) == 30 and len(network.threads) == 1


def test_one_alone_waits_no_longer_than_it_should():
    async def work(batcher, _):
        began = time.monotonic()
        await value_of(batcher, 1)
        return time.monotonic() - began

    seconds, network = run(work, wait=0.2)
    assert 0.15 < seconds < 2 and network.batches == [1]


def test_those_that_come_within_the_wait_share_a_batch():
    async def work(batcher, _):
        first = asyncio.create_task(value_of(batcher, 1))
        await asyncio.sleep(0.05)
        return [await value_of(batcher, 2), await first]

    values, network = run(work, wait=1)
    assert values == [2, 1] and network.batches == [2]


def test_what_nobody_waits_for_any_more_is_not_computed():
    async def work(batcher, network):
        network.open.clear()
        busy = asyncio.create_task(value_of(batcher, 1))
        await asyncio.sleep(0.1)
        tasks = [asyncio.create_task(value_of(batcher, value)) for value in (2, 3, 4)]
        await asyncio.sleep(0.1)
        tasks[0].cancel()
        tasks[2].cancel()
        await asyncio.sleep(0)
        network.open.set()
        return [await busy, await tasks[1]]

    values, network = run(work)
    assert values == [1, 3] and network.batches == [1, 1]


def test_a_batch_that_fails_fails_for_its_callers_alone():
    async def work(batcher, _):
        failed = await asyncio.gather(*(value_of(batcher, value) for value in (255, 1)), return_exceptions=True)
        return failed, await value_of(batcher, 7)

    (failed, value), _ = run(work)
    assert [str(error) for error in failed] == ["white", "white"] and value == 7


def test_it_says_that_a_batch_does_not_end():
    async def work(batcher, network):
        network.open.clear()
        task = asyncio.create_task(value_of(batcher, 1))
        before = batcher.stuck(0.1)
        await asyncio.sleep(0.3)
        within = batcher.stuck(0.1)
        network.open.set()
        await task
        return before, within, batcher.stuck(0.1), batcher.pace > 0

    assert run(work)[0] == (False, True, False, True)


def test_outside_of_its_block_it_is_stuck_and_leaves_no_thread():
    before = threading.active_count()
    batcher = Batcher(Network(), MOST, 0, lambda _: None)
    assert batcher.stuck(1)

    async def main():
        async with batcher:
            await value_of(batcher, 1)
            assert not batcher.stuck(1)
        assert batcher.stuck(1)

    asyncio.run(main())
    assert threading.active_count() == before


@pytest.mark.parametrize("count", [1, MOST])
def test_a_full_batch_does_not_wait(count):
    async def work(batcher, _):
        began = time.monotonic()
        tasks = [asyncio.create_task(value_of(batcher, value)) for value in range(count)]
        done, _ = await asyncio.wait(tasks, timeout=1)
        for task in tasks:
            task.cancel()
        return len(done), time.monotonic() - began

    (done, seconds), _ = run(work, wait=5)
    assert done == (count if count == MOST else 0) and (seconds < 1) == (count == MOST)
