from collections import Counter

import numpy as np
import pytest

from headstart.artifacts.manifest import SPLITS
from headstart.base.errors import UserError
from headstart.base.params import Split
from headstart.labels.layouts import Item
from headstart.labels.splitting import deal


def groups_of(label, *sizes, part=None):
    """Groups of these sizes, of images CLASS/GROUP-N or PART/CLASS/GROUP-N."""
    folder = f"{part}/{label}" if part else label
    return [
        [Item(f"{folder}/{group}-{number}", label, part) for number in range(size)] for group, size in enumerate(sizes)
    ]


def parts(**counts):
    """Single images of the classes a and b in the publisher's splits: so many per class."""
    return [
        group for part, count in counts.items() for name in "ab" for group in groups_of(name, *[1] * count, part=part)
    ]


def split(groups, train=4, validation=2, test=2, when_short="error", seed=1):
    settings = Split(train=train, validation=validation, test=test, when_short=when_short, folds=None, seed=seed)
    items = [item for group in groups for item in group]
    return deal(groups, sorted({item.label for item in items}), {item.split for item in items}, settings)


def counted(splits):
    """Images per class, in the order of the splits: {class: [train, validation, test]}."""
    counts = Counter((path.split("/")[-2], name) for path, name in splits.items())
    return {label: [counts[label, name] for name in SPLITS] for label in sorted({label for label, _ in counts})}


def moved(splits):
    """Images by the publisher's split and the one they went to."""
    return Counter((path.split("/")[0], name) for path, name in splits.items())


def test_counts_are_images_per_class():
    splits = split([*groups_of("a", *[1] * 10), *groups_of("b", *[1] * 9)])
    assert counted(splits) == {"a": [4, 2, 2], "b": [4, 2, 2]}


def test_a_seed_keeps_its_splits():
    # These must not change: everybody's results would be of other images.
    splits = split([*groups_of("a", *[1] * 6), *groups_of("b", *[1] * 6)], train=None, validation=1)
    numbers = {
        name: [path.removesuffix("-0") for path, dealt in sorted(splits.items()) if dealt == name] for name in SPLITS
    }
    assert numbers == {
        "train": ["a/1", "a/3", "a/5", "b/0", "b/1", "b/4"],
        "validation": ["a/2", "b/5"],
        "test": ["a/0", "a/4", "b/2", "b/3"],
    }


def test_another_seed_draws_others():
    groups = [*groups_of("a", *[1] * 10), *groups_of("b", *[1] * 10)]
    assert split(groups, seed=2) != split(groups, seed=1) == split(groups, seed=1)


def test_fractions_and_all_the_rest():
    groups = [*groups_of("a", *[1] * 40), *groups_of("b", *[1] * 20)]
    assert counted(split(groups, train=None, validation=0.1, test=0.25)) == {"a": [26, 4, 10], "b": [13, 2, 5]}


def test_where_fractions_round_to_more_images_than_there_are_train_gives_way():
    groups = [*groups_of("a", *[1] * 10), *groups_of("b", *[1] * 6)]  # of 6: 3 and, rounded, 2 and 2
    assert counted(split(groups, train=0.5, validation=0.25, test=0.25)) == {"a": [5, 2, 2], "b": [2, 2, 2]}


def test_fractions_above_one_are_refused():
    groups = [*groups_of("a", *[1] * 40), *groups_of("b", *[1] * 40)]
    with pytest.raises(
        UserError, match=r"^split: the fractions add up to 1\.15, more than 1 \(train 0\.8, val.*: lower"
    ):
        split(groups, train=0.8, validation=0.1, test=0.25)


def test_the_publishers_three_splits_stay():
    splits = split(parts(train=10, validation=10, test=10), train=4, validation=1, test=1)
    assert moved(splits) == {("train", "train"): 8, ("validation", "validation"): 20, ("test", "test"): 20}


def test_without_a_published_validation_split_it_is_taken_out_of_train():
    splits = split(parts(train=10, test=10), train=None, validation=3)
    assert moved(splits) == {("train", "train"): 14, ("train", "validation"): 6, ("test", "test"): 20}


def test_without_a_published_test_split_it_is_taken_out_of_validation():
    groups = parts(train=10, validation=10)
    assert moved(split(groups, train=None, validation=3, test=5)) == {
        ("train", "train"): 20,
        ("validation", "validation"): 6,
        ("validation", "test"): 10,
    }
    # Fractions are those of a whole source, so that only their ratio says how to divide validation.
    assert moved(split(groups, train=None, validation=0.1, test=0.4)) == {
        ("train", "train"): 20,
        ("validation", "validation"): 4,
        ("validation", "test"): 16,
    }


def test_a_class_that_one_published_split_lacks_is_named():
    groups = parts(train=10, validation=10, test=10)
    groups = [group for group in groups if not group[0].path.startswith("test/b")]
    with pytest.raises(UserError, match=r"^class b has images in train/ and validation/ only, and none in test/: put "):
        split(groups, train=None)


@pytest.mark.parametrize("seed", range(5))
def test_groups_stay_together_and_counts_are_met(seed):
    groups = [*groups_of("a", *[2] * 8), *groups_of("b", *[1] * 10)]
    splits = split(groups, seed=seed)
    assert all(len({splits.get(item.path) for item in group}) == 1 for group in groups)
    assert counted(splits) == {"a": [4, 2, 2], "b": [4, 2, 2]}


