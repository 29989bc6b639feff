"""A classifier for programs: the same on Keras and on every runtime that it is exported to.

import headstart

classifier = headstart.Classifier.load("models/exports/onnx")
for prediction in classifier.predict(["photo.jpg", "another.png"]):
    print(prediction.label, prediction.probability)
"""

import hashlib
import json
import threading
import warnings
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np

from headstart.artifacts.results import CLASSIFIER
from headstart.base import files
from headstart.base.errors import Damaged, UserError, doubted, text_of
from headstart.base.threads import THREADS
from headstart.classifier import details, reading
from headstart.classifier.details import Details
from headstart.classifier.reading import Read
from headstart.delivery import runtimes
from headstart.delivery.depths import Depths
from headstart.images.decoding import Broken

EXPORTS = Path("models/exports")
ABOUT = "classifier.json"  # in an export's folder: what the classifier says of itself, and of which one it is made
PROGRAMS = ("predict.py", "contract.py")  # beside it: what runs it
TENSORFLOW = "tensorflow"
ENGINES = TENSORFLOW, "openvino"
Image = str | Path | np.ndarray


class Answers(NamedTuple):
    """What a classifier says of n images.

    `probabilities`: float32 (n, k). `distances`: (n,), from the training images that it keeps, and `nearest`:
    int32 (n, m), which of these are nearest; None where it keeps none. `heat`: (n, h, w), from 0 to 1, which places
    speak for the likeliest class; None where it cannot tell.
    """

    probabilities: np.ndarray
    distances: np.ndarray | None
    nearest: np.ndarray | None
    heat: np.ndarray | None


class Prediction(NamedTuple):
    """What a classifier makes of an image.

    `label`: the class, by the classifier's rule, and `probability`: that of this class. `possible`: the classes that
    remain possible, the label first: more than one where it is not sure. `unlike`: whether the image is unlike the
    training images; None where it cannot tell. `probabilities`: of all classes, by their names.
    """

    label: str
    probability: float
    possible: list[str]
    unlike: bool | None
    probabilities: dict[str, float]


