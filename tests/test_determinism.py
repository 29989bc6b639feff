"""The whole pipeline through the real `dvc repro`, twice: the same bytes, `dvc.lock` among them."""

import shutil
from pathlib import Path

from conftest import Project

ALL = ["fetch", "split", "extract", "inspect", "train_head", "fine_tune", "calibrate", "evaluate", "report"]
VIEWS = {
    "fine_tune.views": 3,
    "fine_tune.cut": "conv_pw_11_relu",
    "fine_tune.optimizer": "adamw",
    "fine_tune.label_smoothing": 0.1,
    "fine_tune.mixup": 0.2,
    "fine_tune.ema": 0.9,
    "fine_tune.average_flips": True,
    "augment.rotation": 10.0,
    "head.hidden": [8],
    "head.dropout": 0.5,
}


def outputs(project):
    """Every file that the pipeline wrote, and `dvc.lock`, by its path."""
    files = [project.path / "dvc.lock"]
    for folder in ("data", "models", "metrics"):
        files += [path for path in (project.path / folder).rglob("*") if path.is_file() and path.name != ".gitignore"]
    return {str(path.relative_to(project.path)): path.read_bytes() for path in files}


def test_another_folder_and_hash_seed_and_all_again_give_the_same_bytes(project, tmp_path):
    project.set(VIEWS)
    assert Project.ran(project.repro()) == ALL
    first = outputs(project)
    assert {"data/features/cut/views.npy", "models/head.keras", "models/classifier.keras", "metrics/test.json"} <= set(
        first
    )
    other = Project(Path(shutil.copytree(project.path, tmp_path / "a longer path/to another folder")), hash_seed="1")
    assert Project.ran(other.repro("--force")) == ALL
    second = outputs(other)
    assert first.keys() == second.keys()
    assert [name for name in first if first[name] != second[name]] == []