@pytest.mark.parametrize("seed", range(4))
def test_counts_are_met_where_groups_only_just_fit(seed):
    # Two images for test: of groups of 3, 3 and 2, only the last will do, whatever the order they come in.
    groups = [*groups_of("a", 3, 3, 2), *groups_of("b", *[1] * 8)]
    assert counted(split(groups, train=3, validation=3, test=2, seed=seed))["a"] == [3, 3, 2]


def test_where_no_groups_add_up_the_count_is_nearly_met_and_a_line_says_so(capsys):
    groups = [*groups_of("a", 3, 3, 3, 3), *groups_of("b", *[1] * 12)]
    assert counted(split(groups, train=None, validation=4, test=5)) == {"a": [3, 3, 6], "b": [3, 4, 5]}
    assert capsys.readouterr().out == (
        "groups stay whole: class a gives train 3, validation 3, test 6 instead of train 3, validation 4, test 5\n"
    )


def test_when_short_validation_and_test_share_what_train_leaves(capsys):
    groups = [*groups_of("a", *[1] * 20), *groups_of("b", *[1] * 12)]
    splits = split(groups, train=6, validation=8, test=4, when_short="share")
    assert counted(splits) == {"a": [6, 4, 2], "b": [6, 4, 2]}
    assert capsys.readouterr().out == (
        "class b has 12 images, fewer than 18: every class gives train 6, validation 4, test 2\n"
    )


def test_when_short_the_publishers_validation_split_is_shared(capsys):
    splits = split(parts(train=6, validation=4), train=5, validation=5, test=5, when_short="share")
    assert moved(splits) == {("train", "train"): 10, ("validation", "validation"): 4, ("validation", "test"): 4}
    assert "class a has 4 images in validation/, fewer than 10: every class gives" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": 9}, r"^class b has 12 images, but needs 13 \(train 9, validation 2, test 2\): add images, .*share$"),
        ({"train": None, "test": 11, "when_short": "share"}, r"^class b has 12 images, but needs 14 \(train 1, val"),
        (
            {"train": 12, "validation": 8, "when_short": "share"},
            r"^class b has 12 images, too few: its validation split would be empty \(wanted: train 12, .*split\.train$",
        ),
        ({"train": 1000}, r"^class b has 12 images, but needs 1004 \(.*\): add images, lower split\.train$"),
        ({"validation": 0.01}, r"^class b has 12 images, too few: its validation split would be empty"),
    ],
)
def test_a_class_with_too_few_images_is_named(changes, message):
    with pytest.raises(UserError, match=message):
        split([*groups_of("a", *[1] * 20), *groups_of("b", *[1] * 12)], **changes)


def mixed(*groups):
    """Groups of images of both classes: so many of a and of b each."""
    return [
        [
            Item(f"{label}/both{number}-{image}", label, None)
            for label, n in zip("ab", counts, strict=True)
            for image in range(n)
        ]
        for number, counts in enumerate(groups)
    ]


@pytest.mark.parametrize("seed", range(3))
def test_groups_of_both_classes_are_dealt_out_whole(seed, capsys):
    groups = mixed(*[(3, 2)] * 20, *[(1, 4)] * 20)
    splits = split(groups, train=None, validation=0.1, test=0.25, seed=seed)
    assert all(len({splits[item.path] for item in group}) == 1 for group in groups)
    assert counted(splits) == {"a": [52, 8, 20], "b": [78, 12, 30]}
    assert capsys.readouterr().out == ""


def test_of_groups_of_both_classes_those_that_no_split_needs_are_left():
    splits = split(mixed(*[(2, 2)] * 20), train=20, validation=4, test=4)
    assert counted(splits) == {"a": [20, 4, 4], "b": [20, 4, 4]}


def test_images_of_one_class_fill_what_groups_of_both_leave():
    groups = [*mixed(*[(5, 2)] * 20), *groups_of("a", *[1] * 20), *groups_of("b", *[1] * 80)]
    assert counted(split(groups, train=None, validation=0.1, test=0.25)) == {"a": [78, 12, 30], "b": [78, 12, 30]}


@pytest.mark.parametrize("size", [2, 12, 500])
def test_three_large_groups_go_to_three_splits(size):
    splits = split([*groups_of("a", *[size] * 3), *groups_of("b", *[1] * 60)], train=None, validation=0.1, test=0.25)
    assert counted(splits)["a"] == [size] * 3


@pytest.mark.parametrize(
    "groups", [[*groups_of("a", 9, 3), *groups_of("b", *[1] * 12)], mixed((6, 6), (9, 9)), mixed((9, 9))]
)
def test_fewer_groups_than_splits_are_an_error(groups):
    with pytest.raises(UserError, match=r"^class a is of \d groups?, too few to be whole in train, validation, test: "):
        split(groups, train=None, validation=2, test=2)


def test_sixty_thousand_images_in_groups_take_no_time():
    pure = [*groups_of("a", *[3] * 10_000), *groups_of("b", *[7] * 4_000)]
    both = mixed(*[(1, 1)] * 1_000)
    sizes = counted(split([*pure, *both], train=None, validation=0.1, test=0.25))
    np.testing.assert_allclose(sizes["a"], [20_150, 3_100, 7_750], atol=3)
    np.testing.assert_allclose(sizes["b"], [18_850, 2_900, 7_250], atol=7)