class Classifier:
    """A trained classifier, from whatever file: `load` makes one.

    `details`: what it says of itself; `sha256`: of the .keras file that it is, or was exported from; `path`: where it
    was read; `engine`: as `load` takes it. Threads may share it; their images are run one batch after the other.
    `version`: what tells its answers from others': `sha256`, but that each export in int8 has one of its own.
    """

    def __init__(
        self,
        path: Path,
        about: Details,
        limit: float | None,
        sha256: str,
        run: runtimes.Run,
        engine: str = TENSORFLOW,
        version: str | None = None,
    ):
        self.version = version or sha256
        self.path, self.details, self.sha256, self.engine = path, about, sha256, engine
        self._limit, self._run, self._lock = limit, run, threading.Lock()  # LiteRT and OpenVINO run one call at a time

    @classmethod
    def load(cls, path: str | Path = CLASSIFIER, engine: str = TENSORFLOW) -> Self:
        """Return the classifier at `path`: a .keras file, or an export, its folder or the file in it.

        engine: what runs a .keras file: `tensorflow`, or `openvino`, which is quicker on many images, takes seconds to
        prepare, and gives the same up to some 1e-6. An export has a runtime of its own, and is left to that.

        Raises `headstart.base.errors.UserError`, a line that says what to do, where it is missing, damaged or no
        classifier, for another engine, and where the runtime that it needs is not installed.
        """
        if engine not in ENGINES:
            raise UserError(f"engine: got {engine}; takes {' or '.join(ENGINES)}")
        path = Path(path)
        if path.suffix == ".keras":
            return cls(path, *_keras(path, engine), engine)
        if not path.exists():
            raise UserError(f"no {path}: takes models/classifier.keras, or an export's folder, as {EXPORTS / 'onnx'}")
        folder = path if (path / ABOUT).is_file() or not (path.parent / ABOUT).is_file() else path.parent
        name, said = about(folder)
        file = folder / runtimes.FORMATS[name].file
        if path not in (folder, file):
            raise UserError(f"{path} is no classifier: of this export that is {file}")
        refuse_damaged(folder, said["files"], name)
        version = None
        if said.get("precision") == "int8":
            version = hashlib.sha256("".join(said["files"].values()).encode()).hexdigest()
        limit = said["unlike"]["limit"] if said.get("unlike") else None
        run = runtimes.start(name, file)
        return cls(path, details.parse(said, None), limit, said["classifier"], run, version=version)

    @property
    def classes(self) -> list[str]:
        """The names of the k classes, in the order of the columns of probabilities."""
        return self.details.classes

    def predict(self, images: Iterable[Image]) -> list[Prediction]:
        """Return what it makes of each image.

        images: paths of files, or arrays as `headstart.images.decoding.of_array` takes them: uint8 (h, w, 3), RGB, of
        any size. Raises `headstart.images.decoding.Broken` for the first one that cannot be read, with its path, or
        its place in `images`. Warns where some have other values than those that it was trained on.
        """
        given, depths = list(_several(images)), self.depths()
        outcomes = self.outcomes(map(_read, given), depths=depths)
        predictions = [_raised(*pair, place) for place, pair in enumerate(zip(given, outcomes, strict=True), 1)]
        if line := depths.of_another(self.details.value_range):
            warnings.warn(line, stacklevel=2)
        return predictions

    def predict_proba(self, images: Iterable[Image]) -> np.ndarray:
        """Return the probabilities of all classes, float32 (n, k). images, errors: as of `predict`."""
        rows = [list(prediction.probabilities.values()) for prediction in self.predict(images)]
        return np.array(rows, "float32").reshape(-1, len(self.classes))

    def outcomes(
        self, reads: Iterable[Read], threads: int = THREADS, depths: Depths | None = None
    ) -> Iterator[Prediction | Exception]:
        """Yield for each image what it makes of it, or why it cannot be read; of any number of them, in little memory.

        reads: for each a function that returns the bytes of its file, or an array; `threads` others call it at a time.
        depths: counts what was read; default: nothing does.
        """
        square, value_range = self.details.square, self.details.value_range
        note = None if depths is None else partial(depths.note, value_range)

        def columns(images: np.ndarray) -> list[np.ndarray]:
            answers = self.answers(images)
            return [answers.probabilities] + ([] if answers.distances is None else [answers.distances])

        for row in reading.outcomes(columns, square, reads, value_range, threads, note):
            if isinstance(row, Exception):
                yield row
            else:
                given, *distance = (value[None] for value in row)
                yield self.prediction(Answers(given, distance[0] if distance else None, None, None), 0)

    def depths(self) -> Depths:
        """Return what `outcomes` takes to count images, and then says which had other values than those of training."""
        return Depths()

    def answers(self, pixels: np.ndarray) -> Answers:
        """Return what it says of images of its own size: uint8 (n, size, size, 3), as `decoding.read` makes them."""
        try:
            with self._lock:
                given = self._run(pixels)
        except (MemoryError, UserError):
            raise
        except Exception as error:  # of a runtime's own
            size, why = self.details.size, text_of(error)[:200]
            raise UserError(f"{self.path} does not run on images of {size} pixels ({why}): make it anew") from error
        if given["probabilities"].shape[1] != len(self.classes) or not np.isfinite(given["probabilities"]).all():
            raise UserError(f"{self.path} gives no probabilities of {len(self.classes)} classes: make it anew")
        return Answers(given["probabilities"], *map(given.get, ("distance", "nearest", "heat")))

    def prediction(self, answers: Answers, number: int) -> Prediction:
        """Return what it makes of one of the images that `answers` are of."""
        given, rule = answers.probabilities[number : number + 1], self.details.rule
        (best,), (open_,) = rule.predicted(given), rule.possible(given)
        order = sorted(np.flatnonzero(open_), key=lambda index: (index != best, -given[0, index]))
        values = given[0].tolist()
        far = None if self._limit is None else bool(answers.distances[number] > self._limit)
        possible = [self.classes[index] for index in order]
        return Prediction(self.classes[best], values[best], possible, far, dict(zip(self.classes, values, strict=True)))


