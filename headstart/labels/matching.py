"""Which file a row of a table means, however its path is written: taken where it can be only one."""

import posixpath
import re
import unicodedata
import urllib.parse
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from headstart.artifacts.dataset import LeftOut
from headstart.base import wording
from headstart.images.finding import is_image_name, masks, stem, without_ending
from headstart.labels.published import split_of, split_of_table

_HINTS = 3  # missing images that the nearest file is looked up for


class Match(NamedTuple):
    """What a written path means.

    paths: the files that it can mean: one, several that are equally near, or none. differs: in words, how the path of
    the one is written otherwise in the source. renamed: the folder that is written, and the one that is there, where
    these disagree. rank: the lower, the nearer.
    """

    paths: list[str]
    differs: tuple[str, ...] = ()
    renamed: tuple[str, str] | None = None
    rank: int = 0


class _Written(NamedTuple):
    path: str  # with forward slashes, without what names a machine
    absolute: bool
    differs: tuple[str, ...]


@dataclass(frozen=True)
class _Level:
    """What of a file name counts: with its ending or without, as it is or folded (case, Unicode form)."""

    ending: bool
    folded: bool

    def key(self, path: str) -> str:
        folder, name = posixpath.split(path)
        name = name if self.ending else without_ending(name)
        # Folders are always folded: that two of them differ in case alone is rare, in names made at random it is not.
        return posixpath.join(folded(folder), folded(name) if self.folded else name)


_LEVELS = [_Level(ending, folds) for ending in (True, False) for folds in (False, True)]


class Files:
    """The files of a source, to be found by written paths; a look-up takes as long in a large source as in a small."""

    def __init__(self, names: Iterable[str], table: str):
        """table: its path; those in it are relative to its folder."""
        self._names, self._folder, self._split = set(names), posixpath.dirname(table), split_of_table(table)
        self._masks = masks(sorted(filter(is_image_name, self._names)))
        self._ends: dict[_Level, dict[str, list[str]]] = {}
        self._wholes: dict[_Level, dict[str, list[str]]] = {}

    def find(self, written: str) -> Match:
        """Return the file at that path; else the one whose path ends alike in the most folders, in any spelling.

        Where no file's name is alike, endings are left aside: `scan_7` and `scan_7.tif` mean scans/scan_7.png. Of files
        that are alike, the one at just that path, from the table's folder or else from the source's top, counts; or the
        one that is likelier (`likely`).
        """
        path = posixpath.normpath(posixpath.join(self._folder, written))
        if path in self._names:
            return Match([path])
        read = _read(written)
        here = posixpath.normpath(posixpath.join(self._folder, read.path))
        path = re.sub(r"^(\.\./)+", "", read.path)
        for rank, level in enumerate(_LEVELS, 1):
            ends, wholes = self._index(level)
            for place in (here, path):
                if len(paths := wholes.get(level.key(place), [])) == 1:
                    return _match(read, path, paths[0], rank, at_place=place == here and not read.absolute)
            key = level.key(path)
            while key not in ends and "/" in key:
                key = key.partition("/")[2]
            # A path that is an end of the written one as a whole is nearer than one with other folders above.
            for paths in (wholes.get(key, []), ends.get(key, [])):
                paths = self.likely(paths)
                if len(paths) == 1:
                    return _match(read, path, paths[0], rank, at_place=False)
            if paths:
                return Match(paths)
        return Match([])

    def likely(self, paths: Sequence[str]) -> list[str]:
        """Return those of the files that are no masks, lie below the table's folder, and in a folder of its split.

        What is so of none of them does not count. In train/ and test/ images may be numbered anew.
        """
        paths = [path for path in paths if path not in self._masks] or paths
        paths = [path for path in paths if path.startswith(f"{self._folder}/")] or paths
        if self._split and len(paths) > 1:
            paths = [path for path in paths if self._split in map(split_of, path.split("/")[:-1])] or paths
        return paths

    def _index(self, level: _Level) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
        """The files by each end of their paths, from the name alone to the whole; and by the whole."""
        if level not in self._ends:
            ends, wholes = defaultdict(list), defaultdict(list)
            for name in sorted(self._names):
                if level.ending or is_image_name(name):
                    key = level.key(name)
                    wholes[key].append(name)
                    ends[key].append(name)
                    while "/" in key:
                        key = key.partition("/")[2]
                        ends[key].append(name)
            self._ends[level], self._wholes[level] = ends, wholes
        return self._ends[level], self._wholes[level]


