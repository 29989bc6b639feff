"""Tables that belong together by the numbers that they give images, such as images.txt and image_class_labels.txt."""

import posixpath
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from headstart.discovery import sniffing
from headstart.images.archive import Source
from headstart.labels import matching
from headstart.labels.published import split_of, split_of_cell
from headstart.labels.rows import TEXT_ERRORS, decoded

MOST = 20  # tables in a folder, from where on they are of single images or classes
CLASSES = r"(class(es)?|labels?|categor(y|ies))([_-]?(names?|list|index|map))?"  # names of a table of classes' names


class Joined(NamedTuple):
    """What tables say together: the tables, that of the images first; and the label and split of each image, by path.

    A split is train, validation or test, or empty. meaning: what the numbers in the table of splits are taken for.
    missing: the images of the first table that the source has not, or where several could be meant.
    """

    files: list[str]
    labels: dict[str, str]
    splits: dict[str, str]
    meaning: str
    missing: Sequence[str] = ()


def find(source: Source, tables: Sequence[str], images: sniffing.Index) -> Joined | None:
    """Return what tables of one folder say that have numbers in place of images; None where that is not clear.

    One of them has the path of an image for each number, and just one the label, by its name; just one may have the
    split, by its name or by what is in it, and one the names of the classes. Where images are named by these numbers,
    each table can be read by itself.
    """
    by_folder = defaultdict(list)
    for file in tables:
        by_folder[posixpath.dirname(file)].append(file)
    for files in by_folder.values():
        if 2 <= len(files) <= MOST:
            read = {file: cells for file in files if (cells := _read(source, file))}
            paths = [file for file, cells in read.items() if _are_images(cells.values(), images)]
            if len(paths) == 1 and (joined := _join(source, paths[0], read)):
                return joined
    return None


def _read(source: Source, file: str) -> dict[str, str] | None:
    """The rest of each line by the number that it begins with; None where some begin otherwise, or with the same.

    Without quotes around cells, and without the .0 of whole numbers.
    """
    try:
        lines = [line.strip() for line in decoded(source.read(file)).splitlines()]
    except TEXT_ERRORS:
        return None
    cells: dict[str, str] = {}
    for at, line in enumerate(line for line in lines if line and not line.startswith("#")):
        match = re.fullmatch(r"[\"']?(\d+)(?:\.0+)?[\"']?[\s,;|]+(.+)", line)
        if match is None and at == 0:
            continue  # a header
        if match is None or match[1] in cells:
            return None
        quoted = re.fullmatch(r"([\"'])([^\"']+)\1", match[2])
        cells[match[1]] = re.sub(r"^(\d+)\.0+$", r"\1", quoted[2].strip() if quoted else match[2])
    return cells


def _are_images(cells: Iterable[str], images: sniffing.Index) -> bool:
    """Whether most cells are names of images; numbers may be classes as well."""
    known = [sniffing.key(cell) in images.keys and not cell.isdigit() for cell in cells]
    return sum(known) > 0.5 * len(known)


def _join(source: Source, of_paths: str, read: dict[str, dict[str, str]]) -> Joined | None:
    paths = read[of_paths]
    if all(sniffing.key(path).lstrip("0") == number.lstrip("0") for number, path in paths.items()):
        return None
    same = {file: cells for file, cells in read.items() if file != of_paths and cells.keys() == paths.keys()}
    single = {
        file: cells for file, cells in same.items() if not any(re.search(r"[\s,;|]", cell) for cell in cells.values())
    }
    of_splits = [file for file, cells in single.items() if _says_splits(file, {*cells.values()})]
    of_labels = [file for file in single if file not in of_splits and re.search("label|class|categor", _stem(file))]
    if len(of_labels) != 1 or len(of_splits) > 1:
        return None
    labels = single[of_labels[0]]
    of_names = [
        file
        for file, cells in read.items()
        if file not in (of_paths, *same) and re.fullmatch(CLASSES, _stem(file)) and {*labels.values()} <= cells.keys()
    ]
    names = read[of_names[0]] if len(of_names) == 1 else {}
    splits = single[of_splits[0]] if of_splits else {}
    found, _, _ = matching.match(list(paths.values()), source.names(), of_paths)
    numbers = {found[path]: number for number, path in paths.items() if path in found}
    marks = sorted({cell for cell in splits.values() if split_of(cell) is None}, reverse=True)
    meaning = ", ".join(f"{cell}: {_split(cell)}" for cell in marks)
    return Joined(
        [of_paths, *of_labels, *of_splits, *of_names[: len(of_names) == 1]],
        {path: names.get(labels[number], labels[number]) for path, number in numbers.items()},
        {path: _split(splits.get(number, "")) for path, number in numbers.items()},
        meaning,
        [path for path in paths.values() if path not in found],
    )


def _says_splits(file: str, cells: set[str]) -> bool:
    """Whether a table says splits: in words; or as 1 and 0, and is named as train_test_split.txt is."""
    words = set(re.split(r"[\W_]+", _stem(file)))
    named = "train" in map(split_of, words) and bool(words & {"split", "test"})
    return len(cells) > 1 and all(map(_split if named else split_of, cells))


def _split(cell: str) -> str:
    return split_of_cell("is_train", cell) or ""


def _stem(file: str) -> str:
    return posixpath.splitext(posixpath.basename(file))[0].lower()
