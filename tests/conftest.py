"""A scratch copy of the project that runs through the real `dvc repro` in seconds, and the real material."""

import atexit
import fcntl
import functools
import gc
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_net
import warm
from PIL import Image
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedSeq

from headstart.backbones import registry
from headstart.base.runtime import keras

ROOT = Path(__file__).parent.parent
PARTS = ["dvc.yaml", "params.yaml", "stages", "headstart", "presets", ".dvc/config", ".dvcignore", ".gitignore"]
PARTS += ["data/.gitignore", "data/corrections.csv", "metrics/.gitignore"]
COLOURS = {"blue": (40, 60, 200), "green": (40, 180, 60), "red": (200, 60, 40)}

# Every parameter, whatever preset params.yaml is at. Images of 32 x 32 pixels and a small network make a run take
# seconds.
SMALL = {
    "seed": 1,
    "train_images": None,
    "fold": None,
    "dataset.source": None,
    "dataset.sha256": None,
    "dataset.path": "data/my_images",
    "dataset.labels": "folders",
    "dataset.classes": None,
    "dataset.positive": None,
    "dataset.table": {
        "file": "a.csv",
        "delimiter": ",",
        "header": False,
        "image": 0,
        "label": 1,
        "values": None,
        "weight": None,
        "probabilities": False,
        "split": None,
    },
    "dataset.pattern": None,
    "dataset.group": None,
    "dataset.near_duplicates": "group",
    "dataset.correct_test": False,
    "split.train": None,
    "split.validation": 0.25,
    "split.test": 0.25,
    "split.when_short": "error",
    "split.folds": None,
    "split.seed": 1,
    "image.size": 32,
    "image.resizing": "stretch",
    "image.range": None,
    "backbone.name": "TinyNet",
    "backbone.weights": "data/weights.h5",
    "backbone.sha256": None,
    "backbone.scaling": "native",
    "extract.engine": "tensorflow",
    "extract.precision": "float32",
    "extract.batch_size": 8,
    "head.pooling": "average",
    "head.solver": "gradient",
    "head.views": False,
    "head.hidden": [],
    "head.dropout": 0.0,
    "head.optimizer": "adam",
    "head.learning_rate": 0.001,
    "head.momentum": 0.0,
    "head.weight_decay": 0.0,
    "head.epochs": 6,
    "head.batch_size": 8,
    "head.class_weights": "none",
    "head.early_stopping": None,
    "augment.shear": 0.0,
    "augment.zoom": 0.0,
    "augment.shift": 0.0,
    "augment.rotation": 0.0,
    "augment.flip_horizontal": True,
    "augment.flip_vertical": False,
    "fine_tune.views": 2,
    "fine_tune.cut": "conv3_relu",
    "fine_tune.optimizer": "sgd",
    "fine_tune.learning_rate": 0.0001,
    "fine_tune.schedule": "constant",
    "fine_tune.warmup": 0,
    "fine_tune.momentum": 0.0,
    "fine_tune.weight_decay": 0.0,
    "fine_tune.epochs": 1,
    "fine_tune.batch_size": 8,
    "fine_tune.class_weights": "none",
    "fine_tune.select_by": "loss",
    "fine_tune.choose_on": "validation",
    "fine_tune.refit": False,
    "fine_tune.early_stopping": None,
    "fine_tune.label_smoothing": 0.0,
    "fine_tune.mixup": 0.0,
    "fine_tune.ema": 0.0,
    "fine_tune.layer_decay": 1.0,
    "fine_tune.average_flips": False,
    "decision.goal": "accuracy",
    "decision.of": None,
    "decision.at_least": 0.95,
    "decision.costs": None,
    "decision.coverage": 0.95,
}

warm.quicken()
registry.OWN["TinyNet"] = tiny_net.TinyNet

# Files that take long: where they came last, one worker would wait for the other.
LONG = {"test_docs.py", "test_real.py", "test_cross_validate.py", "test_experiments.py", "test_determinism.py"}
LONG |= {"test_resume.py", "test_benchmarks.py", "test_in_browser.py", "test_kills.py", "test_pipeline.py"}
LONG |= {"test_serve.py", "test_page_of_server.py", "test_hub_pipeline.py", "test_extract_spread.py", "test_jobs.py"}
LONG |= {"test_compare_backbones.py", "test_export.py", "test_exporting_tokens.py", "test_fine_tune.py", "test_loop.py"}
LONG |= {"test_sharing.py", "test_start.py", "test_train_head.py"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.name not in LONG)


def pytest_collection_finish() -> None:
    gc.freeze()  # what is imported stays; to look for waste in all of TensorFlow is a tenth of a training's time


