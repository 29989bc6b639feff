import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from headstart.base import checkpoint
from headstart.base.errors import UserError

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    Path("params.yaml").write_text(text.replace("path: data/raw/elpv-dataset.zip", "path: photos"), encoding="utf-8")
    stage = {"params": ["seed", "head"], "deps": ["${dataset.path}", "code.py", "inputs"]}
    Path("dvc.yaml").write_text(json.dumps({"stages": {"train_head": stage, "other": stage | {"params": ["seed"]}}}))
    for file in ("photos/a.jpg", "inputs/deep/b.npy", "inputs/c.npy", "code.py"):
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        Path(file).write_text(file)


def change(file, old, new):
    text = Path(file).read_text(encoding="utf-8")
    assert old in text
    Path(file).write_text(text.replace(old, new, 1), encoding="utf-8")


def test_the_same_inputs_have_the_same_folder():
    assert checkpoint.folder("train_head") == checkpoint.folder("train_head")
    assert checkpoint.folder("train_head").is_dir()
    assert checkpoint.folder("train_head") != checkpoint.folder("other")


def test_two_processes_do_not_share_a_folder():
    code = "from headstart.base import checkpoint; checkpoint.folder('train_head'); print('held', flush=True); input()"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code], env=environment, text=True, **pipes) as other:
        assert other.stdout.readline() == "held\n"
        message = rf"another process \({other.pid}\) is at work on train_head in this folder: .* \(kill {other.pid}\)"
        with pytest.raises(UserError, match=message):
            checkpoint.folder("train_head")
        before = sorted(checkpoint.CHECKPOINTS.rglob("*"))
        checkpoint.clear()
        checkpoint.finish("train_head")
        assert sorted(checkpoint.CHECKPOINTS.rglob("*")) == before, "what another process works on is left alone"
        other.kill()
        other.wait()
        assert checkpoint.folder("train_head").is_dir()


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("params.yaml", "seed: 1", "seed: 2"),
        ("params.yaml", "dropout: 0.5", "dropout: 0.25"),
        ("code.py", "code", "kode"),
        ("inputs/c.npy", "inputs", "input"),
        ("inputs/deep/b.npy", "deep", "Deep"),
    ],
)
def test_other_inputs_have_another_folder(file, old, new):
    before = checkpoint.folder("train_head")
    change(file, old, new)
    assert checkpoint.folder("train_head") != before
    change(file, new, old)
    assert checkpoint.folder("train_head") == before


def test_a_file_more_or_under_another_name_is_another_input():
    folders = {checkpoint.folder("train_head")}
    Path("inputs/d.npy").write_text("d")
    folders.add(checkpoint.folder("train_head"))
    Path("inputs/d.npy").rename("inputs/e.npy")
    folders.add(checkpoint.folder("train_head"))
    assert len(folders) == 3


def test_what_the_stage_does_not_depend_on_changes_nothing():
    before = checkpoint.folder("other")
    change("params.yaml", "dropout: 0.5", "dropout: 0.25")
    Path("beside.txt").write_text("something else")
    assert checkpoint.folder("other") == before


def finished(stage, monkeypatch):
    """The folder of a stage whose work is done under DVC, which has not recorded it yet; its process has ended."""
    path = checkpoint.folder(stage)
    with monkeypatch.context() as under_dvc:
        under_dvc.setenv("DVC_STAGE", stage)
        checkpoint.finish(stage)
    ended()
    return path


def ended():
    """Let the locks of this process go, as its end would."""
    for descriptor in checkpoint._locks.values():
        os.close(descriptor)
    checkpoint._locks.clear()


