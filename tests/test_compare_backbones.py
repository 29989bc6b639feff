"""Which network suits my images? On answers made up for it, and through the real DVC on drawn images."""

import dataclasses
import json
import os
import re
import shutil
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import Project
from PIL import Image
from rich.console import Console
from scipy.stats import binomtest

from headstart import compare_backbones
from headstart.artifacts.manifest import Manifest
from headstart.base.errors import UserError
from headstart.compare_backbones import HEAD_ALONE, Candidate, Outcome
from headstart.discovery import networks

LITE, MOBILE, DENSE = (Candidate(name, 224, "imagenet", None) for name in ("VGG16", "MobileNetV2", "DenseNet121"))


def outcome(right, of=200, took=50.0, loss=0.5, first=0):
    """So many right answers, the first of which is that of image `first`."""
    answers = np.zeros(of, bool)
    answers[first : first + right] = True
    return Outcome(answers, loss, took - 5 if took else None, 5.0, 250 / took if took else None)


def test_names_sizes_and_weights(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = str(tmp_path / "mobile.h5")
    Path(file).touch()
    named = compare_backbones.candidates(
        ["EfficientNetLite0 VGG16@64", f"EfficientNetLite0@128=random, MobileNetV2={file}"], None
    )
    lite = networks.PUBLISHED["EfficientNetLite0"]
    assert named == [
        Candidate("EfficientNetLite0", 224, lite.weights, lite.sha256),
        Candidate("VGG16", 64, "imagenet", None),
        Candidate("EfficientNetLite0", 128, "random", None),
        Candidate("MobileNetV2", 224, file, None),
    ]
    assert [of.weights for of in compare_backbones.candidates(["EfficientNetLite0", "VGG16"], "random")] == [
        "random"
    ] * 2
    assert compare_backbones.candidates(["EfficientNetLite0", "VGG16@64"], "imagenet")[0].weights == "imagenet"
    (given,) = {of.weights for of in compare_backbones.candidates(["MobileNetV2", "VGG16"], "mobile.h5")}
    assert given == file


def test_networks_of_kerashub_take_weights_of_their_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("presets, of mine").mkdir()
    named = compare_backbones.candidates(
        ["hub:vit@64=random,hub:dinov2_small=presets, of mine,VGG16, hub:swin=hf://microsoft/swin-tiny@main"], None
    )
    assert named == [
        Candidate("hub:vit", 64, "random", None),
        Candidate("hub:dinov2_small", 224, str(tmp_path / "presets, of mine"), None),
        Candidate("VGG16", 224, "imagenet", None),
        Candidate("hub:swin", 224, "hf://microsoft/swin-tiny@main", None),
    ]
    assert [of.work is None for of in named] == [True, True, False, True]


def test_a_path_may_have_commas_and_spaces(tmp_path):
    file = tmp_path / "my nets, of today.h5"
    file.touch()
    named = compare_backbones.candidates([f"VGG16={file},VGG19"], None)
    assert [(of.name, of.weights) for of in named] == [("VGG16", str(file)), ("VGG19", "imagenet")]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["MobileNetV22,VGG16"], r"got MobileNetV22; did you mean MobileNetV2\? takes the names that `python -m"),
        (["VGG16"], "got VGG16@224 alone; takes two or more to compare, such as NAMES="),
        ([], "got no network; takes two or more to compare"),
        (["VGG16,VGG19,VGG16@224"], "got VGG16@224 twice; takes each network once at one size"),
        (["VGG16,VGG19,VGG16=random"], "got VGG16@224 twice"),
        (["VGG16@8,VGG19"], "got VGG16@8; takes a size from 16 to 2048 pixels after @, such as VGG16@224"),
        (["VGG16@big,VGG19"], "got VGG16@big; takes a size from 16 to 2048 pixels"),
        (
            ["hub:vit,VGG19"],
            "got hub:vit without weights; takes those of KerasHub's networks after =, such as hub:vit=hf",
        ),
        (["hub:vit=imagenet,VGG19"], "got hub:vit without weights"),
        (["hub:vit=gone,VGG19"], "got hub:vit=gone; no file is at gone: takes one of weights after ="),
        (["VGG16=hf://google/vit,VGG19"], "got hf://google/vit, a preset, which backbone.name: hub:NAME takes; VGG16"),
        (["VGG16=https://a.org/x.zip,VGG19"], r"got https://a.org/x.zip; VGG16 takes a \.h5 file: name one"),
        (["VGG16=gone.h5,VGG19"], "got VGG16=gone.h5; no file is at gone.h5: takes one of weights after ="),
    ],
)
def test_what_cannot_be_compared_is_one_line(names, message):
    with pytest.raises(UserError, match=message):
        compare_backbones.candidates(names, None)


