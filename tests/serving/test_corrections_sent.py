"""What people correct is in the project, with the image, and is never lost."""

import dataclasses
import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from classifiers import CLASSES
from running import load_classifier, photo, running

import headstart
from headstart.artifacts import corrections, manifest, results
from headstart.artifacts.corrections import CORRECTIONS, Correction
from headstart.artifacts.manifest import Manifest
from headstart.artifacts.results import CLASSIFIER
from headstart.images import decoding
from headstart.serving import about, project
from headstart.serving.limits import Limits

LABEL, OTHER = CLASSES


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    return load_classifier(tmp_path_factory.mktemp("corrections") / "classifier.keras")


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder that is a project with these classes; it has no manifest."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    (tmp_path / "data/classes.json").write_text(json.dumps(CLASSES))
    return tmp_path


@pytest.fixture
def server(classifier, here):
    with running(classifier, project.find(CLASSES)) as server:
        yield server


def send(server, content=None, label=LABEL, **fields):
    return server.post("/corrections", files={"image": ("a.png", content or photo())}, data={"label": label, **fields})


def name_of(content):
    return f"data/corrections/{decoding.examine(content).sha256}"


def test_the_image_and_the_row_are_written(server, here):
    answer = send(server, by="Ann", why="=look\n again")
    place = f"{name_of(photo())}.png"
    assert answer.status_code == 201 and answer.json()["path"] == place
    assert answer.json()["said"].startswith("Saved in data/corrections.csv, with the image in data/corrections/")
    assert (here / place).read_bytes() == photo()
    sha256 = decoding.examine(photo()).sha256
    assert corrections.read() == [Correction(place, sha256, "label", LABEL, "Ann", "=look again")]
    assert ",'=look again" in CORRECTIONS.read_text()  # no formula
    assert server.get("/model").json()["corrections"] is True


def test_the_last_one_counts_and_says_what_it_replaces(server):
    corrections.write([Correction("x.png", "1", "keep", "", "Bob")])
    send(server, by="Ann")
    answer = send(server, label=OTHER)
    assert answer.json()["said"].endswith(f"It replaces: {LABEL} by Ann.")
    assert [(row.path, row.label) for row in corrections.read()] == [("x.png", ""), (f"{name_of(photo())}.png", OTHER)]


def test_an_image_that_is_there_is_not_written_over(server, here):
    place = here / f"{name_of(photo())}.png"
    place.parent.mkdir(parents=True)
    place.write_bytes(b"mine")
    assert send(server).status_code == 201
    assert place.read_bytes() == b"mine"


def test_its_ending_is_that_of_its_content_and_its_name_is_nobodys(server, here):
    content = photo(3, kind="JPEG")
    files = {"image": ("../../../evil.sh", content)}
    assert server.post("/corrections", files=files, data={"label": LABEL}).status_code == 201
    assert list((here / "data/corrections").iterdir()) == [here / f"{name_of(content)}.jpg"]


def test_an_image_of_the_source_is_named_by_its_path_there(classifier, here, monkeypatch):
    sha256 = decoding.examine(photo(1)).sha256
    table = Manifest(CLASSES, ["a/1.png", "b/2.png"], np.array([0, 1]), np.array(["train", "test"]), [sha256, "2"])
    monkeypatch.setattr(project.Project, "table", lambda _: table)
    with running(classifier, project.find(CLASSES)) as server:
        assert send(server, photo(1), OTHER).json()["path"] == "a/1.png"
    assert corrections.read()[0][:4] == ("a/1.png", sha256, "label", OTHER)
    assert (here / f"{name_of(photo(1))}.png").exists()


def test_many_at_once_are_all_kept(server):
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: send(server, photo(number)), range(40)))
    assert {answer.status_code for answer in answers} == {201}
    assert sorted(row.path for row in corrections.read()) == sorted(f"{name_of(photo(n))}.png" for n in range(40))


def test_two_servers_in_one_project_lose_nothing(here):
    servers = project.find(CLASSES), project.find(CLASSES)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: servers[n % 2].correct(photo(n), LABEL, "", "", 10**6), range(40)))
    assert len(corrections.read()) == 40


