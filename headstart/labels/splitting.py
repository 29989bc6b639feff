"""How images are dealt out to train, validation and test: class by class, by a seed, each group to one split."""

import numpy as np

from headstart.artifacts.manifest import SPLITS
from headstart.base import wording
from headstart.base.errors import UserError
from headstart.base.params import Split
from headstart.labels.layouts import Item

DRAWN_FIRST = tuple(reversed(SPLITS))  # test, then validation, then train
Sizes = dict[str, int | float | None]  # images per class, by split: a count, a fraction, or None for all the rest


def deal(groups: list[list[Item]], classes: list[str], published: set[str | None], settings: Split) -> dict[str, str]:
    """Return the split of each image that is used, by path; the images of a group go to one split.

    groups: images of one class and one published split each. classes: all of them, in any order. published: the
    publisher's splits, or None alone. Equal arguments give equal splits; `settings.seed` draws others.

    Raises UserError where a class has too few images for the sizes in `settings`.
    """
    rng = np.random.default_rng(settings.seed)
    splits = {}
    for part, wanted in plan(published, settings).items():
        pools = {name: [g for g in groups if g[0].label == name and g[0].split == part] for name in sorted(classes)}
        counts = {name: sum(map(len, pool)) for name, pool in pools.items()}
        sizes = sizes_per_class(wanted, counts, settings.when_short, f" in {part}/" if part else "")
        for name, pool in pools.items():
            pool = [pool[index] for index in rng.permutation(len(pool))]
            for split in (split for split in DRAWN_FIRST if split in wanted):
                drawn = pool if wanted[split] is None else _draw(pool, sizes[name][split])
                splits |= {item.path: split for group in drawn for item in group}
                pool = [group for group in pool if group[0].path not in splits]
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
    wanted: Sizes, counts: dict[str, int], when_short: str, where: str = ""
) -> dict[str, dict[str, int]]:
    """Return how many images each class gives to each split of one part of the source: {class: {split: number}}.

    wanted: the sizes of the part's splits. counts: the images that each class has in it. when_short: `error`, or
    `share`: where a class has too few, validation and test share what train leaves of it, and every class gives as
    many images as that one. where: the part, for messages.

    Raises UserError for fractions above 1 in all, for a class with too few images, and for a split left without any.
    """
    fractions = sum(size for size in wanted.values() if isinstance(size, float))
    if fractions > 1 + 1e-9:
        raise UserError(f"split: the fractions add up to {fractions:g}, more than 1 ({_listed(wanted)}): lower one")
    sizes = {name: _resolve(wanted, count) for name, count in counts.items()}
    smallest = min(counts, key=lambda name: (counts[name], name))
    count, needed = counts[smallest], sum(sizes[smallest].values())
    if needed > count:
        if when_short == "error" or None in wanted.values() or set(wanted) == {"train"}:
            raise UserError(
                f"class {smallest} has {wording.count(count, 'image')}{where}, but needs {needed} "
                f"({_listed(sizes[smallest])}): add images, "
                f"lower split.{' or split.'.join(wanted)}, or give counts and set split.when_short to share"
            )
        sizes = dict.fromkeys(counts, _share(sizes[smallest], count))
    for split in wanted:
        emptiest = min(counts, key=lambda name: (sizes[name][split], counts[name], name))
        if sizes[emptiest][split] < 1:
            raise UserError(
                f"class {emptiest} has {wording.count(counts[emptiest], 'image')}{where}, too few: its {split} split "
                f"would be empty (wanted: {_listed(wanted)}): add images, or change split.{split}"
            )
    if needed > count:
        shared = _listed(sizes[smallest])
        images = wording.count(count, "image")
        print(f"class {smallest} has {images}{where}, fewer than {needed}: every class gives {shared}")
    return sizes


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


def _draw(groups: list[list[Item]], size: int) -> list[list[Item]]:
    """The first groups that fit, of `size` images together, or as near below it as the groups allow."""
    drawn, room = [], size
    for group in groups:
        if len(group) <= room:
            drawn.append(group)
            room -= len(group)
    if room:
        # No single image is left to fill the gap: look for groups that add up (subset sums), or come nearest.
        sums: dict[int, tuple[int, ...]] = {0: ()}
        for index, group in enumerate(groups):
            for total, chosen in list(sums.items()):
                if total + len(group) <= size:
                    sums.setdefault(total + len(group), (*chosen, index))
        drawn = [groups[index] for index in sums[max(sums)]]
    return drawn
