"""Which of two levels of folders names the classes, and which one the subjects."""

import posixpath
import re
from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import NamedTuple

from headstart.labels.layouts import Item, folder_at
from headstart.labels.published import split_of

COVERED = 0.9  # share of images that lie in a subject's folder
REPEATED = 0.8  # share of the outer folders in which the name of a class comes back
FEWEST = 3  # outer folders in which it has to
# What folders are called by the kind of file in them, in lower case: these are no classes.
PICTURES = r"(jpeg)?images?|imgs?|photos?|pictures?|originals?|raw"
MASKS = r"masks?|labels?|annotations?|segmentations?|ground[-_ ]?truths?|gts?|trimaps?"
KINDS = rf"{PICTURES}|{MASKS}"


# Folders of one kind of file, or of parts of a download, where classes would be named; `mask` may be a class.
_IDLE = r"(jpeg)?images?|imgs?|annotat(ed|ions?)|thumb(nail)?s?"
_PART = r"(.*[^a-z])?(part|batch|chunk|folder|(jpeg)?images?|imgs?)[-_ ]?\d+"


def are_kinds(names: Iterable[str]) -> bool:
    """Whether folders are called by the kind of file in them, one of them at least, or all by parts of a download."""
    names = [name.lower() for name in names]
    return any(re.fullmatch(_IDLE, name) for name in names) or all(re.fullmatch(_PART, name) for name in names)


# Folders of the same images in several forms, as PlantVillage has them.
_FORM = r"(.*[^a-z])?(colou?r|gr[ae]y(scale)?|rgb|segmented|masked|cropped|resized|augmented)([^a-z].*)?"


def forms(items: Iterable[Item]) -> list[str]:
    """The folders above those of the images, sorted, where their names say that they have the same images; or none."""
    names = sorted({folder_at(item.path, -2) or "" for item in items})
    return names if all(re.fullmatch(_FORM, name.lower()) for name in names) else []


class Between(NamedTuple):
    """A pattern for paths whose classes have folders of splits or kinds of files in them; and what it leaves out."""

    pattern: str
    masks: list[str]


def between(images: Iterable[str]) -> Between | None:
    """The pattern by which folders are classes that have such as `images` or `train` in them, or masks beside them.

    As cats/images/1.jpg, cats/train/1.jpg and ground_truth/cats/1.png have them. None where the plain names of the
    folders do, and where more than one folder above an image may be its class.
    """
    paths = list(images)
    folders = {tuple(path.split("/")[:-1]) for path in paths}
    masks = {name for above in folders for name in above if re.fullmatch(MASKS, name.lower())}
    named = {
        above: [name for name in above if not split_of(name) and not re.fullmatch(PICTURES, name.lower())]
        for above in folders
        if not masks.intersection(above)
    }
    root = posixpath.commonprefix(list(named.values())) if named else []
    inside = {
        above: above[len(above) - above[::-1].index(names[-1]) :] for above, names in named.items() if names != root
    }
    others = [above for above in named if above not in inside]
    higher = [above[: len(above) - len(names) - 1] for above, names in inside.items()]
    if others and not all(any(map(split_of, above)) for above in higher):  # beside bus/images, train is a class
        return None
    labels = {above: named[above][-1] for above in inside}
    if len(set(labels.values())) < 2 or any(len(named[above]) != len(root) + 1 for above in inside):
        return None
    if any(re.fullmatch(rf"({PICTURES})[-_ ]?\d*", name.lower()) for name in labels.values()):  # as images_001
        return None
    if not (masks or any(inside.values())) or any(not any(map(split_of, above)) for above in others):
        return None
    kinds = defaultdict(set)  # of files, by the folder of a class: of several, each may be a class
    for above, names in inside.items():
        kinds[above[: len(above) - len(names)]] |= {name for name in names if not split_of(name)}
    tails = {name for names in inside.values() for name in names}
    same = {len(names) for names in inside.values()} == {1}
    barred = {name for above in others for name in above} - {*root} | (set() if same else tails)
    pattern = f"(?!(.*/)?({_any(masks)})/)" * bool(masks) + "(.*/)?"
    pattern += f"(?!({_any(barred)})/)" * bool(barred) + "(?P<label>[^/]+)"
    pattern += (f"/({_any(tails)})" if same else f"(/({_any(tails)}))*") * bool(tails) + "/[^/]+"
    expected = {path: labels.get(tuple(path.split("/")[:-1])) for path in paths}
    read = {path: found and found["label"] for path in paths for found in [re.fullmatch(pattern, path)]}
    return Between(pattern, sorted(masks)) if read == expected and max(map(len, kinds.values())) < 2 else None


