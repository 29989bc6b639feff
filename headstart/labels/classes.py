"""The classes: their names in one form, their order, and what was seen in the source but became none."""

import posixpath
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Mapping
from typing import Any

from headstart.artifacts.dataset import LeftOut, by_reason
from headstart.base import wording
from headstart.base.errors import UserError
from headstart.base.terminal import say
from headstart.images.archive import Source
from headstart.labels.published import split_of

# Zero-width space, word joiner, byte-order mark, soft hyphen: two names that differ in them look the same.
UNSEEN = dict.fromkeys(map(ord, "\u200b\u2060\ufeff\u00ad"))
NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")
SHOWN = 3  # reasons for leaving out images of a class, the commonest first


def unify(labels: dict[str, str]) -> dict[str, str]:
    """Return the labels, by path, in one form (`clean`).

    One line is printed for each class whose name is written in several ways, as a Mac and another machine would.
    """
    written = defaultdict(Counter)
    for label in labels.values():
        written[clean(label)][label] += 1
    for name, forms in sorted(written.items()):
        if len(forms) > 1:
            ways = ", ".join(f"{form!a} ({wording.count(count, 'image')})" for form, count in sorted(forms.items()))
            say(f"class {name} is written in {len(forms)} ways, which are taken for one: {ways}")
    return {path: clean(label) for path, label in labels.items()}


def clean(name: str) -> str:
    """The name of a class as it is used: composed Unicode (NFC), and of spaces and what cannot be seen just one between
    words.
    """
    return " ".join(unicodedata.normalize("NFC", name.translate(UNSEEN)).split())


def same(name: str) -> str:
    """What names that are likely to mean the same have in common: `7`, `7.0` and `007`; `P1` and `p1`."""
    name = clean(name).casefold()
    return str(float(name)) if NUMBER.fullmatch(name) else name


def order_classes(labels: Iterable[str], dataset: Any) -> list[str]:
    """Return the names of the classes in the order of their indices: that of `dataset.classes`.

    If that is null, they are in alphabetical order, or, where all of them are numbers, from the smallest on.

    labels: of all images. dataset: `path` and `classes` of the section of that name in params.yaml.

    Raises UserError where `dataset.classes` does not name just the classes of the images, where there is only one, and
    where two are likely to mean the same (`same`) without being named there.
    """
    counts = Counter(labels)
    names = in_order(counts)
    if dataset.classes is None:
        _refuse_twins(counts)
    given = [clean(name) for name in dataset.classes or names]
    if sorted(given) != sorted(names):
        hints = "".join(wording.did_you_mean(name, names) for name in given if name not in names)
        raise UserError(
            f"dataset.classes names {', '.join(given)}, but the source has {', '.join(names)}; {hints}"
            "name each of its classes once, or set dataset.classes to null"
        )
    if len(names) < 2:
        raise UserError(f"only one class in {dataset.path}, {names[0]}: two or more are needed; check dataset.labels")
    return given


def in_order(names: Iterable[str]) -> list[str]:
    """Return names of classes in alphabetical order, or, where all of them are numbers, from the smallest on."""
    names = sorted(names)
    if all(map(NUMBER.fullmatch, names)):
        names.sort(key=float)
    return names


def _refuse_twins(counts: dict[str, int]) -> None:
    twins = defaultdict(list)
    for name in sorted(counts):
        twins[same(name)].append(name)
    for names in twins.values():
        if len(names) > 1:
            told = " and ".join(f"{name} ({wording.count(counts[name], 'image')})" for name in names)
            how = "are the same number" if NUMBER.fullmatch(names[0]) else "differ in case alone"
            raise UserError(
                f"the classes {told} {how}: give them one name, by renaming or, in a table, by "
                "dataset.table.values; or name all classes in dataset.classes, where these are to stay apart"
            )


def lost(labels: Mapping[str, str], left_out: Iterable[LeftOut]) -> dict[str, str]:
    """Return, by class, how many of its images were left out and why, in words; classes that lost none have no entry.

    labels: of all images, by path.
    """
    by_class = defaultdict(list)
    for entry in left_out:
        if entry.path in labels:
            by_class[labels[entry.path]].append(entry)
    return {
        name: f"{wording.count(len(entries), 'other')} left out: "
        + ", ".join(f"{len(kind)} as {kind[0].path} ({kind[0].reason})" for kind in by_reason(entries)[:SHOWN])
        for name, entries in by_class.items()
    }


def refuse_unusable(labels: Mapping[str, str], hashes: Mapping[str, str], left_out: Iterable[LeftOut]) -> None:
    """Raise UserError where none of a class's images can be used, and where several are all of the same pixels.

    labels: of all images, by path. hashes: of the pixels of those that can be decoded, by path.
    """
    gone = dict(left_out)
    paths_by_class = defaultdict(list)
    for path, name in labels.items():
        paths_by_class[name].append(path)
    for name, paths in sorted(paths_by_class.items()):
        if all(path in gone for path in paths):
            first = by_reason(LeftOut(path, gone[path]) for path in paths)[0][0]
            example = f"{first.path}: {first.reason}"
            raise UserError(f"class {name}: none of its images can be used ({example}): replace them")
        if len(paths) > 1 and len({hashes.get(path, path) for path in paths}) == 1:
            raise UserError(
                f"class {name}: all of its {len(paths):,} images have the same pixels, such as {paths[0]}: replace them"
            )


def say_folders_without_images(source: Source, images: Container[str], labelled: Iterable[str]) -> None:
    """Print one line on the folders beside those of the classes, or of the splits, that hold no image at all.

    images: the paths of the source's images. labelled: of those that have a class.
    """
    files = defaultdict(list)
    for name in source.names():
        for folder in _above(name):
            files[folder].append(name)
    files |= {folder: [] for folder in source.empty_folders()}
    classes = {posixpath.dirname(path) for path in labelled}
    beside = {posixpath.dirname(folder) for folder in classes}
    beside |= {posixpath.dirname(folder) for folder in beside if split_of(posixpath.basename(folder))}
    lacking = {
        folder: held
        for folder, held in sorted(files.items())
        if posixpath.dirname(folder) in beside and not any(path in images for path in held)
    }
    if lacking:
        told = [
            f"{folder} ({wording.count(len(held), 'file')}, such as {posixpath.basename(held[0])})"
            if held
            else f"{folder} (empty)"
            for folder, held in lacking.items()
        ]
        more = f" and {len(told) - 5:,} more" if len(told) > 5 else ""
        say(f"{wording.count(len(told), 'folder')} without an image, of no class: {', '.join(told[:5])}{more}")


def _above(path: str) -> Iterable[str]:
    """The folders above a file, the innermost first."""
    while path := posixpath.dirname(path):
        yield path
