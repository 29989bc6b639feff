from collections import Counter

import numpy as np
import pytest

from headstart.base.errors import UserError
from headstart.base.params import Split
from headstart.labels.folds import deal_folds
from headstart.labels.layouts import Item


def groups_of(label, *sizes, part=None):
    """Groups of these sizes, of images CLASS/GROUP-N or PART/CLASS/GROUP-N."""
    folder = f"{part}/{label}" if part else label
    return [
        [Item(f"{folder}/{group}-{number}", label, part) for number in range(size)] for group, size in enumerate(sizes)
    ]


def dealt(groups, folds=5, seed=1):
    settings = Split(train=None, validation=0.1, test=0.25, when_short="error", folds=folds, seed=seed)
    return deal_folds(groups, settings)


def counted(folds, count=5):
    """Images per class in each fold: {class: [number, …]}."""
    counts = Counter((path.split("/")[-2], fold) for path, fold in folds.items())
    return {name: [counts[name, fold] for fold in range(1, count + 1)] for name in sorted({name for name, _ in counts})}


def test_without_folds_there_are_none():
    assert dealt(groups_of("a", 1, 1), folds=None) == {}


@pytest.mark.parametrize(("classes", "images"), [(2, 20), (20, 20), (2, 103), (3, 5)])
def test_each_class_is_dealt_out_evenly(classes, images, capsys):
    names = [chr(ord("a") + number) for number in range(classes)]
    folds = dealt([group for name in names for group in groups_of(name, *[1] * images)])
    assert len(folds) == classes * images
    assert all(max(counts) - min(counts) <= 1 for counts in counted(folds).values())
    sizes = Counter(folds.values())
    assert max(sizes.values()) - min(sizes.values()) <= 1
    assert capsys.readouterr().out == f"5 folds of {min(sizes.values())} to {max(sizes.values())} images\n"


def test_a_group_is_in_one_fold_and_sizes_are_near():
    sizes = np.random.default_rng(1).integers(1, 6, 60)
    groups = [*groups_of("a", *sizes), *groups_of("b", *sizes[:30]), [Item("a/x", "a", None), Item("b/y", "b", None)]]
    folds = dealt(groups)
    assert len(folds) == sum(map(len, groups))
    assert all(len({folds[item.path] for item in group}) == 1 for group in groups)
    assert all(max(counts) - min(counts) <= 3 for counts in counted(folds).values())


def test_equal_seeds_give_equal_folds_and_others_others():
    groups = [*groups_of("a", *[1] * 30), *groups_of("b", *[1] * 30)]
    assert dealt(groups) == dealt(groups) != dealt(groups, seed=2)


def test_the_publishers_test_images_are_in_no_fold(capsys):
    groups = [
        g for part in ("train", "validation", "test") for name in "ab" for g in groups_of(name, *[1] * 5, part=part)
    ]
    folds = dealt(groups)
    assert {path.split("/")[0] for path in folds} == {"train", "validation"}
    assert counted(folds) == {"a": [2] * 5, "b": [2] * 5}
    assert capsys.readouterr().out.endswith("images; the publisher's test split (10 images) is in none\n")


@pytest.mark.parametrize(
    ("sizes", "folds", "message"),
    [
        (
            [1] * 4,
            5,
            "split.folds: got 5, but class b has 4 images, not one for each fold: add images, or lower it to 4",
        ),
        ([1], 5, "split.folds: got 5, but class b has 1 image, not one for each fold: add images, or leave the class"),
        (
            [9, 8, 7],
            10,
            "split.folds: got 10, but class b has 24 images in 3 groups that stay together, not one for each fold: add "
            "images, or lower it to 3",
        ),
    ],
)
def test_a_class_that_does_not_go_round_is_refused(sizes, folds, message):
    with pytest.raises(UserError) as raised:
        dealt([*groups_of("a", *[1] * 20), *groups_of("b", *sizes)], folds)
    assert str(raised.value).startswith(message) and "\n" not in str(raised.value)
