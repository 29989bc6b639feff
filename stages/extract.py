"""Run every image through the frozen backbone once: bottleneck features, and activations at the cut."""

import contextlib
import functools
import json
import math
import os
import shutil
from pathlib import Path

import numpy as np

from headstart import (
    augment,
    backbones,
    batches,
    checkpoint,
    engines,
    errors,
    features,
    files,
    params,
    progress,
    sources,
)
from headstart.archive import open_source
from headstart.errors import UserError
from headstart.manifest import Manifest, read_manifest
from headstart.runtime import deterministic, keras, tf

BLOCK = 8  # batches between two marks of how far the work is


def network(settings: params.View) -> keras.Model:
    """uint8 images (n, size, size, 3) to the bottleneck features and, with fixed views, the activations at the cut."""
    backbone = backbones.build(settings.backbone.name, settings.image.size, sources.weights_file())
    inputs = keras.Input(backbone.input.shape[1:], dtype="uint8")
    scaled = backbones.scale(inputs, settings.backbone.name, settings.backbone.scaling)
    if settings.fine_tune.views == "live":
        backbones.frozen_layers(backbone, settings.fine_tune.cut)  # a layer that is not there is told before the work
        return keras.Model(inputs, [backbones.folded(backbone)(scaled)])
    # Each part for itself: a convolution at the cut must not take over the normalisation that the tail begins with.
    frozen, tail = map(backbones.folded, backbones.cut_in_two(backbone, settings.fine_tune.cut))
    cut = frozen(scaled)
    return keras.Model(inputs, [tail(cut), cut])


def make_arrays(folder: Path, shapes: dict[str, tuple[int, ...]]) -> None:
    """Say what the arrays take, and create those that are missing. Raises UserError where the disk is too small."""
    sizes = {folder / f"{name}.npy": (shape, 2 * math.prod(shape)) for name, shape in shapes.items()}
    total, free = sum(size for _, size in sizes.values()), shutil.disk_usage(folder).free
    # What is created takes its place on the disk only as it is filled.
    needed = total - sum(512 * path.stat().st_blocks for path in sizes if path.exists())
    print(f"extract: {total / 1e6:,.0f} MB for {', '.join(shapes)}; {free / 1e6:,.0f} MB are free", flush=True)
    if needed > free:
        raise UserError(
            f"the features take {needed / 1e6:,.0f} MB, but the disk of {folder.resolve()} has {free / 1e6:,.0f} MB "
            "free: free some, or take fewer fine_tune.views, a later fine_tune.cut or a smaller image.size"
        )
    for path, (shape, _) in sizes.items():
        if not path.exists():
            with files.whole(path) as part:
                np.lib.format.open_memmap(part, "w+", np.float16, shape).flush()


def fill(paths: list[Path], forward: engines.Forward, images: tf.data.Dataset, start: float, finished) -> None:
    """Write what `forward` gives for `images` to the arrays at `paths`, of which the share `start` is filled already.

    finished: is told the number of images after each block of batches.
    """
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(path.open("r+b")) for path in paths]
        for path, file in zip(paths, files, strict=True):
            # Plain writes, not the memory map: pages that were written there would count as memory in use.
            array = np.load(path, mmap_mode="r")
            file.seek(array.offset + round(start * array.nbytes))
        waiting = 0
        for number, outputs in enumerate(engines.in_turn(forward, images), 1):
            for file, output in zip(files, outputs, strict=True):
                file.write(output.data)  # not tofile, which does not say that a disk is full
            waiting += len(outputs[0])
            if number % BLOCK == 0 or number == len(images):
                for file in files:
                    file.flush()
                finished(waiting)
                waiting = 0


def compute(settings: params.View, manifest: Manifest, folder: Path) -> None:
    """Fill the arrays in `folder`/features, going on after the last block that was finished there."""
    model = network(settings)
    bottleneck, *cut = (tuple(output.shape[1:]) for output in model.outputs)
    everything, train = np.arange(len(manifest.paths)), manifest.rows("train")
    extra = settings.fine_tune.views - 1 if cut else 0
    shapes = {"bottleneck": (len(everything), *bottleneck)}
    if cut:
        shapes["cut"] = (len(everything), *cut[0])
    # Parts of the work: the arrays, the network that fills them, the images, and the views of each of them.
    engine = functools.partial(engines.forward, engine=settings.extract.engine, precision=settings.extract.precision)
    parts = [(list(shapes), engine(model), everything, None)]
    if extra:
        shapes["views"] = (len(train), extra, *cut[0])
        parts.append((["views"], engine(keras.Model(model.input, [model.outputs[1]])), train, range(1, extra + 1)))
    arrays = folder / "features"
    arrays.mkdir(exist_ok=True)
    mark = folder / "done.json"
    # A run that was killed after its arrays had moved to their place left the mark without them.
    if not all((arrays / f"{name}.npy").exists() for name in shapes):
        mark.unlink(missing_ok=True)
    make_arrays(arrays, shapes)
    done = json.loads(mark.read_text()) if mark.exists() else 0
    total, size = len(everything) + extra * len(train), settings.image.size
    with open_source(settings.dataset.path) as source, progress.counter("extract", total - done, "images") as advance:

        def finished(count: int) -> None:
            nonlocal done
            done += count
            files.write_text(mark, json.dumps(done))
            advance(count)

        before = 0
        for names, forward, rows, views in parts:
            each = len(views) if views else 1
            count = len(rows) * each
            start = min(max(done - before, 0), count)
            before += count
            if start == count:
                continue
            rows = rows[start // each :]
            transforms = None
            if views:
                hashes = [manifest.sha256[row] for row in rows]
                drawn = [[augment.transform(settings.augment, size, one, v) for v in views] for one in hashes]
                transforms = np.array(drawn)
            paths = [manifest.paths[row] for row in rows]
            images = batches.of_images(source, paths, size, settings.extract.batch_size, transforms, start % each)
            fill([arrays / f"{name}.npy" for name in names], forward, images, start / count, finished)


def whole(folder: Path) -> Path:
    """The finished arrays in a folder that can be moved away.

    Where the file system has links, it is a second one, and the arrays stay in `folder` until DVC has recorded them.
    """
    linked = folder / "linked"
    shutil.rmtree(linked, ignore_errors=True)  # of a run that was killed here
    try:
        return shutil.copytree(folder / "features", linked, copy_function=os.link)
    except OSError:
        return folder / "features"


def main() -> None:
    settings = params.load_stage("extract")
    deterministic(backbones.RANDOM_SEED)
    folder = checkpoint.folder("extract")
    compute(settings, read_manifest(), folder)
    if features.FEATURES.exists():
        shutil.rmtree(features.FEATURES)
    features.FEATURES.parent.mkdir(parents=True, exist_ok=True)
    whole(folder).replace(features.FEATURES)
    checkpoint.finish("extract")


if __name__ == "__main__":
    errors.run(main)