def match(images: Sequence[str], names: Sequence[str], table: str) -> tuple[dict[str, str], list[LeftOut], list[str]]:
    """Return the file that each written path means, by that path; what is left out; and what there is to say.

    images: paths as the rows of a table have them. names: the source's files, sorted. table: the table's own path.

    Where no path is alike, all of them are matched by number, if that can be done (`by_number`). So are those that are
    like none, where no path has an ending and the others are alike by the same numbers: a spreadsheet takes the zeros
    from all ids but the longest.

    Left out are paths without a file, and files where a path could mean several. There is one line to say for each way
    in which paths are written otherwise than in the source: how many are, and an example.
    """
    folder = posixpath.dirname(table)
    files = Files(names, table)
    matches = {image: files.find(image) for image in images}
    alike = {image: match.paths for image, match in matches.items() if match.paths}
    if len(alike) < len(matches) and not (alike and any(map(is_image_name, matches))):
        numbered = by_number(list(matches), names, table)
        if all(numbered[image].paths == paths for image, paths in alike.items() if numbered):
            matches |= {image: match for image, match in numbered.items() if image not in alike}
    found, left_out, missing = _believed(matches), [], []
    for image, match in matches.items():
        if len(match.paths) > 1:
            several = ", ".join(match.paths[:2]) + (", …" if len(match.paths) > 2 else "")
            left_out += [LeftOut(path, f"{image} in {table} could mean {several}") for path in match.paths]
        elif image not in found:
            missing.append(image)
    nearest = _nearest(missing[:_HINTS], matches, set(names) - set(found.values()))
    for image in missing:
        hint = f"; did you mean {nearest[image]}?" if image in nearest else ""
        path = posixpath.normpath(posixpath.join(folder, image))
        left_out.append(LeftOut(path, f"listed in {table}, but missing in the source{hint}"))
    taken = set(found.values())
    left_out = [entry for entry in dict.fromkeys(left_out) if entry.path not in taken]
    return found, left_out, _ways({image: matches[image] for image in found}, Counter(images), table)


def by_number(images: Sequence[str], names: Sequence[str], table: str) -> dict[str, Match]:
    """Return the file that each written path means by its last number, such as 7 for scan_0007.png.

    Empty unless each has just one file with that number, a different one, and none has letters that the file has not;
    among those that are likelier (`Files.likely`), or among all. images: different paths. names: the source's files.
    table: its path.
    """
    return _by_number(images, Files(names, table).likely(names)) or _by_number(images, names)


def _by_number(images: Sequence[str], names: Sequence[str]) -> dict[str, Match]:
    files = defaultdict(list)
    for path in filter(is_image_name, names):
        files[_numbers(stem(path))[-1:]].append(path)
    found = {}
    for image in images:
        name = re.sub(r"^(\d+)\.0$", r"\1", stem(_read(image).path))  # as a column of numbers with gaps is written
        paths = files.get(_numbers(name)[-1:], []) if _numbers(name) else []
        letters = _letters(name)
        if len(paths) != 1 or (letters and letters != _letters(stem(paths[0]))):
            return {}
        found[image] = Match(paths, ("by number",), rank=len(_LEVELS) + 1)
    return found if len({match.paths[0] for match in found.values()}) == len(found) else {}


def _letters(name: str) -> str:
    return "".join(filter(str.isalpha, folded(name)))


def _believed(matches: dict[str, Match]) -> dict[str, str]:
    """The file that each written path means, where it is one: of the paths that could mean a file, the nearest ones."""
    single = {image: match for image, match in matches.items() if len(match.paths) == 1}
    if len({match.renamed for match in single.values()}) > 1:
        # That a folder has another name in the source is believed where it is one folder, and that of all images.
        single = {image: match for image, match in single.items() if not match.renamed}
    ranks: dict[str, int] = {}
    for (path,), _, _, rank in single.values():
        ranks[path] = min(rank, ranks.get(path, rank))
    return {image: match.paths[0] for image, match in single.items() if match.rank == ranks[match.paths[0]]}


