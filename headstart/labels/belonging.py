"""What belongs together among the images of a source: equal pixels, near-duplicates, the groups of `dataset.group`."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from headstart.artifacts.dataset import LeftOut
from headstart.labels import groups
from headstart.labels.duplicates import copies_in_training, group_duplicates
from headstart.labels.layouts import Item


@dataclass(frozen=True)
class Belonging:
    """The groups that no split parts, and how they came about.

    `groups`: the images that can be used, each group within one of the publisher's splits; `names`: of the group, by
    image; `left_out`: for contradicting another image, or for being of a group in a later published split; `equal`:
    groups of equal pixels; `alike`: pairs of near-duplicates; `items`, `hashes`: of all images that can be decoded;
    `grouped`: whether there is a `dataset.group`; `together`: whether near-duplicates are kept in one split.
    """

    groups: list[list[Item]]
    names: dict[str, str]
    left_out: list[LeftOut]
    equal: list[list[Item]]
    alike: list[tuple[str, str]]
    items: list[Item]
    hashes: dict[str, str]
    grouped: bool
    together: bool

    def facts(self, splits: Mapping[str, str]) -> dict[str, Any]:
        """Return what `metrics/dataset.json` says of it, by its keys; splits: of the images in use, by path."""
        labels = {item.path: item.label for item in self.items}
        published = {item.path: item.split for item in self.items}
        return {
            "duplicates": [[item.path for item in group] for group in self.equal if len(group) > 1],
            "near_duplicates": groups.sets(self.alike),
            "suspicious": [pair for pair in self.alike if labels[pair[0]] != labels[pair[1]]],
            "groups": len({self.names[path] for path in splits}) if self.grouped else None,
            "test_copies": copies_in_training(splits, self.hashes, self.alike),
            "copies_taken_out": copies_in_training(published, self.hashes, self.alike if self.together else ()),
        }


def find(
    items: list[Item],
    hashes: dict[str, str],
    pairs_among: Callable[[list[str]], list[tuple[str, str]]],
    named: Iterable[tuple[str, str]],
    near: str,
) -> Belonging:
    """Return what belongs together.

    items: all images; those that cannot be decoded have no hash and are left aside. hashes: of their pixels, by path.
    pairs_among: returns the pairs of near-duplicates among these paths. named: pairs of a path and the name of a group
    (`groups.find_groups`). near: `dataset.near_duplicates`.
    """
    items = [item for item in items if item.path in hashes]
    equal, contradictory = group_duplicates(items, hashes)
    alike = pairs_among([group[0].path for group in equal])
    named = list(named)
    joined, names = groups.join(equal, named, alike if near == "group" else ())
    kept, parted = groups.keep_published(joined, names)
    return Belonging(kept, names, contradictory + parted, equal, alike, items, hashes, bool(named), near == "group")