def about(folder: Path) -> tuple[str, dict[str, Any]]:
    """Return an export's format, and what its `ABOUT` says. Raises UserError where it is none, or a damaged one."""
    path = folder / ABOUT
    if not path.exists():
        raise UserError(
            f"{folder} holds no {ABOUT}: takes models/classifier.keras, or the folder of an export, such as "
            f"{EXPORTS / 'onnx'}, which `make export FORMAT=onnx` writes"
        )
    try:
        with doubted():
            said = json.loads(path.read_text(encoding="utf-8"))
            details.parse(said, None)
            if said["format"] not in runtimes.FORMATS or not isinstance(said["classifier"], str):
                raise ValueError("it does not say of which format it is, and of which classifier")
            if not said["files"] or not all(isinstance(text, str) for text in {**said["files"]}.values()):
                raise ValueError("it does not name its files")
            if any(Path(name).is_absolute() or ".." in Path(name).parts for name in said["files"]):
                raise ValueError("it names files outside of its folder")
            if said.get("unlike") and not isinstance(said["unlike"]["limit"], float):
                raise ValueError("it does not say from where on an image is unlike others")
    except Damaged as error:
        raise UserError(f"{path} is damaged ({error}): run `make export` again") from None
    return said["format"], said


def refuse_damaged(folder: Path, known: dict[str, str], name: str) -> None:
    """Raise UserError where a file of an export is not the one that was written: its answers could be anything."""
    for file, sha256 in known.items():
        path = folder / file
        if not path.is_file() or files.sha256(path) != sha256:
            what = "damaged, or of another export" if path.is_file() else "missing"
            raise UserError(f"{path} is {what}: run `make export FORMAT={name}` again")


def _keras(path: Path, engine: str) -> tuple[Details, float | None, str, runtimes.Run]:
    """As `Classifier` takes them. TensorFlow is imported here alone."""
    if not path.exists():
        raise UserError(
            f"no {path}: run `dvc repro`, `dvc checkout` (brings back the last one) or `dvc pull`; elsewhere, name a "
            "classifier's file, or the folder of an export (predict --model)"
        )
    try:
        from headstart.classifier import answering, file, inference
    except ModuleNotFoundError as error:
        raise UserError(
            f'{path} runs on TensorFlow and Keras, and {error.name} is not here: pip install ".[keras]" in a '
            f"clone, or take an export instead, such as {EXPORTS / 'onnx'}"
        ) from None

    model, found = file.load(path)
    network = answering.network(model, found)
    run, names = inference.runner(network, engine), sorted(network.output)
    limit = None if found.known is None else found.known.limit

    def answer(images: np.ndarray) -> dict[str, np.ndarray]:
        return dict(zip(names, run(images), strict=True))

    return found, limit, files.sha256(path), answer


def _several(images: Iterable[Image]) -> Iterable[Image]:
    if isinstance(images, str | Path) or (isinstance(images, np.ndarray) and images.ndim < 4):
        raise TypeError("takes several images: a list of paths or of arrays")
    return images


def _read(image: Image) -> Read:
    if not isinstance(image, str | Path | np.ndarray):
        raise TypeError(f"got {type(image).__name__}; takes paths, or arrays: numpy.asarray(image.convert('RGB'))")

    def read() -> np.ndarray | bytes:
        if isinstance(image, np.ndarray):
            if image.dtype in (np.bool_, np.int8):  # Pillow would take them for something else
                raise Broken(
                    f"an array of {image.dtype} is no image: takes uint8, or deep grey in uint16, int32, float32"
                )
            return image
        try:
            return Path(image).read_bytes()
        except ValueError as error:  # a NUL in it
            raise Broken(f"no path: {error}") from None

    return read


def _raised(image: Image, outcome: Prediction | Exception, place: int) -> Prediction:
    if isinstance(outcome, Exception):
        name = f"image {place}" if isinstance(image, np.ndarray) else str(image)
        raise Broken(f"{name}: {getattr(outcome, 'strerror', None) or outcome}") from outcome
    return outcome