class Made:
    """An experiment of so many images of each class, whose features tell the classes apart; half are for the test."""

    def __init__(self, counts, noise=0.1):
        self.params = {"seed": 1}
        rng = np.random.default_rng(1)
        labels = np.repeat(np.arange(len(counts)), [2 * count for count in counts])
        names = [f"{number:03}.png" for number in range(len(labels))]
        splits = np.array(["test", "train", "test", "validation"] * len(labels))[: len(labels)]
        self._table = Manifest([f"class {label}" for label in range(len(counts))], names, labels, splits, names)
        self._averages = np.eye(len(counts), dtype="float32")[labels] + rng.normal(0, noise, (len(labels), len(counts)))
        # Of the test images nothing is to be learnt, and nothing is to be scored.
        self._averages[splits == "test"] = np.nan

    def manifest(self):
        return self._table

    def averages(self, table):
        return self._averages

    def lock(self):
        return {"stages": {}}


def test_images_are_predicted_by_heads_that_have_not_seen_them_and_those_of_the_test_by_none():
    found = compare_backbones.measure(Made([20, 20]))
    assert (len(found.right), found.seconds, found.speed) == (40, None, None)
    assert found.accuracy == 1 and 0 < found.loss < 0.5
    guessed = compare_backbones.measure(Made([200, 200], noise=1000))
    assert guessed.interval[0] < 0.5 < guessed.interval[1] + 0.05


def test_a_class_with_one_image_is_named():
    with pytest.raises(UserError, match="^class class 2 has 1 image in training and validation, .* takes two of each"):
        compare_backbones.measure(Made([20, 20, 1]))
    # Its images may be many, and of one patient.
    made = Made([20, 20, 10])
    groups = np.where(made._table.labels == 1, "one", made._table.groups)
    made._table = dataclasses.replace(made._table, groups=groups)
    with pytest.raises(UserError, match="^class class 1 has 20 images in training and validation, in 1 group; cross"):
        compare_backbones.measure(made)


def test_the_table_has_the_best_first_with_wilsons_interval_and_holms_p(capsys):
    outcomes = {DENSE: outcome(150, took=None), LITE: outcome(180), MOBILE: outcome(176, took=12)}
    assert compare_backbones.ranked(outcomes) == [LITE, MOBILE, DENSE]
    ps = compare_backbones.against_best(outcomes)
    assert ps == {MOBILE: pytest.approx(binomtest(4, 4).pvalue), DENSE: pytest.approx(2 * binomtest(30, 30).pvalue)}
    console = Console(width=100, highlight=False)
    console.print(compare_backbones.table(outcomes))
    rows = [line.split("│")[1:-1] for line in capsys.readouterr().out.splitlines() if line.startswith("│")]
    low, high = binomtest(180, 200).proportion_ci(method="wilson")
    cells = [[cell.strip() for cell in row] for row in rows]
    assert cells[0] == ["VGG16", "224", f"0.9000 ({low:.3f}–{high:.3f})", "0.5000", "", "50", "5.0", "14.7"]
    assert [row[4:7] for row in cells[1:]] == [["0.12", "12", "20.8"], ["< 0.001", "–", "–"]]


