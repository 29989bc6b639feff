"""Where the images to predict are: files, folders and zips, here or on S3. None is read before its turn comes."""

import os
import socket
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from headstart.base import origin, wording
from headstart.base.errors import UserError
from headstart.base.terminal import say
from headstart.base.threads import THREADS
from headstart.classifier.reading import Read
from headstart.images import archive, buckets, decoding, finding
from headstart.images.archive import UNREADABLE
from headstart.images.archive import Unreachable as Unreachable  # what `find` and a place's `read` raise
from headstart.images.buckets import Bucket


class Place(NamedTuple):
    """Images that are read in the same way.

    `prefix`: what stands before each of `names` in the path to show. `read`: returns the content of the file of a name;
    raises one of `archive.UNREADABLE`, or `archive.Unreachable` where no other can be read either; for any number of
    threads, and best for as many as `threads`. `given`: where they are, as `reader` takes it; None: nowhere.
    """

    prefix: str
    names: list[str]
    read: Callable[[str], bytes]
    threads: int = THREADS
    given: str | None = None


def find(paths: Iterable[str], stack: ExitStack) -> list[Place]:
    """The images at `paths`.

    A file is itself, whatever its ending; a folder or a zip is all images in it (`finding.is_image`), sorted (`stack`
    closes it); how many of its files are none is said on standard error. What is missing or holds no image is in the
    list too: reading it raises one of `archive.UNREADABLE`. Raises Unreachable for what
    cannot be listed on S3.
    """
    places = []
    for path in paths:
        if path.startswith(buckets.SCHEME):
            places += _on_s3(path, stack)
            continue
        file = Path(path)
        try:
            is_folder, is_zip = file.is_dir(), file.suffix.lower() == ".zip" and file.exists()
        except OSError:  # a name that is too long: whoever reads it says so
            is_folder = is_zip = False
        if is_folder:
            places += _folder(file)
        elif is_zip:
            places += _source(str(file), partial(archive.open_source, file), stack)
        elif places and places[-1].given == "":  # files one by one are one place: a cluster takes many at a time
            places[-1].names.append(str(file))
        else:
            places.append(Place("", [str(file)], lambda name: _file(Path(name)), given=""))
    return places


def reader(given: str, stack: ExitStack) -> Callable[[str], bytes]:
    """Return what reads images by their names, as a place's own, where nothing but the place is known.

    given: of a `Place`; a path of this machine's. `stack` closes what is opened; nothing is listed but a zip's index.
    Raises UserError where this machine has no such path.
    """
    if given and not origin.is_remote(given) and not Path(given).exists():
        raise UserError(
            f"{socket.gethostname()} has no {given}: put the images where all machines of the cluster see them under "
            "the same path, or on S3"
        )
    if given.startswith(buckets.SCHEME) or (given and not Path(given).is_dir()):
        return stack.enter_context(archive.open_source(given)).read
    return lambda name: _file(Path(given, name))


def images(places: Iterable[Place]) -> Iterator[tuple[str, Read]]:
    """Yield of each image the path to show, and a function that reads its file."""
    for place in places:
        for name in place.names:
            yield place.prefix + name, partial(place.read, name)


def _folder(path: Path) -> list[Place]:
    # Unlike a source of training images, a folder may hold links: nothing is learnt from what they lead to.
    names, closed, links, hidden = [], [], [], []
    for folder, folders, files in os.walk(path, onerror=closed.append):
        hidden += [Path(folder, name) for name in folders if archive.is_system_file(name)]
        folders[:] = [name for name in folders if not archive.is_system_file(name)]
        links += [link for name in folders if (link := Path(folder, name)).is_symlink()]
        below = os.path.relpath(folder, path)
        names += [name if below == "." else f"{below}/{name}" for name in files if not archive.is_system_file(name)]
    if links:
        left_out = f"{wording.count(len(links), 'folder')} behind links, such as {min(links)}: name what is wanted"
        say(f"{path}: left out {left_out}", file=sys.stderr)
    for note in archive.hidden_classes(path, _images_below(hidden, path)):
        say(note, file=sys.stderr)
    unreadable = [_broken(error.filename, error) for error in closed]
    if unreadable and not names:
        return unreadable

    def read(name: str, size: int = -1) -> bytes:
        return _file(path / name, size)

    return _images(str(path), sorted(names), read, partial(read, size=archive.HEAD)) + unreadable


def _images_below(hidden: Iterable[Path], path: Path) -> Iterator[str]:
    """An image in each of the hidden folders that has one, by its name in the folder `path`."""
    for folder in hidden:
        if folder.is_symlink() or not archive.hidden_classes(path, [f"{folder.relative_to(path)}/x.jpg"]):
            continue  # elsewhere, or a program's, which may hold millions of files
        files = (Path(below, name) for below, _, names in os.walk(folder) for name in names)
        found = (file for file in files if finding.is_image_name(file.name))
        yield from (str(file.relative_to(path)) for file in islice(found, 1))


def _source(path: str, opened: Callable[[], archive.Source], stack: ExitStack, threads: int = THREADS) -> list[Place]:
    try:
        source = stack.enter_context(opened())
    except UNREADABLE as error:
        return [_broken(path, error)]
    for note in source.notes:
        say(note, file=sys.stderr)
    return _images(path, source.names(), source.read, source.head, threads)


def _on_s3(address: str, stack: ExitStack) -> list[Place]:
    bucket = Bucket(address)
    if finding.is_image_name(bucket.key):
        return [Place(address, [""], bucket.read, buckets.THREADS, address)]
    return _source(address, partial(buckets.open_source, address, None), stack, buckets.THREADS)


def _images(
    path: str,
    names: list[str],
    read: Callable[[str], bytes],
    head: Callable[[str], bytes],
    threads: int = THREADS,
) -> list[Place]:
    """Those of the files `names` at `path` that are images; where some are none, that is said."""
    chosen, endings = [name for name in names if finding.is_image(name, head)], ", ".join(finding.ENDINGS)
    if not chosen:
        return [_broken(path, decoding.Broken(f"no images in it ({endings})"))]
    if other := len(names) - len(chosen):
        left_out = f"left out {other:,} that are no images: their names do not end in {endings}"
        say(f"{path}: {left_out}", file=sys.stderr)
    return [Place("" if path == "." else f"{path.rstrip('/')}/", chosen, read, threads, path)]


def _file(path: Path, size: int = -1) -> bytes:
    # Of a pipe, which may never end, nothing is read.
    if path.exists() and not path.is_file():
        raise decoding.Broken("not a file")
    with path.open("rb") as file:
        return file.read(size)


def _broken(path: str, error: Exception) -> Place:
    def read(_: str) -> bytes:
        raise error

    return Place("", [path], read)
