import numpy as np

from headstart.artifacts.manifest import Manifest
from headstart.classifier import familiar, unlike


def features(count, seed, centre=0):
    rng = np.random.default_rng(seed)
    values = rng.normal(0, 0.1, (count, 32))
    values[:, centre : centre + 4] += 1
    return values.astype("float32")


def test_images_like_those_of_training_are_within_the_limit_and_others_are_not():
    known = familiar.known(features(500, 1), features(300, 2))
    assert known.features.dtype == np.float16 and known.features.shape == (500, 32)
    np.testing.assert_allclose(np.linalg.norm(known.features.astype("float32"), axis=1), 1, atol=1e-3)
    assert unlike.is_unlike(features(1000, 3), known).mean() < 0.03
    assert unlike.is_unlike(features(1000, 4, centre=16), known).all()
    assert not unlike.is_unlike(7 * features(1000, 3)[:1], known).any(), "the length does not count"


def test_a_handful_of_images_is_enough_to_tell_what_is_far():
    known = familiar.known(features(3, 1), features(2, 2))
    assert unlike.is_unlike(features(100, 3), known).mean() < 0.5
    assert unlike.is_unlike(features(100, 4, centre=16), known).all()


def test_of_several_backbones_each_counts_the_same_whatever_its_values():
    def both(count, seed, centre=0, scale=1.0):
        return np.concatenate([features(count, seed, centre), scale * features(count, seed + 10)], axis=1)

    for scale in (1, 100):
        known = familiar.known(both(500, 1, scale=scale), both(300, 2, scale=scale), [32, 32])
        assert known.widths == (32, 32)
        assert unlike.is_unlike(both(1000, 3, scale=scale), known).mean() < 0.03
        assert unlike.is_unlike(both(1000, 4, 16, scale), known).all(), "to the first one, whose values are smaller"


def test_of_many_images_some_are_drawn_the_same_every_time():
    count = familiar.KEPT + familiar.COMPARED + 700
    splits = np.array(["train"] * (familiar.KEPT + 300) + ["validation"] * (familiar.COMPARED + 300) + ["test"] * 100)
    paths = [f"{number}.png" for number in range(count)]
    table = Manifest(["a", "b"], paths, np.arange(count) % 2, splits, paths)
    kept, compared = familiar.rows(table, 1)
    assert (len(kept), len(compared)) == (familiar.KEPT, familiar.COMPARED)
    assert set(splits[kept]) == {"train"} and set(splits[compared]) == {"validation"}
    assert all(np.array_equal(*pair) for pair in zip((kept, compared), familiar.rows(table, 1), strict=True))
    assert not np.array_equal(kept, familiar.rows(table, 2)[0])