@pytest.mark.parametrize(
    ("fields", "files", "detail"),
    [
        ({"label": "cow"}, {"image": photo()}, f"label: got cow; takes {LABEL}, {OTHER}"),
        ({}, {"image": photo()}, f"label: got nothing; takes {LABEL}"),
        ({"label": LABEL}, {"image": b"no image"}, "image: not an image by its first bytes"),
        ({"label": LABEL}, {"other": photo()}, "takes the file `image` and the texts `label`, `by` and `why`"),
        ({"label": LABEL}, {"image": photo(), "by": photo()}, "takes the file `image` and the texts"),
        ({"label": LABEL}, {"image": photo(), "more": photo()}, "takes the file `image` and the texts"),
        ({"label": LABEL}, [("image", photo()), ("image", photo())], "image: got 2 of them; takes one: send each by"),
    ],
)
def test_what_is_no_correction_writes_nothing(server, here, fields, files, detail):
    answer = server.post("/corrections", files=files, data=fields)
    assert answer.status_code == 422 and answer.json()["detail"].startswith(detail)
    assert not CORRECTIONS.exists() and not list((here / "data").glob("corrections/*"))


def test_a_damaged_file_of_corrections_is_not_written_over_and_the_image_is_kept(server, here):
    CORRECTIONS.write_text("mine\n")
    answer = send(server)
    assert answer.status_code == 409 and "got the columns mine" in answer.json()["detail"]
    assert answer.json()["detail"].endswith("the image is kept all the same")
    assert CORRECTIONS.read_text() == "mine\n" and (here / f"{name_of(photo())}.png").exists()


def test_a_disk_that_cannot_be_written_is_said(server, here, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("headstart.base.files.sync", full)
    answer = send(server)
    assert (answer.status_code, answer.json()["title"]) == (507, "Insufficient Storage")
    assert corrections.read() == []
    monkeypatch.undo()
    monkeypatch.chdir(here)
    assert send(server).status_code == 201


def test_a_page_of_another_site_writes_nothing(server):
    answer = server.post(
        "/corrections", files={"image": photo()}, data={"label": LABEL}, headers={"Origin": "https://evil.example.org"}
    )
    assert answer.status_code == 403 and not CORRECTIONS.exists()


def test_outside_of_a_project_or_in_one_of_other_classes_nothing_is_written(here, tmp_path):
    assert project.find([LABEL]) is None and project.find([OTHER, LABEL]) is None
    (here / "dvc.yaml").unlink()
    assert project.find(CLASSES) is None
    (here / "data/classes.json").write_text("[")
    assert project.find(CLASSES) is None


def test_in_its_own_project_the_training_images_are_shown_and_in_another_one_none(reproduced, monkeypatch):
    monkeypatch.chdir(reproduced.path)
    classifier, table = headstart.Classifier.load(CLASSIFIER), manifest.read()
    found = project.find(table.classes)
    assert found is not None and found.table().paths == table.paths
    images = project.training_images(found, classifier)
    first = table.rows("train")[0]
    shown = images.shown(0)
    assert (shown["path"], shown["class"]) == (table.paths[first], table.classes[table.labels[first]])
    assert shown["picture"].startswith("data:image/webp;base64,")
    images.close()
    splits = table.splits.copy()
    splits[first] = "validation"  # another draw of the same images
    manifest.write(dataclasses.replace(table, splits=splits))
    assert project.training_images(found, classifier) is None


def test_scores_are_told_of_the_classifier_that_they_are_of_alone(reproduced, monkeypatch):
    monkeypatch.chdir(reproduced.path)
    classifier, measured = headstart.Classifier.load(CLASSIFIER), results.read()
    found = project.find(classifier.classes)
    model = about.describe(CLASSIFIER, classifier, found, Limits())
    assert model.metrics["accuracy"] == measured.scores[measured.delivered]["accuracy"]
    assert model.commit == reproduced.run("git", "log", "-1", "--format=%h").stdout.strip()
    assert not about.is_older(classifier)
    CLASSIFIER.unlink()
    CLASSIFIER.write_bytes(b"another one")
    assert about.is_older(classifier)
    assert about.describe(CLASSIFIER, classifier, found, Limits()).metrics is None


def test_the_scores_are_of_what_the_classifier_decides(reproduced, monkeypatch):
    monkeypatch.chdir(reproduced.path)
    classifier, measured = headstart.Classifier.load(CLASSIFIER), results.read()
    decided = {"goal": "recall", "of": "red", "accuracy": 0.25, "accuracy_low": 0.1, "accuracy_high": 0.5}
    results.write(dataclasses.replace(measured, trust=measured.trust | {"decision": decided}))
    metrics = about.describe(CLASSIFIER, classifier, project.find(classifier.classes), Limits()).metrics
    assert (metrics["accuracy"], metrics["accuracy_low"], metrics["accuracy_high"]) == (0.25, 0.1, 0.5)
    assert "balanced_accuracy" not in metrics and metrics["loss"] == measured.scores[measured.delivered]["loss"]
