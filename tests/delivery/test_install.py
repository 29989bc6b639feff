"""`pip install .` in a clean environment: what a program needs to call a classifier, and no more."""

import json
import shutil
import subprocess
import venv

import pytest
from conftest import ROOT
from exports import made, pixels
from PIL import Image

import headstart
from headstart.classifier import file
from headstart.delivery import exporting


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The `bin` of an environment that holds the project, installed with the extra `predict`."""
    folder = tmp_path_factory.mktemp("installed")
    kept = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "headstart", folder / "clone/headstart", ignore=kept)
    shutil.copy(ROOT / "pyproject.toml", folder / "clone")
    shutil.copy(ROOT / "README.md", folder / "clone")
    venv.create(folder / "environment", with_pip=True)
    python = folder / "environment/bin/python"
    pip = [python, "-m", "pip"]
    if subprocess.run([*pip, "download", "-q", "--no-deps", "-d", folder, "rich"], capture_output=True).returncode:
        pytest.skip("no package index is reachable from here: nothing can be installed")
    wanted = [f"{folder / 'clone'}[predict]", "--constraint", ROOT / "requirements.txt"]
    done = subprocess.run([*pip, "install", "-q", *wanted], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return python.parent


def test_a_classifier_is_called_without_tensorflow_from_the_shell_and_from_a_program(installed, tmp_path):
    path = made(tmp_path / "classifier.keras", "two classes")
    export = tmp_path / "onnx"
    exporting.write(export, *file.load(path), "0" * 64, "onnx", None)
    Image.fromarray(pixels(1)[0]).save(tmp_path / "photo.png")
    own = headstart.Classifier.load(path).predict([tmp_path / "photo.png"])[0]

    command = [installed / "headstart", "predict", "photo.png", "--model", "onnx", "--json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (said,) = json.loads(done.stdout)
    assert said["class"] == own.label and said["probability"] == pytest.approx(own.probability, abs=1e-4)

    code = """
import importlib.util
import headstart
(prediction,) = headstart.Classifier.load("onnx").predict(["photo.png"])
print(prediction.label)
print([name for name in ("tensorflow", "keras", "dvc", "sklearn", "matplotlib") if importlib.util.find_spec(name)])
"""
    done = subprocess.run([installed / "python", "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == (f"{own.label}\n[]\n", "")

    # What needs more says so.
    for arguments, said in (
        (("predict", "photo.png", "--model", str(path)), "classifier.keras runs on TensorFlow and Keras, and "),
        (("start", "photos"), "error: headstart start takes "),
        (("serve",), "error: serving takes pydantic, which is not here: pip install "),
        (("predict", "photo.png"), "error: no models/classifier.keras: "),
    ):
        done = subprocess.run([installed / "headstart", *arguments], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 1 and said in done.stderr and done.stderr.count("\n") == 1
    done = subprocess.run([installed / "headstart", "--version"], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.startswith("Headstart ")
    done = subprocess.run([installed / "headstart"], cwd=tmp_path, capture_output=True, text=True)
    assert [line.split()[:2] for line in done.stdout.splitlines()[1:-1]] == [
        ["headstart", "predict"],
        ["headstart", "serve"],
    ]
