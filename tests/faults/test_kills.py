"""The short version of kills.py and damage.py, which see."""

import damage
import kills
import pytest
import scene
from conftest import Project

# What each of these is made by reads it: the array's stage goes by its record, that of the model by its checksums.
READ_BY = {
    "data/features/bottleneck/plain.npy": "train_head",
    "data/features/cut/views.npy": "fine_tune",
    "models/head.keras": "fine_tune",
    "models/classifier.keras": "evaluate",
    "data/raw/weights/weights.h5": "extract",
}


def test_a_pipeline_that_is_killed_at_random_moments_ends_in_the_same_bytes(project, _reproduced, tmp_path):
    campaign, expected = kills.Campaign(seed=1), scene.written(Project(_reproduced))
    campaign.pipeline(project, tmp_path / "killed", expected, longest=8.0, kills=3)
    assert sum(count for what, count in campaign.counts.items() if what.startswith("killed")) in (2, 3)


def test_outputs_that_are_damaged_in_place_are_made_good_by_the_next_run(reproduced):
    expected = scene.written(reproduced)
    for name, kind in zip(READ_BY, ("zeroed", "cut", "empty", "zeroed", "cut"), strict=True):
        damage.overwrite(reproduced.path / name, damage.DAMAGES[kind](expected[name], b""))
    damage.overwrite(reproduced.path / "metrics/predictions.csv", expected["metrics/predictions.csv"] + b"x\n")
    damage.recovered(reproduced, expected)


@pytest.mark.parametrize("name", READ_BY)
def test_a_stage_refuses_what_is_damaged(name, reproduced):
    path, stage = reproduced.path / name, READ_BY[name]
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 1000] = bytes(1000)
    damage.overwrite(path, bytes(content))
    done = reproduced.stage(stage)
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    line = done.stderr.splitlines()[-1]
    assert line.startswith(f"error: {name} is ") and "run `" in line


def test_damaged_epochs_are_thrown_away_and_trained_anew(reproduced):
    """Left by a run that was killed before DVC recorded it, then damaged."""
    expected = scene.written(reproduced)
    reproduced.environment = reproduced.environment | {"DVC_STAGE": "train_head"}  # whose work stays until the record
    reproduced.stage("train_head", check=True)
    (epochs,) = reproduced.path.glob(".headstart/train_head-*/epochs.npz")
    damage.overwrite(epochs, bytes(epochs.stat().st_size))
    done = reproduced.stage("train_head", check=True)
    assert f"{epochs.relative_to(reproduced.path)} is damaged (" in done.stdout
    assert "going on after" not in done.stdout and "epoch 1/" in done.stdout
    assert scene.different(reproduced, expected) == []
