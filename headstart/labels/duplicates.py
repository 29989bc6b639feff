"""Images of equal pixels: they stay together, and those that contradict each other are left out; copies in training."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from headstart.artifacts.dataset import LeftOut
from headstart.artifacts.manifest import SPLITS
from headstart.labels.layouts import Item


def group_duplicates(items: list[Item], hashes: dict[str, str]) -> tuple[list[list[Item]], list[LeftOut]]:
    """Return the images in groups of equal pixels, most of one image only, and the images that are left out.

    hashes: of the pixels, by path. Groups and the images in them keep the order of `items`.

    Equal pixels in two classes are left out. Equal pixels in two of the publisher's splits stay in the later one of
    train, validation, test.
    """
    items_by_hash = defaultdict(list)
    for item in items:
        items_by_hash[hashes[item.path]].append(item)
    groups, left_out = [], []
    for group in items_by_hash.values():
        firsts: dict[str, Item] = {}
        for item in group:
            firsts.setdefault(item.label, item)
        if len(firsts) > 1:
            for item in group:
                other = next(other for label, other in firsts.items() if label != item.label)
                left_out.append(LeftOut(item.path, f"same pixels as {other.path}, of class {other.label}"))
            continue
        latest = max(group, key=lambda item: SPLITS.index(item.split) if item.split else 0)
        groups.append([item for item in group if item.split == latest.split])
        reason = f"same pixels as {latest.path}, which is in {latest.split}"
        left_out += [LeftOut(item.path, reason) for item in group if item.split != latest.split]
    return groups, left_out


def copies_in_training(
    splits: Mapping[str, str | None], hashes: dict[str, str], alike: Iterable[tuple[str, str]]
) -> int:
    """Return of how many test images there is a copy in training.

    splits: of all images, by path. hashes: of the pixels, by path. alike: pairs of the paths of near-duplicates.
    """
    copied = {hashes[path] for path, split in splits.items() if split == "train"}
    near = [(hashes[first], hashes[second]) for first, second in alike]
    copied |= {second for pair in near for first, second in (pair, pair[::-1]) if first in copied}
    return sum(split == "test" and hashes[path] in copied for path, split in splits.items())
