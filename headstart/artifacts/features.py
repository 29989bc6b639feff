"""The arrays that `extract` writes, float16 and read row by row, so that memory does not grow with the images.

data/features/bottleneck/plain.npy   (n, h, w, c)      the backbone's output, every image in the order of the manifest;
                                                       tokens are (n, 1 + patches, d), the class token first
data/features/bottleneck/views.npy   (t, V - 1, ...)   the same for views 1 to V - 1 of the t training images, in their
                                                       order (with `head.views` only); where `head.pooling` is average,
                                                       the average alone, (t, V - 1, 1, 1, c), of patches (t, V - 1, 1,
                                                       d); where it is token, the class token, likewise
data/features/cut/plain.npy          (n, ...)          the activations at the cut, likewise     (with fixed views only)
data/features/cut/views.npy          (t, V - 1, ...)   the same for the views

The bottleneck features are an out of their own: the head is trained on nothing else, and without `head.views` it stays
as it is when the views or the cut change. A large array goes on in plain.1.npy and so on. Beside the arrays of each
folder lies their record (`arrays`), with which they are compared before they are read. Of several backbones that of the
bottleneck features has their `widths`, too: how many of the c are of each.
"""

import math
import os
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from headstart.artifacts import arrays, parts
from headstart.artifacts.arrays import Rows
from headstart.artifacts.manifest import Manifest
from headstart.base import saved
from headstart.base.errors import UserError
from headstart.base.progress import track
from headstart.base.terminal import say

FEATURES = Path("data/features")
BOTTLENECK = FEATURES / "bottleneck"
CUT = FEATURES / "cut"
BLOCK = 256  # images that are averaged at a time
AT_RISK = 64  # of so many blocks that are written one may be without its mark, and is done again after a kill


def read_bottleneck(project: Path = Path(), table: Manifest | None = None) -> Rows:
    """Bottleneck features, float16 (n, h, w, c) or (n, 1 + patches, d).

    table: the manifest whose images they must be of; default: they are not compared. Raises UserError where `extract`
    has not run, and where the file is damaged or of other images.
    """
    return _read("bottleneck/plain", project, table)


def read_bottleneck_views(project: Path = Path(), table: Manifest | None = None) -> Rows:
    """The same of the training images' other views, float16 (t, V - 1, …), as listed above."""
    return _read("bottleneck/views", project, table)


def read_cut(project: Path = Path(), table: Manifest | None = None) -> Rows:
    """Activations at the cut of the plain images, float16 (n, ...). Raises UserError as `read_bottleneck`."""
    return _read("cut/plain", project, table)


def read_cut_views(project: Path = Path(), table: Manifest | None = None) -> Rows:
    """Activations at the cut of the training images' other views, float16 (t, V - 1, ...). Raises UserError."""
    return _read("cut/views", project, table)


def averaged(features: np.ndarray) -> np.ndarray:
    """Returns features averaged over the places, (n, h, w, c), or over patches, (n, 1 + patches, d): (n, c)."""
    return features.mean(axis=(1, 2)) if features.ndim == 4 else features[:, 1:].mean(axis=1)


def averages(project: Path = Path(), table: Manifest | None = None) -> np.ndarray:
    """The bottleneck features of every image, `averaged`: float32 (n, c). Raises UserError as `read_bottleneck`.

    They lie in a file without a name, which goes with them: of a million images they are some gigabytes.
    """
    rows = read_bottleneck(project, table)
    starts = track(range(0, len(rows), BLOCK), "reading features", unit="batch")
    return _on_disk((averaged(rows[start : start + BLOCK].astype("float32")) for start in starts), project)


def widths(project: Path = Path()) -> list[int]:
    """Returns how many of the bottleneck features are of each backbone, in their order; of one backbone an empty list.

    Raises UserError as `read_bottleneck`.
    """
    return arrays.widths(project / BOTTLENECK / "plain.npy", "extract")


def even(vectors: np.ndarray, widths: Sequence[int], project: Path = Path()) -> np.ndarray:
    """Returns `averages` as `parts.even` makes them, float32 (n, c): of one backbone the same array, else another."""
    if len(widths) < 2:
        return vectors
    starts = range(0, len(vectors), BLOCK)
    return _on_disk((parts.even(vectors[start : start + BLOCK], widths) for start in starts), project)


def _on_disk(blocks: Iterable[np.ndarray], project: Path) -> np.ndarray:
    """Blocks of rows, float32, one after the other in a file without a name."""
    count = 0
    with tempfile.TemporaryFile(dir=project / FEATURES) as file:
        for block in blocks:
            # Not through the memory map: a full disk would end the process there, without a word.
            file.write(block.tobytes())
            count += len(block)
        file.flush()
        return np.asarray(np.memmap(file, np.float32, "r")).reshape(count, -1)


