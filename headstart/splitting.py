"""How images are dealt out to train, validation and test: by class, by a seed, equal pixels never to two splits."""

from collections import defaultdict

import numpy as np

from headstart.dataset import Item, LeftOut
from headstart.errors import UserError
from headstart.manifest import SPLITS
from headstart.params import Split

DRAWN_FIRST = tuple(reversed(SPLITS))  # test, then validation, then train
Sizes = dict[str, int | float | None]  # a split's images a class: count, fraction, or None for all the rest


def group_duplicates(items: list[Item], hashes: dict[str, str]) -> tuple[list[list[Item]], list[LeftOut]]:
    """The images in groups of equal pixels, most of them of one image, and those that contradict each other.

    Equal pixels in two of the publisher's own splits stay in the one that is needed later: test, validation, train.
    """
    by_hash = defaultdict(list)
    for item in items:
        by_hash[hashes[item.path]].append(item)
    groups, left_out = [], []
    for group in by_hash.values():
        if len({item.label for item in group}) > 1:
            for item in group:
                other = next(o for o in group if o.label != item.label)
                left_out.append(LeftOut(item.path, f"same pixels as {other.path}, of class {other.label}"))
            continue
        latest = max(group, key=lambda item: SPLITS.index(item.split) if item.split else 0)
        groups.append([item for item in group if item.split == latest.split])
        for item in group:
            if item.split != latest.split:
                left_out.append(LeftOut(item.path, f"same pixels as {latest.path}, which is in {latest.split}"))
    return groups, left_out


def plan(published: set[str | None], split: Split) -> dict[str | None, Sizes]:
    """Which splits each part of the source gives, and how many images a class; the part None is a whole source."""
    asked: Sizes = {name: getattr(split, name) for name in SPLITS}
    if None in published:
        return {None: asked}
    if "validation" not in published:
        return {"train": {name: asked[name] for name in ("train", "validation")}, "test": {"test": None}}
    parts = {"train": {"train": asked["train"]}}
    if "test" in published:
        return parts | {"validation": {"validation": None}, "test": {"test": None}}
    both = {name: asked[name] for name in ("validation", "test")}
    if all(isinstance(size, float) for size in both.values()):
        both = {"validation": None, "test": both["test"] / sum(both.values())}
    return parts | {"validation": both}


def sizes_of(asked: Sizes, counts: dict[str, int], when_short: str, where: str) -> dict[str, dict[str, int]]:
    """How many images each split gets of each class, whose images `counts` has, for one part of the source."""
    fractions = sum(size for size in asked.values() if isinstance(size, float))
    if fractions > 1 + 1e-9:
        raise UserError(f"split: the fractions add up to {fractions:g}, more than 1 ({_listed(asked)}): lower one")
    sizes = {label: _resolve(asked, count) for label, count in counts.items()}
    label = min(counts, key=lambda label: (counts[label], label))
    count, needed = counts[label], sum(sizes[label].values())
    if needed > count:
        sharing = [name for name in asked if name != "train"]
        if when_short == "error" or None in asked.values() or not sharing:
            raise UserError(
                f"class {label} has {count} images{where}, but {needed} are asked for ({_listed(sizes[label])}): "
                f"add images, lower split.{' or split.'.join(asked)}, or give counts and set split.when_short to share"
            )
        shared, rest = dict(sizes[label]), count - sizes[label].get("train", 0)
        weight = sum(shared[name] for name in sharing)
        for name in sharing:
            size = shared[name]
            shared[name] = max(0, round(rest * size / max(1, weight)))
            rest, weight = rest - shared[name], weight - size
        sizes = dict.fromkeys(counts, shared)
    for name in asked:
        emptiest = min(counts, key=lambda other: (sizes[other][name], counts[other], other))
        if sizes[emptiest][name] < 1:
            raise UserError(
                f"class {emptiest} has {counts[emptiest]} images{where}, too few: its {name} split would be empty "
                f"({_listed(asked)} asked for): add images, or change split.{name}"
            )
    if needed > count:
        print(
            f"class {label} has {count} images{where}, fewer than {needed}: every class gives {_listed(sizes[label])}"
        )
    return sizes


def deal(groups: list[list[Item]], labels: list[str], published: set[str | None], split: Split) -> dict[str, str]:
    """The split of every image that is used, by path; each of `groups` stays together."""
    rng = np.random.default_rng(split.seed)
    splits = {}
    for part, asked in plan(published, split).items():
        pools = {name: [g for g in groups if g[0].label == name and g[0].split == part] for name in sorted(labels)}
        counts = {name: sum(map(len, pool)) for name, pool in pools.items()}
        sizes = sizes_of(asked, counts, split.when_short, f" in {part}/" if part else "")
        for label, pool in pools.items():
            pool = [pool[index] for index in rng.permutation(len(pool))]
            for name in (name for name in DRAWN_FIRST if name in asked):
                drawn = pool if asked[name] is None else _draw(pool, sizes[label][name])
                splits |= {item.path: name for group in drawn for item in group}
                pool = [group for group in pool if group[0].path not in splits]
    return splits


def _listed(sizes: Sizes) -> str:
    return ", ".join(f"{name} {'all the rest' if size is None else format(size, ',g')}" for name, size in sizes.items())


def _resolve(asked: Sizes, count: int) -> dict[str, int]:
    sizes = {name: round(size * count) if isinstance(size, float) else size for name, size in asked.items()}
    given = sum(size for size in sizes.values() if size is not None)
    for name, size in asked.items():
        if size is None:
            sizes[name] = max(1, count - given)
        elif name == "train" and isinstance(size, float):
            # Fractions that add up to 1 may round to one image more than there are.
            sizes[name] -= max(0, min(1, given - count))
    return sizes


def _draw(groups: list[list[Item]], wanted: int) -> list[list[Item]]:
    drawn, room = [], wanted
    for group in groups:
        if len(group) <= room:
            drawn.append(group)
            room -= len(group)
    if room:
        # No single image is left to fill the gap: look for groups that add up (subset sums), or come nearest.
        sums: dict[int, tuple[int, ...]] = {0: ()}
        for index, group in enumerate(groups):
            for total, chosen in list(sums.items()):
                if total + len(group) <= wanted:
                    sums.setdefault(total + len(group), (*chosen, index))
        drawn = [groups[index] for index in sums[max(sums)]]
    return drawn