def test_clearing_removes_finished_work_alone(monkeypatch):
    done, other = finished("train_head", monkeypatch), finished("other", monkeypatch)
    change("params.yaml", "dropout: 0.5", "dropout: 0.25")
    unfinished = checkpoint.folder("train_head")
    ended()
    checkpoint.clear("train_head")
    assert (done.exists(), unfinished.exists(), other.exists()) == (False, True, True)
    checkpoint.clear()
    assert (unfinished.exists(), other.exists()) == (True, False)
    checkpoint.clear()
    assert unfinished.exists(), "what is unfinished stays, whoever clears"


def test_finished_work_that_is_taken_up_again_is_unfinished(monkeypatch):
    path = finished("train_head", monkeypatch)
    assert checkpoint.folder("train_head") == path
    ended()
    checkpoint.clear()
    assert path.exists()


@pytest.mark.parametrize("under_dvc", [False, True])
def test_finished_work_stays_until_dvc_has_recorded_it(under_dvc, monkeypatch):
    earlier = checkpoint.folder("train_head")
    change("params.yaml", "dropout: 0.5", "dropout: 0.25")
    ended()
    current, other = checkpoint.folder("train_head"), checkpoint.folder("other")
    monkeypatch.delenv("DVC_STAGE", raising=False)
    if under_dvc:
        monkeypatch.setenv("DVC_STAGE", "train_head")
    checkpoint.finish("train_head")
    assert (earlier.exists(), current.exists(), other.exists()) == (False, under_dvc, True)
    checkpoint.clear()
    assert not current.exists() and other.exists()
    checkpoint.finish("other")
    assert other.exists() == under_dvc


@pytest.mark.parametrize("library", ["tensorflow", "keras", "openvino"])
def test_another_version_of_what_computes_has_another_folder(library, monkeypatch):
    before, version = checkpoint.folder("train_head"), checkpoint.metadata.version
    monkeypatch.setattr(checkpoint.metadata, "version", lambda name: "0.1" if name == library else version(name))
    assert checkpoint.folder("train_head") != before


def test_a_library_that_is_not_installed_is_a_version_too(monkeypatch):
    def missing(name):
        raise checkpoint.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(checkpoint.metadata, "version", missing)
    assert checkpoint.folder("train_head").is_dir()


def test_the_outs_are_synced_before_the_work_counts_as_done(monkeypatch):
    """Each file, the folder that names it, and those above up to the project's."""
    pipeline = json.loads(Path("dvc.yaml").read_text())
    outs = {"outs": ["models/head.keras", {"data/raw": {"persist": True}}], "metrics": [{"m/a.json": {"cache": False}}]}
    pipeline["stages"]["train_head"] |= outs
    Path("dvc.yaml").write_text(json.dumps(pipeline))
    for file in ("models/head.keras", "data/raw/a.zip", "data/raw/weights/b.h5", "m/a.json"):
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        Path(file).write_text(file)
    work, synced = checkpoint.folder("train_head"), []

    def sync(descriptor):
        assert work.exists()
        synced.append(os.fstat(descriptor).st_ino)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.delenv("DVC_STAGE", raising=False)
    checkpoint.finish("train_head")
    assert not work.exists()
    folders = [".", "models", "data", "data/raw", "data/raw/weights", "m"]
    files = ["models/head.keras", "data/raw/a.zip", "data/raw/weights/b.h5", "m/a.json"]
    for path in folders + files:
        assert Path(path).stat().st_ino in synced, path
        for above in Path(path).parents if path in files else ():
            assert synced.index(Path(path).stat().st_ino) < len(synced) - 1 - synced[::-1].index(above.stat().st_ino)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"12x", b"-1"])
def test_a_damaged_id_of_a_process_is_not_named(content):
    code = "from headstart.base import checkpoint; checkpoint.folder('train_head'); print('held', flush=True); input()"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code], env=environment, text=True, **pipes) as other:
        assert other.stdout.readline() == "held\n"
        next(checkpoint.CHECKPOINTS.glob("*/process")).write_bytes(content)
        with pytest.raises(UserError, match="another process is at work on train_head .*its id is not known yet"):
            checkpoint.folder("train_head")
        other.kill()