def _read(name: str, project: Path, table: Manifest | None) -> Rows:
    return arrays.read(project / FEATURES / f"{name}.npy", table and _pixel_hashes(name, table), "extract")


def _pixel_hashes(name: str, table: Manifest) -> list[str]:
    """Of the images that the rows of an array are of."""
    return [table.sha256[row] for row in table.trained_on()] if _of_views(name) else table.sha256


class Writer:
    """Fills the arrays block by block, in any order, in a folder of its own; goes on where a killed run stopped.

    Args:
        folder: for the unfinished arrays, and the mark of how far they are; on the same disk as the project.
        shapes: of the arrays, by their names: bottleneck/plain, with fixed views cut/plain and cut/views, and with the
            head on views bottleneck/views.
        table: the manifest, whose images they are of.
        widths: as `widths` returns them.

    What an earlier run left is gone on from where it is what that run wrote; else it is thrown away, which is said in
    one line. Raises UserError where the disk has too little space.
    """

    def __init__(self, folder: Path, shapes: dict[str, tuple[int, ...]], table: Manifest, widths: Sequence[int] = ()):
        self._folder, self._mark, self._table = folder / "features", folder / "done.json", table
        self._noted = {"bottleneck/plain": {"widths": list(widths)}} if widths else {}
        for path in (BOTTLENECK, CUT):
            (self._folder / path.name).mkdir(parents=True, exist_ok=True)
        self._arrays = {
            name: arrays.Growing(self._folder / f"{name}.npy", shape, axes=2 if _of_views(name) else 1)
            for name, shape in shapes.items()
        }
        self._weigh(shapes)
        self._written, self._unmarked = self._go_on(), 0
        if not self._written:
            for array in self._arrays.values():
                array.start()

    @property
    def done(self) -> set[int]:
        """The numbers of the blocks that are written."""
        return set(map(int, self._written))

    def write(self, number: int, block: dict[str, tuple[int, np.ndarray]]) -> None:
        """Write a block, and mark it as done: a run that is killed later does not do it again.

        block: by the names of arrays, the first row (of views: each is one) and the rows, float16. They are on the disk
        before their mark is: after a power loss it says no more than there is. The mark names all blocks, so that of
        many it is not written with each: that would take a minute or more of a million images.
        """
        self._written[str(number)] = {
            name: [start, len(rows), self._arrays[name].write(start, rows)] for name, (start, rows) in block.items()
        }
        self._unmarked += 1
        if AT_RISK * self._unmarked >= len(self._written):
            self._save()

    def _save(self) -> None:
        for array in self._arrays.values():
            array.sync()
        saved.write(self._mark, self._written)
        self._unmarked = 0

    def publish(self) -> None:
        """Close the arrays and put them in their place, each folder with its record; what was there is replaced.

        Where the file system has links, the arrays stay in the writer's folder too, until it is removed.
        Raises UserError where one of them is not what was written.
        """
        if self._unmarked:
            self._save()
        for path in (BOTTLENECK, CUT):
            records = {}
            for name, array in self._arrays.items():
                if name.startswith(f"{path.name}/"):
                    hashes = _pixel_hashes(name, self._table)
                    closed = array.close(block[name] for block in self._written.values() if name in block)
                    for file, images, entry in zip(array.files, array.images, closed, strict=True):
                        named = arrays.names_of(hashes[images.start : images.stop])
                        records[file.name] = entry | {"images": named} | self._noted.get(name, {})
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

    def _go_on(self) -> dict[str, dict[str, list]]:
        """What the mark says is written, where the arrays hold it; where they do not, it is thrown away."""
        mark = saved.read(self._mark)
        if mark is None:
            return {}
        # A run that was killed after its arrays had moved to their place left the mark without them.
        if not all(path.exists() for array in self._arrays.values() for path in array.files):
            self._mark.unlink()
            return {}
        for name, array in self._arrays.items():
            try:
                whole = array.go_on() and all(array.holds(*block[name]) for block in mark.values() if name in block)
            except (KeyError, TypeError, ValueError, AttributeError):
                whole = False
            if not whole:
                saved.throw_away(self._mark, f"{array.files[0]} does not hold what it says")
                return {}
        return mark

    def _weigh(self, shapes: dict[str, tuple[int, ...]]) -> None:
        """Say what the arrays take, and raise UserError where the disk has no place for it."""
        total = sum(2 * math.prod(shape) for shape in shapes.values())
        free = shutil.disk_usage(self._folder).free
        # What is created takes its place on the disk only as it is filled.
        there = [path for array in self._arrays.values() for path in array.files if path.exists()]
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