def test_images_that_belong_together_are_no_evidence_of_their_own(monkeypatch):
    """Ten groups of twenty: one group more or less is nothing, though it is twenty images."""
    groups = np.repeat(np.arange(10), 20)
    alone = {LITE: outcome(180), MOBILE: outcome(140)}
    together = {of: found._replace(groups=groups) for of, found in alone.items()}
    assert compare_backbones.against_best(alone)[MOBILE] < 1e-9
    assert compare_backbones.against_best(together) == {MOBILE: 0.5}  # two groups of ten differ, both one way
    low, high = alone[LITE].interval
    assert together[LITE].interval[0] < low < high < together[LITE].interval[1]
    assert "p: against it (over groups of images that belong together)." in compare_backbones.sentences(together)[0]
    made = Made([20, 20])
    monkeypatch.setattr(made, "_table", dataclasses.replace(made._table, groups=np.array(made._table.labels, str)))
    monkeypatch.setattr(compare_backbones.logistic, "out_of_fold", lambda *_: np.full((40, 2), 0.5))
    assert sorted(np.bincount(compare_backbones.measure(made).groups)) == [20, 20]
    assert compare_backbones.measure(Made([20, 20])).groups is None


def test_a_note_keeps_what_belongs_together(tmp_path):
    for groups in (None, np.repeat(np.arange(10), 20)):
        compare_backbones._write(tmp_path / "note.json", outcome(180)._replace(groups=groups))
        found = compare_backbones._read(tmp_path / "note.json")
        assert found.interval == outcome(180)._replace(groups=groups).interval
    note = json.loads((tmp_path / "note.json").read_text())
    del note["groups"]  # as an earlier version wrote it
    (tmp_path / "note.json").write_text(json.dumps(note))
    assert compare_backbones._read(tmp_path / "note.json") is None


def test_the_sentence_says_which_quicker_ones_are_no_worse():
    outcomes = {DENSE: outcome(150, took=20), LITE: outcome(180), MOBILE: outcome(176, took=12)}
    best, alike, worse, how = compare_backbones.sentences(outcomes)
    assert best.startswith("VGG16@224 is right on the most: 180 of 200 images of training and validation, each")
    assert alike == ("Quicker, and no worse as far as these images can tell: MobileNetV2@224 (12 s, not 50; p = 0.12).")
    assert worse == "Quicker, but worse, and that is not luck: DenseNet121@224 (20 s, not 50; p < 0.001)."
    assert "backbone.name: VGG16, backbone.weights: imagenet, backbone.sha256: null, " in how
    assert "backbone.scaling: native, image.size: 224; and a fine_tune.cut of its own" in how
    slow = compare_backbones.sentences({LITE: outcome(180), MOBILE: outcome(176, took=70)})
    assert slow[1] == "None of the others is quicker."
    same = compare_backbones.against_best({LITE: outcome(180), MOBILE: outcome(180)})
    assert same == {MOBILE: 1.0}


def test_the_picture(tmp_path):
    outcomes = {LITE: outcome(180), MOBILE: outcome(176, took=12), DENSE: outcome(150, took=None)}
    compare_backbones.draw(tmp_path / "new/backbones.png", outcomes)
    with Image.open(tmp_path / "new/backbones.png") as image:
        image.load()
        assert np.asarray(image.convert("L")).std() > 10
    compare_backbones.draw(tmp_path / "none.png", {DENSE: outcome(150, took=None)})


@pytest.fixture
def tried(project, monkeypatch):
    """The project as the working directory, without DVC: which networks ran, the files that changed, and who fails."""
    monkeypatch.chdir(project.path)
    ran, inputs, failing = [], {"headstart/base": "1"}, set()

    @contextmanager
    def aside(values, stage, heard):
        ran.append(values["backbone"]["name"])
        if values["backbone"]["name"] in failing:
            raise UserError("backbone.weights: imagenet cannot be downloaded")
        heard("Running stage 'extract':")
        heard("extract: 1,500 images in 30.0 s, 50 images/s")
        yield SimpleNamespace()

    monkeypatch.setattr(compare_backbones.experiments, "aside", aside)
    monkeypatch.setattr(compare_backbones.experiments, "inputs", lambda: inputs)
    monkeypatch.setattr(compare_backbones, "measure", lambda experiment: outcome(180))
    return project, ran, inputs, failing


