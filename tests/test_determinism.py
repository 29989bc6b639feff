"""The whole pipeline through the real `dvc repro`, twice: the same bytes."""

import shutil
from pathlib import Path

from conftest import Project

ALL = ["fetch", "split", "extract", "train_head", "fine_tune", "evaluate"]
VIEWS = {
    "fine_tune.views": 3,
    "fine_tune.cut": "conv_pw_11_relu",
    "fine_tune.optimizer": "adamw",
    "fine_tune.label_smoothing": 0.1,
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


def test_two_folders_and_two_hash_seeds_give_the_same_bytes(project, tmp_path):
    project.set(VIEWS)
    other = Project(Path(shutil.copytree(project.path, tmp_path / "a longer path/to another folder")))
    found = []
    other.environment["PYTHONHASHSEED"] = "1"  # otherwise any
    for one in (project, other):
        assert Project.ran(one.repro()) == ALL
        found.append(outputs(one))
    first, second = found
    assert {"data/features/cut/views.npy", "models/head.keras", "models/classifier.keras", "metrics/test.json"} <= set(
        first
    )
    assert first.keys() == second.keys()
    assert [name for name in first if first[name] != second[name]] == []


def test_running_everything_again_leaves_dvc_lock_as_it_was(reproduced):
    before = outputs(reproduced)
    assert Project.ran(reproduced.repro("--force")) == ALL
    after = outputs(reproduced)
    assert after["dvc.lock"] == before["dvc.lock"]
    assert [name for name in before if before[name] != after.get(name)] == []
