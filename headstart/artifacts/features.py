"""The arrays that `extract` writes, float16 and read by memory map, so that memory does not grow with the images.

data/features/bottleneck/plain.npy   (n, h, w, c)      the backbone's output, every image in the order of the manifest
data/features/bottleneck/views.npy   (t, V - 1, ...)   the same for views 1 to V - 1 of the t training images, in their
                                                       order (with `head.views` only); where `head.pooling` is average,
                                                       the average alone, (t, V - 1, 1, 1, c)
data/features/cut/plain.npy          (n, ...)          the activations at the cut, likewise     (with fixed views only)
data/features/cut/views.npy          (t, V - 1, ...)   the same for the views

The bottleneck features are an out of their own: the head is trained on nothing else, and without `head.views` it stays
as it is when the views or the cut change. Beside the arrays of each folder lies their record (`arrays`), with which
they are compared before they are read.
"""

import math
import os
import shutil
from pathlib import Path

import numpy as np

from headstart.artifacts import arrays
from headstart.artifacts.manifest import Manifest
from headstart.base import saved
from headstart.base.errors import UserError
from headstart.base.terminal import say

FEATURES = Path("data/features")
BOTTLENECK = FEATURES / "bottleneck"
CUT = FEATURES / "cut"


def read_bottleneck(project: Path = Path(), table: Manifest | None = None) -> np.memmap:
    """Bottleneck features, float16 (n, h, w, c).

    table: the manifest whose images they must be of; default: they are not compared. Raises UserError where `extract`
    has not run, and where the file is damaged or of other images.
    """
    return _read("bottleneck/plain", project, table)


def read_bottleneck_views(project: Path = Path(), table: Manifest | None = None) -> np.memmap:
    """The same of the training images' other views, float16 (t, V - 1, …), as listed above."""
    return _read("bottleneck/views", project, table)


def read_cut(project: Path = Path(), table: Manifest | None = None) -> np.memmap:
    """Activations at the cut of the plain images, float16 (n, ...). Raises UserError as `read_bottleneck`."""
    return _read("cut/plain", project, table)


def read_cut_views(project: Path = Path(), table: Manifest | None = None) -> np.memmap:
    """Activations at the cut of the training images' other views, float16 (t, V - 1, ...). Raises UserError."""
    return _read("cut/views", project, table)


def _read(name: str, project: Path, table: Manifest | None) -> np.memmap:
    return arrays.read(project / FEATURES / f"{name}.npy", table and _pixel_hashes(name, table), "extract")


def _pixel_hashes(name: str, table: Manifest) -> list[str]:
    """Of the images that the rows of an array are of."""
    return [table.sha256[row] for row in table.trained_on()] if _of_views(name) else table.sha256


class Writer:
    """Fills the arrays in order, image by image, in a folder of its own; goes on where a killed run stopped.

    Args:
        folder: for the unfinished arrays, and the mark of how far they are; on the same disk as the project.
        shapes: of the arrays, by their names: bottleneck/plain, with fixed views cut/plain and cut/views, and with the
            head on views bottleneck/views.
        table: the manifest, whose images they are of.

    Attributes:
        images: how many images of the manifest were finished when an earlier run stopped.
        views: how many views were: their rows, all of one image after all of the one before.

    What an earlier run left is gone on from where it is what that run wrote; else it is thrown away, which is said in
    one line. Raises UserError where the disk has too little space.
    """

    def __init__(self, folder: Path, shapes: dict[str, tuple[int, ...]], table: Manifest):
        self._folder, self._mark, self._table = folder / "features", folder / "done.json", table
        for path in (BOTTLENECK, CUT):
            (self._folder / path.name).mkdir(parents=True, exist_ok=True)
        self._arrays = {
            name: arrays.Growing(self._folder / f"{name}.npy", shape, axes=2 if _of_views(name) else 1)
            for name, shape in shapes.items()
        }
        self._weigh(shapes)
        if not self._go_on():
            for array in self._arrays.values():
                array.start()
        written = {name: array.rows for name, array in self._arrays.items()}
        self.images, self.views = written["bottleneck/plain"], written.get("cut/views", 0)

    def write(self, name: str, rows: np.ndarray) -> None:
        """Append float16 rows to an array."""
        self._arrays[name].write(rows)

    def mark(self) -> None:
        """Write down how much is written: a run that is killed later goes on from here.

        The arrays are on the disk before their mark is: after a power loss it says no more than there is.
        """
        saved.write(self._mark, {name: [array.rows, array.sync()] for name, array in self._arrays.items()})

    def publish(self) -> None:
        """Close the arrays and put them in their place, each folder with its record; what was there is replaced.

        Where the file system has links, the arrays stay in the writer's folder too, until it is removed.
        Raises UserError where one of them is not what was written.
        """
        for path in (BOTTLENECK, CUT):
            mine = {name: array for name, array in self._arrays.items() if name.startswith(f"{path.name}/")}
            images = {name: arrays.names_of(_pixel_hashes(name, self._table)) for name in mine}
            records = {array.path.name: array.close(images[name]) for name, array in mine.items()}
            arrays.record(self._folder / path.name, records)
        for path in (BOTTLENECK, CUT):
            linked = self._linked(self._folder / path.name)
            if path.exists():
                shutil.rmtree(path)
            path.parent.mkdir(parents=True, exist_ok=True)
            linked.replace(path)

    def _linked(self, path: Path) -> Path:
        """A folder of second links to the files of another; that one itself where there are no links."""
        linked = self._folder.parent / "linked"
        if linked.is_dir():  # of a run that was killed here
            shutil.rmtree(linked)
        try:
            return shutil.copytree(path, linked, copy_function=os.link)
        except OSError:
            return path

    def _go_on(self) -> bool:
        """Whether the arrays hold what the mark says; where they do not, it is thrown away."""
        mark = saved.read(self._mark)
        if mark is None:
            return False
        # A run that was killed after its arrays had moved to their place left the mark without them.
        if not all(array.path.exists() for array in self._arrays.values()):
            self._mark.unlink()
            return False
        for name, array in self._arrays.items():
            try:
                rows, sha256 = mark[name]
                whole = array.go_on(rows, sha256)
            except (KeyError, TypeError, ValueError):
                whole = False
            if not whole:
                saved.throw_away(self._mark, f"{array.path} does not hold what it says")
                return False
        return True

    def _weigh(self, shapes: dict[str, tuple[int, ...]]) -> None:
        """Say what the arrays take, and raise UserError where the disk has no place for it."""
        total = sum(2 * math.prod(shape) for shape in shapes.values())
        free = shutil.disk_usage(self._folder).free
        # What is created takes its place on the disk only as it is filled.
        there = [array.path for array in self._arrays.values() if array.path.exists()]
        needed = total - sum(512 * path.stat().st_blocks for path in there)
        say(f"extract: {total / 1e6:,.0f} MB for {', '.join(shapes)}; {free / 1e6:,.0f} MB are free")
        if needed > free:
            raise UserError(
                f"the features take {needed / 1e6:,.0f} MB, but the disk of {self._folder.resolve()} has "
                f"{free / 1e6:,.0f} MB free: free some, or take fewer fine_tune.views, a later fine_tune.cut or a "
                "smaller image.size"
            )


def _of_views(name: str) -> bool:
    return name.endswith("/views")