def _nearest(images: list[str], matches: dict[str, Match], names: set[str]) -> dict[str, str]:
    """The file that each of the missing `images` is most like, where one has the same numbers in its name."""
    alike = defaultdict(dict)
    for path in sorted(filter(is_image_name, names)):
        name = stem(path)
        alike[_numbers(name)].setdefault(folded(name), path)
    nearest = {}
    for image in images:
        name = stem(_read(image).path)
        candidates = alike[_numbers(name)]
        # Where one file alone has the numbers, it is near whatever its name has beside them.
        cutoff = 0.0 if _numbers(name) and len(candidates) == 1 else 0.6
        close = [candidates[near] for near in wording.nearest(folded(name), candidates, cutoff=cutoff)]
        if likely := [path for path in [*matches[image].paths, *close] if path in names]:
            nearest[image] = likely[0]
    return nearest


def _numbers(name: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall("[0-9]+", name)))


def _ways(matches: dict[str, Match], counts: dict[str, int], table: str) -> list[str]:
    """How many images are written otherwise than in the source, a line for each way of it."""
    images_by_way = defaultdict(list)
    for image, match in matches.items():
        if match.differs:
            images_by_way[", ".join(match.differs)].append(image)
    lines = []
    for way, images in sorted(images_by_way.items(), key=lambda way: -len(way[1])):
        number = sum(counts[image] for image in images)
        way = way.replace("without folder, without ending", "without folder and ending")
        example = f"{images[0]} is {matches[images[0]].paths[0]}"
        lines.append(
            f"{wording.count(number, 'row')} of {table} name{'s' * (number == 1)} images {way}: "
            f"matched by what is alike ({example})"
        )
    return lines


def folded(text: str) -> str:
    """The text in lower case and in one Unicode form: `CAFÉ`, composed or not, is `café`."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


def _read(written: str) -> _Written:
    text, differs = written.strip(" \t\"'“”‘’«»"), []
    if text != written:
        differs.append("in quotes")
    address = re.match(r"[A-Za-z][A-Za-z0-9+.-]+://[^/?#]*([^?#]*)", text)
    if address:
        differs.append("by addresses")
        text = "/" + urllib.parse.unquote(address[1])
    slashed = text.replace("\\", "/")
    path = re.sub(r"^/*[A-Za-z]:/", "/", slashed)
    absolute = path.startswith(("/", "~"))
    if absolute and not address:
        differs.append("by absolute paths")
    elif slashed != text:
        differs.append("with backslashes")
    return _Written(posixpath.normpath(path.lstrip("/")), absolute, tuple(differs))


def _match(read: _Written, path: str, found: str, rank: int, at_place: bool) -> Match:
    (folder, name), (there, file) = posixpath.split(path), posixpath.split(found)
    written, actual = _parts(folder), _parts(there)
    shared = 0
    while shared < min(len(written), len(actual)) and folded(written[-1 - shared]) == folded(actual[-1 - shared]):
        shared += 1
    above, place = written[: len(written) - shared], actual[: len(actual) - shared]
    disagree = bool(above and place) and not at_place
    differs = list(read.differs)
    if disagree:
        differs.append("in a folder of another name")
    elif not at_place and not read.absolute:
        differs.append(_place(written, above, place))
    if rank > len(_LEVELS) / 2:
        differs.append("without ending" if without_ending(name) == name else "with another ending")
    pairs = zip(
        [*written[len(above) :], without_ending(name)], [*actual[len(place) :], without_ending(file)], strict=True
    )
    unlike = [pair for pair in pairs if pair[0] != pair[1]]
    if unlike:
        forms = all(
            unicodedata.normalize("NFC", ours) == unicodedata.normalize("NFC", theirs) for ours, theirs in unlike
        )
        differs.append("in another Unicode form" if forms else "in another case")
    return Match([found], tuple(differs), ("/".join(above), "/".join(place)) if disagree else None, rank)


def _parts(folder: str) -> list[str]:
    return folder.split("/") if folder else []


def _place(written: list[str], above: list[str], place: list[str]) -> str:
    if above:
        return "below other folders"
    if not written:
        return "without folder"
    return "without the folders above" if place else "from the source's top folder"