def nested(images: Iterable[str]) -> str | None:
    """The pattern by which the inner folders are classes, where the same ones lie in folders of splits, or twice.

    As seg_train/seg_train/sea and seg_test/seg_test/sea have them, and cells/a beside cells/cells/a. Folders that are
    in one place alone are left out. None where others may be the classes.
    """
    above = defaultdict(set)  # the folders above one of images, by its name
    for *outer, name in {tuple(path.split("/")[:-1]) for path in images} - {()}:
        above[name].add(tuple(outer))
    places = {place for found in above.values() if len(found) > 1 for place in found}
    names = [name for name, found in above.items() if found == places]
    least = min(places, key=len, default=())
    copies = all(place[: len(least)] == least for place in places)
    splits = all(any(map(split_of, re.split(r"[\W_]+", place[-1]))) for place in places if place)
    idle = are_kinds(names) or any(map(split_of, names)) or any(re.fullmatch(KINDS, name.lower()) for name in names)
    if len(names) < 2 or idle or not (copies or (splits and () not in places)):
        return None
    others = {*above} - {*names}
    return "(.*/)?" + f"(?!({_any(others)})/)" * bool(others) + "(?P<label>[^/]+)/[^/]+"


def _any(names: Iterable[str]) -> str:
    return "|".join(map(re.escape, sorted(names)))


def of_subjects(images: Iterable[str]) -> dict[int, str]:
    """The levels at which the folders of subjects may be, as `dataset.group.folder`, each in words."""
    depths = {image.count("/") for image in images}
    return {-1: "the folders below them", 0 if depths == {2} else -2: "the folders above them"}


def covers(items: list[Item], level: int) -> bool:
    """Whether most images, of several subjects, lie in a folder at that level."""
    names = [folder_at(item.path, level) for item in items]
    return len(names) - names.count(None) >= COVERED * len(names) and len({*names} - {None}) > 1


def is_told(items: list[Item], level: int) -> bool:
    """Whether names tell that the folders at that level (`of_subjects`) are subjects, and the others classes.

    Subjects have numbers in their names where classes have none; the names of classes come back in nearly every
    subject's folder, and those of subjects, which are numbered, in one class alone. And there are more subjects than
    classes, and these are no `forms`. Folders that have a word of their own each may be classes too, as species below
    families or models of cars.
    """
    subjects_by_class = defaultdict(set)
    for item in items:
        if subject := folder_at(item.path, level):
            subjects_by_class[item.label].add(subject)
    subjects = set().union(*subjects_by_class.values())
    kinds = [name for name in subjects_by_class if re.fullmatch(KINDS, name.lower())]
    if len(subjects) <= len(subjects_by_class) or kinds or forms(items):
        return False
    ids = numbered(subjects) and not _differ_in_letters(subjects)
    if ids and not numbered(subjects_by_class):
        return True
    if level == -1:
        return ids and len(subjects) >= COVERED * sum(map(len, subjects_by_class.values()))
    shares = [len(names) / len(subjects) for names in subjects_by_class.values()]
    return len(subjects) >= FEWEST and min(shares) >= REPEATED and not numbered(subjects_by_class)


def numbered(names: Collection[str]) -> bool:
    """Whether most names have a number."""
    return sum(any(map(str.isdigit, name)) for name in names) > len(names) / 2


def _differ_in_letters(names: Collection[str]) -> bool:
    """Whether most names have letters of their own, as `001.Wren` or `X5` of several models, and not `patient 12`."""
    letters = {"".join(filter(str.isalpha, name.lower())) for name in names}
    return len(letters) > max(2, len(names) / 2)
