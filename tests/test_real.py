"""The pipeline on real photographs with real weights, a small part of both."""

import json
import zipfile

import pytest

pytestmark = pytest.mark.real


def test_cats_and_dogs(project, shared):
    """A head on 200 photographs knows cats from dogs, and fine-tuning starts from there."""
    photos = shared / "data/cats_dogs_4000.zip"
    project.set(
        {
            "dataset.path": str(photos),
            "dataset.labels": "prefix",
            "dataset.classes": ["cat", "dog"],
            "split.train": 100,
            "split.validation": 20,
            "split.test": 40,
            "image.size": 150,
            "backbone.name": "InceptionV3",
            "backbone.weights": str(shared / "weights/inception_v3_imagenet_notop.h5"),
            "backbone.sha256": "b432a77eb0b019acc9e4d31be64469167db8c2ba1fb540a2c6772e4e2fd4f8cb",
            "backbone.scaling": "native",
            "head.epochs": 20,
            "fine_tune.views": 2,
            "fine_tune.cut": "mixed9",
            "fine_tune.learning_rate": 0.0001,
            "fine_tune.momentum": 0.9,
            "fine_tune.epochs": 1,
        }
    )
    project.repro("evaluate")
    test = json.loads((project.path / "metrics/test.json").read_text())
    assert test["images"] == 80
    assert test["head"]["accuracy"] >= 0.9
    metrics = json.loads((project.path / "metrics/fine_tune/metrics.json").read_text())
    assert {"head", "fine_tuned"} <= set(metrics["candidates"])
    assert all(scores["accuracy"] >= 0.9 for name, scores in test.items() if name in ("head", "fine_tuned"))

    def logged(stage: str, metric: str) -> list[float]:
        table = project.path / f"metrics/{stage}/plots/metrics/validation/{metric}.tsv"
        return [float(line.split("\t")[1]) for line in table.read_text().splitlines()[1:]]

    # Before its first step the fine-tuned model is the head, to the precision of float16.
    assert logged("fine_tune", "accuracy")[0] == pytest.approx(logged("head", "accuracy")[-1], abs=0.011)
    assert logged("fine_tune", "loss")[0] == pytest.approx(logged("head", "loss")[-1], abs=1e-3)

    with zipfile.ZipFile(photos) as archive:
        archive.extract("train/cat.4900.jpg", project.path)
    done = project.run("python", "-m", "headstart.predict", "train/cat.4900.jpg")
    path, label, probability = done.stdout.split()
    assert (path, label) == ("train/cat.4900.jpg", "cat")
    assert float(probability) > 0.5