def test_what_is_done_is_not_run_again_until_code_images_or_parameters_change(tried):
    project, ran, inputs, _ = tried
    first, _ = compare_backbones.run([LITE, MOBILE])
    again, _ = compare_backbones.run([MOBILE, LITE, DENSE])
    assert ran == ["VGG16", "MobileNetV2", "DenseNet121"]
    assert (again[LITE].seconds, again[LITE].speed) == (first[LITE].seconds, 50) and (
        again[LITE].right == first[LITE].right
    ).all()
    project.set({"decision.coverage": 0.9, "fine_tune.epochs": 3, "augment.rotation": 5.0})
    compare_backbones.run([LITE])
    assert len(ran) == 3
    project.set({"split.seed": 2})
    compare_backbones.run([LITE])
    inputs["data/my_images"] = "2"
    compare_backbones.run([LITE])
    assert len(ran) == 5


def test_a_preset_in_a_folder_is_run_again_when_a_file_in_it_has_changed(tried, tmp_path):
    _, ran, _, _ = tried
    (tmp_path / "preset").mkdir()
    vit = Candidate("hub:vit", 224, str(tmp_path / "preset"), None)
    for content, runs in (("1", 1), ("1", 1), ("2", 2)):
        (tmp_path / "preset/config.json").write_text(content)
        compare_backbones.run([vit])
        assert ran == ["hub:vit"] * runs


def test_how_long_networks_take_that_nobody_has_counted_is_not_said(tried, capsys):
    hub = Candidate("hub:vit", 64, "random", None)
    compare_backbones.run([LITE, hub, MOBILE, DENSE])
    counts = [line for line in capsys.readouterr().err.splitlines() if re.match(r"\d/4", line)]
    assert counts[:2] == ["1/4 VGG16@224", "2/4 hub:vit@64"]
    assert re.fullmatch(r"3/4 MobileNetV2@224: about \d+ s, and \d+ s for all that are left", counts[2])


def test_a_note_that_was_cut_short_is_run_again(tried):
    _, ran, _, _ = tried
    compare_backbones.run([LITE])
    (note,) = compare_backbones.NOTES.iterdir()
    note.write_text(note.read_text()[:20])
    compare_backbones.run([LITE])
    assert ran == ["VGG16"] * 2


def test_the_others_go_on_where_one_fails(tried, monkeypatch, capsys):
    _, ran, _, failing = tried
    failing.add("MobileNetV2")
    monkeypatch.setattr("sys.argv", ["compare_backbones", "VGG16,MobileNetV2,DenseNet121"])
    assert compare_backbones.main() == 1
    printed = capsys.readouterr()
    assert ran == ["VGG16", "MobileNetV2", "DenseNet121"]
    assert printed.err.splitlines()[-1] == "error: MobileNetV2@224: backbone.weights: imagenet cannot be downloaded"
    assert "│ DenseNet121 │" in printed.out and "MobileNetV2" not in printed.out
    assert re.search(
        r"^2/3 MobileNetV2@224: about \d+ s, and [\d,]+ s for all that are left$", printed.err, re.MULTILINE
    )


def test_ctrl_c_leaves_no_folder_of_an_experiment(tried, monkeypatch):
    old, new, noted, other = (compare_backbones.FOLDERS / f"tmp{name}" for name in ("old", "new", "noted", "other"))
    names = {noted: f"aside-{os.getpid()}-1795962674053", other: "rate-1"}
    (old / ".git").mkdir(parents=True)

    @contextmanager
    def aside(values, stage, heard):
        for folder in (new, noted, other):
            (folder / ".git").mkdir(parents=True)
        for number, (folder, name) in enumerate(names.items()):
            note = compare_backbones.RUNS / f"{number}/{number}.run"
            note.parent.mkdir(parents=True)
            note.write_text(json.dumps({"root_dir": str(folder.resolve()), "name": name}))
        (note.parent / "torn.run").write_text('{"root_dir"')
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr(compare_backbones.experiments, "aside", aside)
    with pytest.raises(KeyboardInterrupt):
        compare_backbones.run([LITE])
    assert set(compare_backbones.FOLDERS.iterdir()) == {old, other}


def written(project: Path) -> dict[Path, bytes]:
    """What the project's own run has written."""
    paths = [path for folder in ("data/features", "models") for path in (project / folder).rglob("*")]
    return {path: path.read_bytes() for path in paths if path.is_file()}


