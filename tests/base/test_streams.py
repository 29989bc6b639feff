import numpy as np
import pytest

from headstart.base.streams import PURPOSES, rng


def test_each_purpose_and_number_has_a_stream_of_its_own():
    draws = {
        (seed, purpose, number): tuple(rng(seed, purpose, number).integers(2**31, size=4))
        for seed in (0, 1)
        for purpose in PURPOSES
        for number in range(6)
    }
    assert len(set(draws.values())) == len(draws)
    assert draws[1, "views", 3] == tuple(rng(1, "views", 3).integers(2**31, size=4))


def test_a_purpose_keeps_its_stream_for_good():
    """Another number for one of them would silently change every published result."""
    first = {purpose: int(rng(1, purpose, 2).integers(2**31)) for purpose in PURPOSES}
    assert first == {
        "order": int(np.random.default_rng([1, 2]).integers(2**31)),
        "views": int(np.random.default_rng([1, 2, 1]).integers(2**31)),
        "subset": int(np.random.default_rng([1, 2, 2]).integers(2**31)),
        "live views": int(np.random.default_rng([1, 2, 3]).integers(2**31)),
        "cross-validation": int(np.random.default_rng([1, 2, 4]).integers(2**31)),
        "subset of groups": int(np.random.default_rng([1, 2, 5]).integers(2**31)),
        "head views": int(np.random.default_rng([1, 2, 7]).integers(2**31)),
        "mixup": int(np.random.default_rng([1, 2, 6]).integers(2**31)),
        "inspection": int(np.random.default_rng([1, 2, 8]).integers(2**31)),
        "known images": int(np.random.default_rng([1, 2, 9]).integers(2**31)),
        "bootstrap": int(np.random.default_rng([1, 2, 10]).integers(2**31)),
        "corruptions": int(np.random.default_rng([1, 2, 11]).integers(2**31)),
        "images for 8 bits": int(np.random.default_rng([1, 2, 12]).integers(2**31)),
        "regression": int(np.random.default_rng([1, 2, 13]).integers(2**31)),
        "calibration by chance": int(np.random.default_rng([1, 2, 14]).integers(2**31)),
    }


def test_an_unknown_purpose_has_none():
    with pytest.raises(KeyError):
        rng(1, "anything else", 0)
