"""The whole pipeline through the real `dvc repro`, twice: the same bytes, `dvc.lock` among them."""

import shutil
from pathlib import Path

from conftest import Project

ALL = ["fetch", "split", "extract", "inspect", "train_head", "fine_tune", "calibrate", "evaluate", "report"]


def outputs(project):
    """Every file that the pipeline wrote, and `dvc.lock`, by its path."""
    files = [project.path / "dvc.lock"]
    for folder in ("data", "models", "metrics"):
        files += [path for path in (project.path / folder).rglob("*") if path.is_file() and path.name != ".gitignore"]
    return {str(path.relative_to(project.path)): path.read_bytes() for path in files}


def test_another_folder_and_hash_seed_and_all_again_give_the_same_bytes(undisturbed, tmp_path):
    first = outputs(Project(undisturbed))
    assert {"data/features/cut/views.npy", "models/head.keras", "models/classifier.keras", "metrics/test.json"} <= set(
        first
    )
    other = Project(Path(shutil.copytree(undisturbed, tmp_path / "a longer path/to another folder")), hash_seed="1")
    assert Project.ran(other.repro("--force")) == ALL
    second = outputs(other)
    assert first.keys() == second.keys()
    assert [name for name in first if first[name] != second[name]] == []