# For runs that are killed in their middle: more than one mark of extract, some epochs, and all that draws at random.
INTERRUPTIBLE = {
    "extract.batch_size": 1,
    "fine_tune.views": 3,
    "fine_tune.cut": "conv2_relu",
    "fine_tune.epochs": 4,
    "fine_tune.optimizer": "adamw",
    "fine_tune.schedule": "cosine",
    "fine_tune.warmup": 1,
    "fine_tune.label_smoothing": 0.1,
    "fine_tune.mixup": 0.2,
    "fine_tune.ema": 0.9,
    "fine_tune.average_flips": True,
    "augment.rotation": 10.0,
    "head.epochs": 4,
    "head.views": True,
    "head.hidden": [8],
    "head.dropout": 0.5,
}


@functools.cache
def warm_python(hash_seed: str) -> Path:
    """A folder with a `python` that starts the projects' stages and commands warm: tests/warm.py says how."""
    if sys.platform != "linux":
        return Path(sys.executable).parent  # macOS's frameworks do not survive a fork
    folder = Path(tempfile.mkdtemp(prefix="warm-"))
    script, address = ROOT / "tests/warm.py", folder / "socket"
    server = subprocess.Popen(
        [sys.executable, script, "serve", address],
        env=os.environ | {"PYTHONHASHSEED": hash_seed},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert server.stdout.readline() == b"ready\n", server.stderr.read()
    (folder / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" -I -S "{script}" ask "{address}" "$@"\n')
    (folder / "dvc").write_text(f'#!/bin/sh\nexec "{folder}/python" -m dvc "$@"\n')
    for name in ("python", "dvc"):
        (folder / name).chmod(0o755)

    @atexit.register
    def stop() -> None:
        server.communicate()
        shutil.rmtree(folder)

    return folder


class Project:
    """A copy of the project in `path`, with its own Git repository and its own DVC cache."""

    def __init__(self, path: Path, hash_seed: str = "random"):
        self.path = path
        self.environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {
            "PATH": os.pathsep.join(
                [str(warm_python(hash_seed)), str(Path(sys.executable).parent), os.environ["PATH"]]
            ),
            "PYTHONHASHSEED": hash_seed,  # for what does not start warm
            "DVC_SITE_CACHE_DIR": str(path / ".dvc/site"),
            "DVC_NO_ANALYTICS": "1",
        }

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess:
        done = subprocess.run(command, cwd=self.path, env=self.environment, capture_output=True, text=True)
        if check:
            assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
        return done

    def dvc(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess:
        return self.run("python", "-m", "dvc", *arguments, check=check)

    def repro(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess:
        return self.dvc("repro", *arguments, check=check)

    def stage(self, name: str, check: bool = False) -> subprocess.CompletedProcess:
        return self.run("python", "-m", f"stages.{name}", check=check)

    def commit(self, message: str) -> None:
        self.run("git", "add", "-A")
        self.run("git", "commit", "-q", "-m", message)

    def set(self, values: dict[str, Any]) -> None:
        """Set parameters in params.yaml by their dotted names."""
        self.edit("params.yaml", values)

    def edit(self, file: str, values: dict[str, Any]) -> None:
        yaml, path = YAML(), self.path / file
        document = yaml.load(path)
        for name, value in values.items():
            *sections, last = name.split(".")
            node = document
            for section in sections:
                node = node[section]
            assert last in node, f"{file} has no {name}"
            # In one line: a list below its key would part the comments beside it from their parameters.
            node[last] = _in_one_line(value) if isinstance(value, list) else value
        yaml.dump(document, path)

    @staticmethod
    def ran(done: subprocess.CompletedProcess) -> list[str]:
        """The stages that a `dvc repro` ran, in their order; one that comes out of DVC's run cache is none."""
        return re.findall(r"^Running stage '(\w+)':", done.stdout, re.MULTILINE)


def _in_one_line(values: list) -> CommentedSeq:
    sequence = CommentedSeq(values)
    sequence.fa.set_flow_style()
    return sequence


def draw(folder: Path, classes: list[str], count: int = 16, size: int = 32) -> None:
    """`count` images per class, as folder/CLASS/N.png: noise around the class's colour."""
    rng = np.random.default_rng(0)
    for name in classes:
        (folder / name).mkdir(parents=True)
        for number in range(count):
            noise = rng.normal(0, 10, (size, size, 3))
            pixels = np.clip(np.array(COLOURS[name]) + noise, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number:02}.png")


def draw_weights(file: Path, folder: Path) -> None:
    """Random weights of TinyNet, its normalisations fitted to the images in `folder`.

    Otherwise its features vanish. The means are taken off in part: taken off as a whole, every layer adds to the noise.
    """
    backbone = registry.build("TinyNet", 32, None)
    pixels = np.stack([np.asarray(Image.open(path)) for path in sorted(folder.rglob("*.png"))]) / np.float32(127.5) - 1
    seen = pixels
    for layer in backbone.layers[1:]:  # one after the other: TinyNet does not branch
        if isinstance(layer, keras.layers.BatchNormalization):
            values = np.asarray(seen)
            mean = 0.1 * values.mean((0, 1, 2))
            layer.moving_mean.assign(mean)
            layer.moving_variance.assign(np.full(mean.shape, np.square(values - mean).mean()))
        seen = layer(seen)
    with warnings.catch_warnings():
        # The format is legacy, but the one that the published weights of keras.applications have.
        warnings.simplefilter("ignore")
        backbone.save(file)


def put_array(path: Path, array: np.ndarray, **noted: Any) -> None:
    """Put `array` in the place of one that `extract` writes, with its record, for the manifest in this folder.

    noted: what the record has beside that.
    """
    from headstart.artifacts import arrays, manifest
    from headstart.base import files

    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    np.save(path, array)
    table, records = manifest.read(), path.parent / arrays.RECORDS
    rows = table.trained_on() if path.stem == "views" else range(len(table.paths))
    images = arrays.names_of(table.sha256[row] for row in rows)
    known = json.loads(records.read_text()) if records.exists() else {}
    entry = {"size": path.stat().st_size, "sha256": files.sha256(path), "images": images} | noted
    arrays.record(path.parent, known | {path.name: entry})


def data_of(page: Path) -> dict[str, Any]:
    """What the script of a page reads."""
    return json.loads(re.search(r'id="data-of-page">(.*?)</script>', page.read_text("utf-8"), re.DOTALL)[1])


def _built_once(tmp_path_factory, name: str, build: Callable[[Path], None]) -> Path:
    """The project that `build` makes in a folder of that name, for all workers: the first that wants it builds it."""
    temporary = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        temporary = temporary.parent
    path = temporary / name / "project"
    path.parent.mkdir(exist_ok=True)
    with (temporary / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (path.parent / "built").exists():
            shutil.rmtree(path, ignore_errors=True)
            build(path)
            (path.parent / "built").touch()
    return path


@pytest.fixture(scope="session")
def _fresh(tmp_path_factory) -> Path:
    return _built_once(tmp_path_factory, "fresh", _set_up)


def _set_up(path: Path) -> None:
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, path / part, ignore=shutil.ignore_patterns("__pycache__"))
        elif (ROOT / part).exists():
            (path / part).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / part, path / part)
    shutil.copy(ROOT / "tests/tiny_net.py", path / "headstart/backbones")
    with (path / "headstart/backbones/registry.py").open("a") as file:
        file.write('\nfrom headstart.backbones.tiny_net import TinyNet\n\nOWN["TinyNet"] = TinyNet\n')
    draw(path / "data/my_images", ["blue", "red"])
    draw_weights(path / "data/weights.h5", path / "data/my_images")
    project = Project(path)
    project.set(SMALL)
    project.run("git", "init", "-q")
    project.run("git", "config", "user.name", "A Tester")
    project.run("git", "config", "user.email", "tester@example.org")
    project.commit("The project")


@pytest.fixture(scope="session")
def _reproduced(_fresh, tmp_path_factory) -> Path:
    def reproduce(path: Path) -> None:
        shutil.copytree(_fresh, path)
        project = Project(path)
        project.repro()
        project.commit("A first run")

    return _built_once(tmp_path_factory, "reproduced", reproduce)


@pytest.fixture(scope="session")
def undisturbed(_fresh, tmp_path_factory) -> Path:
    """A project after a `dvc repro` with all that draws at random: what other runs of it are compared with."""

    def reproduce(path: Path) -> None:
        project = Project(Path(shutil.copytree(_fresh, path)))
        project.set(INTERRUPTIBLE)
        project.repro()

    return _built_once(tmp_path_factory, "undisturbed", reproduce)


@pytest.fixture
def project(_fresh, tmp_path) -> Project:
    """The project with small parameters and a drawn dataset of two classes; nothing has run."""
    return Project(Path(shutil.copytree(_fresh, tmp_path / "project")))


@pytest.fixture
def reproduced(_reproduced, tmp_path) -> Project:
    """The same after a `dvc repro`, committed."""
    return Project(Path(shutil.copytree(_reproduced, tmp_path / "project")))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real photographs and weights: HEADSTART_SHARED, or ../shared beside the project."""
    path = Path(os.environ.get("HEADSTART_SHARED", ROOT.parent / "shared")).resolve()
    if not (path / "data").is_dir() or not (path / "weights").is_dir():
        pytest.skip(f"no real photographs and weights in {path} (set HEADSTART_SHARED to their folder)")
    return path