def test_a_list_of_backbones_in_the_parameters_counts_for_nothing(tried):
    project, ran, _, _ = tried
    compare_backbones.run([LITE])
    own = {"name": "VGG16", "weights": "random", "sha256": None, "scaling": "native"}
    project.set(
        {"backbone": [own, own | {"name": "VGG19"}], "fine_tune.cut": ["block1_pool", 0], "fine_tune.views": "live"}
    )
    compare_backbones.run([LITE, MOBILE])
    assert ran == ["VGG16", "MobileNetV2"]


def test_it_all_through_dvc(reproduced):
    """Two sizes of TinyNet, and a network that takes no image so small."""
    project = Project(reproduced.path)
    project.environment["COLUMNS"] = "120"
    known = project.path / "headstart/discovery/networks.json"
    counts = json.loads(known.read_text())
    counts["TinyNet"] = {"size": 32, "parameters": 300_000, "multiply_adds": 10**7}
    known.write_text(json.dumps(counts))
    project.commit("A network of our own")
    listed = project.run("python", "-m", "headstart.experiments").stdout
    shutil.rmtree(project.path / ".dvc/cache/files")  # as in a fresh clone
    own = written(project.path)
    command = ["python", "-m", "headstart.compare_backbones", "TinyNet@48", "TinyNet", "EfficientNetLite0@16"]
    done = project.run(*command, "--weights=random", check=False)
    assert done.returncode == 1, done.stderr
    last = done.stderr.splitlines()[-1]
    assert last == "error: EfficientNetLite0@16: image.size: got 16; EfficientNetLite0 takes at least 32"
    rows = re.findall(
        r"│ TinyNet +│ +(\d+) │ [01]\.\d{4} \(0\.\d{3}–[01]\.\d{3}\) │ .* │ +\d+ │ +[\d.]+ │", done.stdout
    )
    assert sorted(rows) == ["32", "48"]
    assert re.search(
        r"of 24 images of training and validation, each predicted by a head that has not seen", done.stdout
    )
    with Image.open(project.path / compare_backbones.PICTURE) as image:
        assert min(image.size) > 300
    # Nothing else has changed, and nobody lists what has the test scores of another network.
    changed = {line[3:] for line in project.run("git", "status", "--porcelain").stdout.splitlines()}
    assert {path for path in changed if not path.startswith(".dvc/")} == set()
    assert project.dvc("exp", "list").stdout == ""
    assert project.run("python", "-m", "headstart.experiments").stdout == listed
    assert written(project.path) == own
    shutil.rmtree(project.path / ".dvc/cache")
    again = project.run(*command[:-1], "--weights=random")
    assert again.stdout.splitlines()[:-1] == done.stdout.splitlines()[:-1] and again.stderr == ""


@pytest.mark.skipif(find_spec("keras_hub") is None, reason="pip install -r requirements-kerashub.txt")
def test_networks_of_kerashub_through_dvc(reproduced):
    """With a list of networks in the parameters, as who asks this may have."""
    project = Project(reproduced.path)
    project.environment["COLUMNS"] = "120"
    own = {"name": "TinyNet", "weights": "random", "sha256": None, "scaling": "native"}
    project.set({"backbone": [own, own], "fine_tune.cut": [0, 0], "fine_tune.views": "live"})
    command = ["python", "-m", "headstart.compare_backbones", "hub:vit@32=random,hub:resnet@64=random"]
    done = project.run(*command)
    rows = re.findall(r"│ hub:(\w+) +│ +(\d+) │ [01]\.\d{4} .* │ +– │$", done.stdout, re.MULTILINE)
    assert sorted(rows) == [("resnet", "64"), ("vit", "32")]
    assert re.search(
        "To take it, in params.yaml: backbone.name: hub:(vit|resnet), backbone.weights: random", done.stdout
    )


def test_what_the_experiments_set_is_the_same_for_all_and_computes_no_more_than_the_head_takes():
    assert LITE.parameters == HEAD_ALONE | {
        "backbone": {"name": "VGG16", "weights": "imagenet", "sha256": None, "scaling": "native"},
        "image.size": 224,
    }
    assert HEAD_ALONE["fine_tune.views"] == "live" and HEAD_ALONE["fine_tune.cut"] == 0
