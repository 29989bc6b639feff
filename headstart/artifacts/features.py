"""The arrays that `extract` writes, float16 and read by memory map, so that memory does not grow with the images.

data/features/bottleneck/plain.npy   (n, h, w, c)      the backbone's output, every image in the order of the manifest
data/features/bottleneck/views.npy   (t, V - 1, ...)   the same for views 1 to V - 1 of the t training images, in their
                                                       order (with `head.views` only); where `head.pooling` is average,
                                                       the average alone, (t, V - 1, 1, 1, c)
data/features/cut/plain.npy          (n, ...)          the activations at the cut, likewise     (with fixed views only)
data/features/cut/views.npy          (t, V - 1, ...)   the same for the views

The bottleneck features are an out of their own: the head is trained on nothing else, and without `head.views` it stays
as it is when the views or the cut change.
"""

import json
import math
import os
import shutil
from pathlib import Path

import numpy as np

from headstart.base import files
from headstart.base.errors import UserError
from headstart.base.terminal import say

FEATURES = Path("data/features")
BOTTLENECK = FEATURES / "bottleneck"
CUT = FEATURES / "cut"


def read_bottleneck(project: Path = Path()) -> np.memmap:
    """Bottleneck features, float16 (n, h, w, c). Raises UserError where `extract` has not run."""
    return _read(project / BOTTLENECK / "plain.npy")


def read_bottleneck_views(project: Path = Path()) -> np.memmap:
    """The same of the training images' other views, float16 (t, V - 1, …), as listed above. Raises UserError."""
    return _read(project / BOTTLENECK / "views.npy")


def read_cut(project: Path = Path()) -> np.memmap:
    """Activations at the cut of the plain images, float16 (n, ...). Raises UserError as `read_bottleneck`."""
    return _read(project / CUT / "plain.npy")


def read_cut_views(project: Path = Path()) -> np.memmap:
    """Activations at the cut of the training images' other views, float16 (t, V - 1, ...). Raises UserError."""
    return _read(project / CUT / "views.npy")


def _read(path: Path) -> np.memmap:
    if not path.exists():
        raise UserError(f"no {path}: run `dvc repro extract`")
    return np.load(path, mmap_mode="r")


class Writer:
    """Fills the arrays in order, image by image, in a folder of its own; goes on where a killed run stopped.

    Args:
        folder: for the unfinished arrays, and the mark of how far they are; on the same disk as the project.
        shapes: of the arrays, by their names: bottleneck/plain, with fixed views cut/plain and cut/views, and with the
            head on views bottleneck/views.

    Attributes:
        images: how many images of the manifest were finished when an earlier run stopped.
        views: how many views were: their rows, all of one image after all of the one before.

    Raises UserError where the disk has too little space.
    """

    def __init__(self, folder: Path, shapes: dict[str, tuple[int, ...]]):
        self._folder, self._mark = folder / "features", folder / "done.json"
        self._paths = {name: self._folder / f"{name}.npy" for name in shapes}
        # A run that was killed after its arrays had moved to their place left the mark without them.
        if not all(path.exists() for path in self._paths.values()):
            self._mark.unlink(missing_ok=True)
        for path in (BOTTLENECK, CUT):
            (self._folder / path.name).mkdir(parents=True, exist_ok=True)
        self._make(shapes)
        self.images, self.views = json.loads(self._mark.read_text()) if self._mark.exists() else (0, 0)
        self._written = {name: self.views if _of_views(name) else self.images for name in shapes}
        # Plain writes, not the memory map: pages that were written there would count as memory in use.
        self._files = {name: path.open("r+b") for name, path in self._paths.items()}
        for name, path in self._paths.items():
            array = np.load(path, mmap_mode="r")
            rows = math.prod(array.shape[: 2 if _of_views(name) else 1])
            self._files[name].seek(array.offset + self._written[name] * (array.nbytes // rows))

    def write(self, name: str, rows: np.ndarray) -> None:
        """Append float16 rows to an array."""
        self._files[name].write(rows.data)  # not tofile, which does not say that a disk is full
        self._written[name] += len(rows)

    def mark(self) -> None:
        """Write down how much is written: a run that is killed later goes on from here."""
        for file in self._files.values():
            file.flush()
        files.write_text(self._mark, json.dumps([self._written["bottleneck/plain"], self._written.get("cut/views", 0)]))

    def publish(self) -> None:
        """Close the arrays and put them in their place; what was there is replaced.

        Where the file system has links, the arrays stay in the writer's folder too, until it is removed.
        """
        for file in self._files.values():
            file.close()
        for path in (BOTTLENECK, CUT):
            arrays = self._linked(self._folder / path.name)
            if path.exists():
                shutil.rmtree(path)
            path.parent.mkdir(parents=True, exist_ok=True)
            arrays.replace(path)

    def _linked(self, path: Path) -> Path:
        """A folder of second links to the files of another; that one itself where there are no links."""
        linked = self._folder.parent / "linked"
        if linked.is_dir():  # of a run that was killed here
            shutil.rmtree(linked)
        try:
            return shutil.copytree(path, linked, copy_function=os.link)
        except OSError:
            return path

    def _make(self, shapes: dict[str, tuple[int, ...]]) -> None:
        """Say what the arrays take, and create those that are missing."""
        total = sum(2 * math.prod(shape) for shape in shapes.values())
        free = shutil.disk_usage(self._folder).free
        # What is created takes its place on the disk only as it is filled.
        needed = total - sum(512 * path.stat().st_blocks for path in self._paths.values() if path.exists())
        say(f"extract: {total / 1e6:,.0f} MB for {', '.join(shapes)}; {free / 1e6:,.0f} MB are free")
        if needed > free:
            raise UserError(
                f"the features take {needed / 1e6:,.0f} MB, but the disk of {self._folder.resolve()} has "
                f"{free / 1e6:,.0f} MB free: free some, or take fewer fine_tune.views, a later fine_tune.cut or a "
                "smaller image.size"
            )
        for name, shape in shapes.items():
            if not self._paths[name].exists():
                with files.whole(self._paths[name]) as part:
                    np.lib.format.open_memmap(part, "w+", np.float16, shape).flush()


def _of_views(name: str) -> bool:
    return name.endswith("/views")
