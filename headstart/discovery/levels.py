"""Which of two levels of folders names the classes, and which one the subjects."""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable

from headstart.labels.layouts import Item, folder_at

COVERED = 0.9  # share of images that lie in a subject's folder
REPEATED = 0.8  # share of the outer folders in which the name of a class comes back
FEWEST = 3  # outer folders in which it has to
# What folders are called by the kind of file in them, in lower case: these are no classes.
KINDS = r"(jpeg)?images?|imgs?|photos?|pictures?|originals?|raw|masks?|labels?|annotations?|segmentations?"


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
    classes. Folders that have a word of their own each may be classes too, as species below families or models of cars.
    """
    subjects_by_class = defaultdict(set)
    for item in items:
        if subject := folder_at(item.path, level):
            subjects_by_class[item.label].add(subject)
    subjects = set().union(*subjects_by_class.values())
    kinds = [name for name in subjects_by_class if re.fullmatch(KINDS, name.lower())]
    if len(subjects) <= len(subjects_by_class) or kinds:
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
