"""The recipe's splits give each class an image, by the images that are dealt out."""

import pytest
from conftest import ROOT

from headstart.artifacts.dataset import LeftOut
from headstart.base.params import Split
from headstart.discovery import recipe
from headstart.discovery.reading import Layout
from headstart.discovery.survey import Survey
from headstart.labels.layouts import Item
from headstart.labels.splitting import plan, sizes_per_class


@pytest.fixture(autouse=True)
def _here(monkeypatch):
    monkeypatch.chdir(ROOT)


def items(split, **counts):
    return [Item(f"{split}/{name}/{n}.png", name, split) for name, count in counts.items() for n in range(count)]


def refuse_unfit(images, lost=(), copies=()):
    """Raise UserError where the recipe's sizes leave a split without a class."""
    layout = Layout({"labels": "folders"}, "", images, [], True, {}, "")
    broken = [LeftOut(path, "truncated") for path in lost]
    seen = Survey(len(images), len(images), {}, broken, 0.01, [list(group) for group in copies], True, [])
    split = Split(**{"train": None, "when_short": "error", "folds": None, "seed": 1} | sizes(layout, seen))
    gone = {*lost, *(path for group in copies for path in group)}
    for part, wanted in plan({item.split for item in images}, split).items():
        here = [item.label for item in images if item.split == part and item.path not in gone]
        sizes_per_class(wanted, {name: here.count(name) for name in set(here)}, "error")


def sizes(layout, seen):
    return recipe.recipe(layout, seen, "mine", None, None)["split"]


def test_a_rare_class_counts_in_the_split_that_is_dealt():
    refuse_unfit([*items("train", good=3000, bad=4), *items("test", good=1000, bad=5)])


def test_a_rare_class_counts_in_validation_where_test_is_taken_from_it():
    refuse_unfit([*items("train", good=3000, bad=500), *items("validation", good=1000, bad=2)])


def test_images_that_cannot_be_read_do_not_count():
    refuse_unfit(items(None, good=3000, bad=8), lost=[f"None/bad/{number}.png" for number in range(4)])


def test_copies_that_contradict_each_other_do_not_count():
    refuse_unfit(items(None, good=3000, bad=8), copies=[(f"None/bad/{n}.png", f"None/good/{n}.png") for n in range(4)])
