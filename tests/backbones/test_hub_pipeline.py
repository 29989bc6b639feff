"""Every family of KerasHub's networks that the documentation names, through the whole pipeline on drawn images."""

import json
from pathlib import Path

import numpy as np
import pytest

from headstart.base import files, params
from headstart.classifier import file
from headstart.page import looking
from presets import CUTS, TOKENS, save
from stages import calibrate, evaluate, extract, fetch, fine_tune, inspect, report, split, train_head

pytest.importorskip("keras_hub", reason="KerasHub is not installed (requirements-kerashub.txt)")

STAGES = (fetch, split, extract, inspect, train_head, fine_tune, calibrate, evaluate, report)
POOLINGS = {"vit": "token", "siglip": "both", "deit": "flatten"}


def losses(stage):
    lines = Path(f"metrics/{stage}/plots/metrics/validation/loss.tsv").read_text().splitlines()[1:]
    return [float(line.split("\t")[-1]) for line in lines]


@pytest.mark.parametrize("family", CUTS)
def test_a_network_of_the_hub_runs_the_whole_pipeline(family, project, monkeypatch):
    monkeypatch.chdir(project.path)
    save(family, Path("data/preset"), {"scale": [1 / 127.5] * 3, "offset": [-1.0] * 3})
    values = {"backbone.name": f"hub:{family}", "backbone.weights": "data/preset", "fine_tune.cut": CUTS[family]}
    values |= {"fine_tune.views": 2, "head.views": True, "head.epochs": 2}
    project.set(values | {"head.pooling": POOLINGS.get(family, "average")})
    for stage in STAGES:
        stage.main()
    plain = np.load("data/features/bottleneck/plain.npy", mmap_mode="r")
    assert plain.ndim == (3 if family in TOKENS else 4)
    # Before its first step the fine-tuned network is the head, up to the rounding of float16.
    assert losses("fine_tune")[0] == pytest.approx(losses("head")[-1], abs=2e-3)
    assert json.loads(Path("metrics/test.json").read_text())["head"]["images"] == 8
    needs = b"keras_hub" in Path("models/classifier.keras").read_bytes()
    assert needs == (family == "swin"), "the file of every other one needs Keras alone"
    classifier, details = file.load(file.CLASSIFIER)
    heat, _ = looking.looks(classifier, details, np.zeros((2, 32, 32, 3), "uint8"))
    assert heat.shape[1:] == ((1, 1) if family == "vit" else (4, 4) if family in TOKENS else plain.shape[1:3])


def test_the_same_run_gives_the_same_bytes(project, monkeypatch):
    monkeypatch.chdir(project.path)
    save("dinov3", Path("data/preset"))
    values = {"backbone.name": "hub:dinov3", "backbone.weights": "data/preset", "fine_tune.cut": "block_2"}
    project.set(values | {"fine_tune.views": 2, "head.pooling": "both", "head.solver": "logistic"})
    written = []
    for _ in range(2):
        for stage in (fetch, split, extract, train_head, fine_tune):
            params.load()
            stage.main()
        names = ("data/raw/weights/weights.zip", "data/features/cut/plain.npy", "models/head.keras")
        written.append([files.sha256(Path(name)) for name in names])
    assert written[0] == written[1]
