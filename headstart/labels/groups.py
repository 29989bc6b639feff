"""What belongs together: images of one subject, burst or module, by a table's column, a pattern or a folder."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from headstart.artifacts.dataset import LeftOut
from headstart.artifacts.manifest import SPLITS
from headstart.base import wording
from headstart.base.errors import UserError
from headstart.base.params import Group
from headstart.base.terminal import say
from headstart.images.archive import Source
from headstart.labels import classes, tables
from headstart.labels.layouts import Item, folder_at

LARGE = 0.1  # share of the images in groups that one group has by accident, at most


def find_groups(source: Source, items: list[Item], dataset: Any) -> list[tuple[str, str]]:
    """Return the pairs of an image's path and the name of the group that it is in; an image may be in none.

    dataset: `group` and `table` of the section of that name in params.yaml. One printed line says how many images are
    in no group. Raises UserError where all are, and for a column that the table has not.
    """
    group: Group | None = dataset.group
    if group is None:
        return []
    if group.column is not None:
        used = {item.path for item in items}
        pairs = [(path, name) for path, name in tables.read_column(source, dataset.table, group.column) if path in used]
        lacking = f"{' and '.join(tables.files(dataset.table))} has none for them in its column {group.column!r}"
    elif group.pattern is not None:
        matches = ((item.path, re.search(group.pattern, item.path)) for item in items)
        pairs = [(path, match["group"]) for path, match in matches if match and match["group"]]
        lacking = f"dataset.group.pattern does not match them: {group.pattern}"
    else:
        pairs = [(item.path, folder) for item in items if (folder := folder_at(item.path, group.folder))]
        lacking = f"they have no folder at level {group.folder}: dataset.group.folder"
    alone = sorted({item.path for item in items} - {path for path, _ in pairs})
    if len(alone) == len(items):
        raise UserError(
            f"dataset.group: no image is in a group, such as {alone[0]} ({lacking}): change it, or set it to null"
        )
    if alone:
        say(f"{wording.count(len(alone), 'image')} in no group, such as {alone[0]}: each is its own ({lacking})")
    pairs = _unified(pairs)
    _say_large(pairs)
    return pairs


def _unified(pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The pairs, with one name for what is likely to be one group (`classes.same`): to join too much leaks nothing.

    One line says how many groups are written in several ways.
    """
    written = defaultdict(dict)
    for _, name in pairs:
        written[classes.same(name)].setdefault(name)
    several = [list(names) for names in written.values() if len(names) > 1]
    if several:
        ways = " and ".join(f"{name!a}" for name in several[0])
        say(f"{wording.count(len(several), 'group')} written in several ways, such as {ways}: taken for one each")
    return [(path, next(iter(written[classes.same(name)]))) for path, name in pairs]


def _say_large(pairs: list[tuple[str, str]]) -> None:
    """Print a line on a group that has most of the images, as `unknown` may in a column of patients."""
    (name, largest), *others = Counter(name for _, name in pairs).most_common()
    if len(others) >= 3 and largest > LARGE * len(pairs) and largest > 5 * others[0][1]:
        say(
            f"group {name} has {largest:,} of {len(pairs):,} images, which all stay together: if that stands for no "
            "name, leave it out there, and each is its own"
        )


def join(
    equal: list[list[Item]], named: Iterable[tuple[str, str]], alike: Iterable[tuple[str, str]] = ()
) -> tuple[list[list[Item]], dict[str, str]]:
    """Return the images in groups that are never parted, and the name of each image's group by its path.

    equal: groups of images of equal pixels (`duplicates.group_duplicates`). named: pairs of a path and the name of a
    group. alike: pairs of the paths of near-duplicates. What shares an image or a name is one group, which is named
    after the first of its names, or of its paths.

    Groups and the images in them keep the order of `equal`.
    """
    items = [item for group in equal for item in group]
    nodes = {item.path: number for number, item in enumerate(items)}
    edges = [(nodes[group[0].path], nodes[item.path]) for group in equal for item in group[1:]]
    edges += [(nodes[first], nodes[second]) for first, second in alike]
    numbers: dict[str, int] = {}
    for path, name in named:
        if path in nodes:
            edges.append((nodes[path], len(items) + numbers.setdefault(name, len(numbers))))
    components = _components(len(items) + len(numbers), edges)
    names = {}
    for name in sorted(numbers):
        names.setdefault(components[len(items) + numbers[name]], name)
    groups: dict[int, list[Item]] = {}
    for item, component in zip(items, components, strict=False):
        groups.setdefault(component, []).append(item)
        names.setdefault(component, item.path)
    return list(groups.values()), {item.path: names[component] for component, group in groups.items() for item in group}


def sets(pairs: list[tuple[str, str]]) -> list[list[str]]:
    """Return the paths in `pairs` as sets of what is connected by them, sorted."""
    paths = sorted({path for pair in pairs for path in pair})
    nodes = {path: number for number, path in enumerate(paths)}
    connected: dict[int, list[str]] = {}
    components = _components(len(paths), [(nodes[first], nodes[second]) for first, second in pairs])
    for path, component in zip(paths, components, strict=True):
        connected.setdefault(component, []).append(path)
    return list(connected.values())


def keep_published(groups: list[list[Item]], names: dict[str, str]) -> tuple[list[list[Item]], list[LeftOut]]:
    """Return the groups, each within one of the publisher's splits, and the images that are left out for it.

    Of a group in several of them the images in the last of train, validation and test stay: the publisher's test images
    are all kept, and nothing of their groups is trained on.

    Raises UserError where this leaves none of a class's images in a split.
    """
    kept, left_out = [], []
    for group in groups:
        latest = max(group, key=lambda item: SPLITS.index(item.split) if item.split else 0)
        kept.append([item for item in group if item.split == latest.split])
        name, place = names[latest.path], f"{latest.path}, which is in {latest.split}"
        copies = name in {item.path for item in group}  # no group of the user's is among them
        reason = f"near-duplicate of {place}" if copies else f"of the same group as {place} ({name})"
        left_out += [LeftOut(item.path, reason) for item in group if item.split != latest.split]
    if left_out:
        remaining = {(item.split, item.label) for group in kept for item in group}
        for item in (item for group in groups for item in group):
            if (item.split, item.label) not in remaining:
                copies = names[item.path] in names  # as above
                change = "dataset.near_duplicates to ignore" if copies else "dataset.group to null"
                raise UserError(
                    f"class {item.label} has no image in {item.split}/ that is not of the same group as one in a "
                    f"later split, such as {item.path} ({names[item.path]}): take the source's folders of splits away, "
                    "put their rows into one table, or set dataset.table.split to null where a column says them "
                    f"(--split none of start), so that whole groups are dealt out, or set {change}"
                )
    return kept, left_out


def _components(count: int, edges: list[tuple[int, int]]) -> list[int]:
    """The number of the connected component of each of `count` nodes."""
    first, second = np.array(edges, np.int64).reshape(-1, 2).T
    return connected_components(coo_array((np.ones(len(edges)), (first, second)), (count, count)))[1].tolist()
