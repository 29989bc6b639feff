"""How images are dealt out to train, validation and test: class by class, by a seed, each group to one split."""

from collections import Counter
from collections.abc import Mapping

import numpy as np

from headstart.artifacts.manifest import SPLITS
from headstart.base import wording
from headstart.base.errors import UserError
from headstart.base.params import Split
from headstart.base.terminal import say
from headstart.labels.layouts import Item
from headstart.labels.spreading import spread

DRAWN_FIRST = tuple(reversed(SPLITS))  # test, then validation, then train
Sizes = dict[str, int | float | None]  # images per class, by split: a count, a fraction, or None for all the rest
WINDOW = 300  # groups, of those drawn and of those not, that are tried in all combinations for a better sum


def deal(
    groups: list[list[Item]],
    classes: list[str],
    published: set[str | None],
    settings: Split,
    lost: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Return the split of each image that is used, by path; the images of a group go to one split.

    groups: images of one published split each; those of several classes are dealt out first. classes: all of them, in
    any order. published: the publisher's splits, or None alone. lost: by class, how many more images were left out and
    why, for messages (`classes.lost`). Equal arguments give equal splits; `settings.seed` draws others. A line is
    printed where groups do not add up to the sizes in `settings`.

    Raises UserError where a class has too few images for these sizes, or is of fewer groups than splits.
    """
    rng = np.random.default_rng(settings.seed)
    splits = {}
    for part, wanted in plan(published, settings).items():
        where = f" in {part}/" if part else ""
        here = [group for group in groups if group[0].split == part]
        pools, mixed = _pools(here, classes)
        paths: dict[str, list[str]] = {name: [] for name in pools}
        for item in (item for group in here for item in group):
            paths[item.label].append(item.path)
        counts = {name: len(images) for name, images in paths.items()}
        _refuse_missing(part, counts, groups, lost or {})
        sizes = sizes_per_class(wanted, counts, settings.when_short, where, lost)
        # With a stream of their own, since the classes' draws are to stay as they are.
        dealt = _deal_mixed(mixed, counts, sizes, np.random.default_rng([settings.seed, 1]))
        have = Counter((item.label, dealt[item.path]) for group in mixed for item in group if item.path in dealt)
        for name, pool in pools.items():
            pool = _shuffled(pool, sorted(paths[name]), rng)
            dealt |= _deal_class(pool, {split: have[name, split] for split in wanted}, wanted, sizes[name])
        have = Counter((item.label, dealt[item.path]) for group in here for item in group if item.path in dealt)
        number = Counter(label for group in here for label in {item.label for item in group})
        _compare(have, sizes, number, where)
        splits |= dealt
    return splits


def plan(published: set[str | None], settings: Split) -> dict[str | None, Sizes]:
    """Return the splits that each part of the source gives, with their sizes.

    The parts are the publisher's splits, or None for a source without. Validation is taken out of train where the
    publisher has none, and test out of validation; the publisher's test split is used as a whole.
    """
    wanted: Sizes = {split: getattr(settings, split) for split in SPLITS}
    if None in published:
        return {None: wanted}
    if "validation" not in published:
        return {"train": {split: wanted[split] for split in ("train", "validation")}, "test": {"test": None}}
    parts = {"train": {"train": wanted["train"]}}
    if "test" in published:
        return parts | {"validation": {"validation": None}, "test": {"test": None}}
    both = {split: wanted[split] for split in ("validation", "test")}
    if all(isinstance(size, float) for size in both.values()):
        both = {"validation": None, "test": both["test"] / sum(both.values())}
    return parts | {"validation": both}


def sizes_per_class(
    wanted: Sizes, counts: dict[str, int], when_short: str, where: str = "", lost: Mapping[str, str] | None = None
) -> dict[str, dict[str, int]]:
    """Return how many images each class gives to each split of one part of the source: {class: {split: number}}.

    wanted: the sizes of the part's splits. counts: the images that each class has in it. when_short: `error`, or
    `share`: where a class has too few, validation and test share what train leaves of it, and every class gives as
    many images as that one. where, lost: the part, and what `deal` takes, for messages.

    Raises UserError for fractions above 1 in all, for a class with too few images, and for a split left without any.
    """
    fractions = sum(size for size in wanted.values() if isinstance(size, float))
    if fractions > 1 + 1e-9:
        raise UserError(f"split: the fractions add up to {fractions:g}, more than 1 ({_listed(wanted)}): lower one")
    sizes = {name: _resolve(wanted, count) for name, count in counts.items()}
    smallest = min(counts, key=lambda name: (counts[name], name))
    count, needed = counts[smallest], sum(sizes[smallest].values())
    # Where one size alone is more than there is, the others need not be lowered.
    too_large = [split for split, size in sizes[smallest].items() if wanted[split] is not None and size >= count]
    if needed > count:
        if when_short == "error" or None in wanted.values() or set(wanted) == {"train"}:
            share = "" if too_large else ", or give counts and set split.when_short to share"
            raise UserError(
                f"class {smallest} has {_have(smallest, count, where, lost)}, but needs {needed} "
                f"({_listed(sizes[smallest])}): add images, lower split.{' or split.'.join(too_large or wanted)}{share}"
            )
        sizes = dict.fromkeys(counts, _share(sizes[smallest], count))
    for split in wanted:
        emptiest = min(counts, key=lambda name: (sizes[name][split], counts[name], name))
        if sizes[emptiest][split] < 1:
            culprit = "train" if needed > count and "train" in too_large else split
            raise UserError(
                f"class {emptiest} has {_have(emptiest, counts[emptiest], where, lost)}, too few: its {split} split "
                f"would be empty (wanted: {_listed(wanted)}): add images, or change split.{culprit}"
            )
    if needed > count:
        shared = _listed(sizes[smallest])
        images = wording.count(count, "image")
        say(f"class {smallest} has {images}{where}, fewer than {needed}: every class gives {shared}")
    return sizes


def _refuse_missing(
    part: str | None, counts: dict[str, int], groups: list[list[Item]], lost: Mapping[str, str]
) -> None:
    """Raise UserError where a class has images in another one of the publisher's splits, but none in this one."""
    for name in sorted(name for name, count in counts.items() if not count):
        there = {item.split for group in groups for item in group if item.label == name and item.split}
        if there:
            folders = "/ and ".join(split for split in SPLITS if split in there)
            others = f" ({lost[name]})" if name in lost else ""
            raise UserError(
                f"class {name} has images in {folders}/ only, and none in {part}/{others}: put some there, take these "
                "out if that is no class, or take all images out of the splits' folders, or their rows into one table, "
                "so that they are dealt out; where a column says the splits, set dataset.table.split to null "
                "(--split none of start)"
            )


def _have(name: str, count: int, where: str, lost: Mapping[str, str] | None) -> str:
    more = f" ({lost[name]})" if lost and name in lost else ""
    return f"{wording.count(count, 'image')}{where}{more}"


def _listed(sizes: Sizes) -> str:
    return ", ".join(f"{name} {'all the rest' if size is None else format(size, ',g')}" for name, size in sizes.items())


def _resolve(wanted: Sizes, count: int) -> dict[str, int]:
    """The sizes of a class of `count` images as numbers of images, which may add up to more than there are."""
    sizes = {split: round(size * count) if isinstance(size, float) else size for split, size in wanted.items()}
    fixed = sum(size for size in sizes.values() if size is not None)
    for split, size in wanted.items():
        if size is None:
            sizes[split] = max(1, count - fixed)
        elif split == "train" and isinstance(size, float):
            # Fractions that add up to 1 may round to one image more than there are.
            sizes[split] -= max(0, min(1, fixed - count))
    return sizes


def _share(sizes: dict[str, int], count: int) -> dict[str, int]:
    """`sizes`, but validation and test share what train leaves of `count` images, in proportion."""
    shared = dict(sizes)
    sharing = [split for split in sizes if split != "train"]
    rest, weight = count - sizes.get("train", 0), sum(sizes[split] for split in sharing)
    for split in sharing:
        shared[split] = max(0, round(rest * sizes[split] / max(1, weight)))
        rest, weight = rest - shared[split], weight - sizes[split]
    return shared


def _pools(groups: list[list[Item]], classes: list[str]) -> tuple[dict[str, list[list[Item]]], list[list[Item]]]:
    """The groups of one class each, by that class, and those of several."""
    pools: dict[str, list[list[Item]]] = {name: [] for name in sorted(classes)}
    mixed = []
    for group in groups:
        single = all(item.label == group[0].label for item in group)
        (pools[group[0].label] if single else mixed).append(group)
    return pools, mixed


def _shuffled(pool: list[list[Item]], paths: list[str], rng: np.random.Generator) -> list[list[Item]]:
    """The groups in the order in which their first images are drawn.

    paths: of all images of the class. So a group more, such as two near-duplicates, changes the splits of few images.
    """
    place = {paths[index]: number for number, index in enumerate(rng.permutation(len(paths)))}
    return sorted(pool, key=lambda group: place[group[0].path])


def _deal_class(pool: list[list[Item]], have: dict[str, int], wanted: Sizes, sizes: dict[str, int]) -> dict[str, str]:
    """The split of each image of a class's own groups, by path, where it has one; have: what each split has already."""
    dealt = {}
    empty = {split for split in wanted if not have[split]}
    for split in (split for split in DRAWN_FIRST if split in wanted):
        must = split in empty
        empty.discard(split)
        drawn = _draw(pool, None if wanted[split] is None else sizes[split] - have[split], must, len(empty))
        dealt |= {item.path: split for group in drawn for item in group}
        pool = [group for group in pool if group[0].path not in dealt]
    return dealt


def _deal_mixed(
    groups: list[list[Item]], counts: dict[str, int], sizes: dict[str, dict[str, int]], rng: np.random.Generator
) -> dict[str, str]:
    """The split of each image of groups of several classes, by path, where it has one."""
    if not groups:
        return {}
    columns, splits = {name: number for number, name in enumerate(sizes)}, list(next(iter(sizes.values())))
    table = np.zeros((len(groups), len(sizes)), np.int64)
    for row, group in zip(table, groups, strict=True):
        np.add.at(row, [columns[item.label] for item in group], 1)
    wanted = np.array([[sizes[name][split] for name in sizes] for split in splits], float)
    whole = np.array([counts[name] for name in sizes])
    # Images that no split needs are one more split.
    wanted = np.vstack([wanted, whole - wanted.sum(axis=0)])
    chosen = spread(table, wanted * table.sum(axis=0) / whole, rng)
    return {
        item.path: splits[split]
        for split, group in zip(chosen, groups, strict=True)
        if split < len(splits)
        for item in group
    }


def _draw(groups: list[list[Item]], size: int | None, some: bool, reserve: int) -> list[list[Item]]:
    """The first groups that fit, of `size` images together, or as near to it as the groups allow; None: all of them.

    some: whether one group must be drawn at least. reserve: how many groups must be left.
    """
    if size is None:
        return groups
    spare = sorted(range(len(groups)), key=lambda index: len(groups[index]))[:reserve]
    for pool in (groups, [group for index, group in enumerate(groups) if index not in spare]):
        drawn = _nearest(pool, size)
        if some and not drawn:
            drawn = sorted(pool, key=len)[:1]
        if len(groups) - len(drawn) >= reserve:
            break
    return drawn


def _nearest(groups: list[list[Item]], size: int) -> list[list[Item]]:
    fitting, others, room = [], [], size
    for group in groups:
        fits = len(group) <= room
        (fitting if fits else others).append(group)
        room -= len(group) * fits
    if room <= 0 or not others:
        return fitting
    # No single image is left to fill the gap. Of the last groups and the next ones look for those that come nearest
    # (subset sums): bit t of reached[n] says whether some of the first n have t images together.
    kept = fitting[:-WINDOW] if len(fitting) > WINDOW else []
    pool = [*fitting[len(kept) :], *others[:WINDOW]]
    reached = [1]
    for group in pool:
        reached.append(reached[-1] | reached[-1] << len(group))
    missing = size - sum(map(len, kept))
    sums = np.flatnonzero(np.frombuffer(bin(reached[-1])[:1:-1].encode(), "u1") == ord("1"))
    rest = int(sums[np.abs(sums - missing).argmin()])
    chosen = []
    for number in reversed(range(len(pool))):
        if not reached[number] >> rest & 1:
            chosen.append(pool[number])
            rest -= len(pool[number])
    return [*kept, *reversed(chosen)]


def _compare(have: Counter, sizes: dict[str, dict[str, int]], groups: Counter, where: str) -> None:
    """Say where the splits are of other sizes than wanted; raise UserError where one has none of a class's images.

    have: images by class and split. groups: by class.
    """
    for name, wanted in sizes.items():
        if empty := [split for split in wanted if not have[name, split]]:
            raise UserError(
                f"class {name} is of {wording.count(groups[name], 'group')}{where}, too few to be whole in "
                f"{', '.join(wanted)}: its {empty[0]} split would be empty; add images of other groups, or change "
                "dataset.group"
            )
    off = {name: sum(abs(have[name, split] - wanted[split]) for split in wanted) for name, wanted in sizes.items()}
    name = max(off, key=off.get)
    if off[name]:
        given = {split: have[name, split] for split in sizes[name]}
        more = sum(map(bool, off.values())) - 1
        others = f", and {wording.count(more, 'class')} by as many or fewer" if more else ""
        say(f"groups stay whole: class {name}{where} gives {_listed(given)} instead of {_listed(sizes[name])}{others}")
