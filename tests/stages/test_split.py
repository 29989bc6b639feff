"""The stage as a whole; how labels are read and images are dealt out is tested in tests/labels/."""

import io
import os
import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image
from ruamel.yaml import YAML

from headstart.artifacts import dataset, manifest, value_range
from headstart.artifacts.manifest import SPLITS
from headstart.base.errors import UserError
from stages import split

PIPELINE = """stages:
  split:
    cmd: python -m stages.split
    params: [dataset.path, dataset.labels, dataset.pattern, dataset.classes, dataset.table, dataset.group,
      dataset.near_duplicates, dataset.correct_test, split, image.range]
"""
OUTPUTS = (manifest.MANIFEST, manifest.CLASSES, dataset.DATASET, value_range.RANGE)
COUNTS = {"train": 4, "validation": 2, "test": 2, "when_short": "error", "folds": None, "seed": 1}
TABLE = {"delimiter": "whitespace", "header": False, "image": 0, "label": 1}


def photo(seed):
    """A small PNG file; equal seeds give equal pixels."""
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)).save(file, "PNG")
    return file.getvalue()


def photos(*patterns, count=10):
    """Files named after each pattern's {}, all of different pixels."""
    return {
        pattern.format(number): photo([place, number])
        for place, pattern in enumerate(patterns)
        for number in range(count)
    }


def write_source(path, files):
    """Write the files into a zip, or into a folder where `path` does not end with .zip."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as file:
            for name, data in files.items():
                file.writestr(name, data)
    else:
        for name, data in files.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(data)


@pytest.fixture
def configure(tmp_path, monkeypatch):
    """Make `tmp_path` a project of this one stage, with these files as its source and these parameters."""
    monkeypatch.chdir(tmp_path)

    def configure(
        files, labels="folders", classes=None, table=None, path="source.zip", group=None, ends=None, **changes
    ):
        if files is not None:
            write_source(tmp_path / path, files)
        yaml = YAML()
        values = yaml.load(ROOT / "params.yaml")
        values["dataset"].update(path=path, labels=labels, classes=classes, table=table, group=group)
        values["split"].update(COUNTS | changes)
        values["image"]["range"] = ends
        yaml.dump(values, tmp_path / "params.yaml")
        (tmp_path / "dvc.yaml").write_text(PIPELINE)

    return configure


@pytest.fixture
def run(configure):
    """Run the stage on these files, and read what it wrote."""

    def run(files, *arguments, **changes):
        configure(files, *arguments, **changes)
        split.main()
        return manifest.read(), dataset.read()

    return run


def splits_of(dealt):
    return dict(zip(dealt.paths, dealt.splits.tolist(), strict=True))


def reasons(summary):
    return {entry["path"]: entry["reason"] for entry in summary["left_out"]}


def test_kaggles_zip_of_prefixed_names(run):
    files = photos("train/cat.{}.jpg", "train/dog.{}.jpg") | {"train/readme.txt": b"", "train/7.jpg": photo(7)}
    dealt, summary = run(files, "prefix")
    assert dealt.classes == ["cat", "dog"]
    assert dealt.paths == sorted(dealt.paths)
    for path, label in zip(dealt.paths, dealt.labels, strict=True):
        assert path.startswith(f"train/{dealt.classes[label]}.")
    assert summary["classes"] == ["cat", "dog"]
    assert summary["counts"] == {name: {"cat": COUNTS[name], "dog": COUNTS[name]} for name in SPLITS}
    assert (summary["found"], summary["unused"]) == (20, 4)
    assert reasons(summary) == {
        "train/7.jpg": "no class in its name, as in cat.17.jpg (dataset.labels: prefix)",
        "train/readme.txt": "not the file name of an image",
    }
    assert [len(dealt.rows(name)) for name in SPLITS] == [8, 4, 4]


def test_googles_zip_keeps_its_validation_folder(run, capsys):
    top = "cats_and_dogs_filtered/"
    files = photos(*(f"{top}train/{name}/{name}.{{}}.jpg" for name in ("cats", "dogs")), count=6)
    files |= {
        f"{top}validation/{name}/{name}.{number}.png": photo([name == "cats", 99, number])
        for name in ("cats", "dogs")
        for number in range(4)
    }
    files[top + "vectorize.py"] = b"import os"
    dealt, summary = run(files, train=5, validation=5, test=5, when_short="share")
    counts = Counter((split, path.split("/")[1], path.split("/")[2]) for path, split in splits_of(dealt).items())
    assert counts == {
        (split, folder, name): size
        for split, folder, size in (("train", "train", 5), ("validation", "validation", 2), ("test", "validation", 2))
        for name in ("cats", "dogs")
    }
    assert summary["unused"] == 2
    output = capsys.readouterr().out
    assert "class cats has 4 images in validation/, fewer than 10: every class gives" in output
    assert "2 images not needed for the splits, 1 file left out (the list is in metrics/dataset.json):" in output


def test_petimages_with_broken_files(run, capsys):
    files = photos("PetImages/Cat/{}.jpg", "PetImages/Dog/{}.jpg")
    files |= {f"PetImages/Cat/9{number}.jpg": b"" for number in range(5)}
    files |= {"PetImages/Dog/90.jpg": b"<html>", "PetImages/Dog/91.jpg": photo(3)[:90], "PetImages/Dog/Thumbs.db": b"x"}
    dealt, summary = run(files, train=None)
    assert summary["counts"]["train"] == {"Cat": 6, "Dog": 6}
    assert (summary["found"], len(dealt.paths)) == (27, 20)
    assert len(summary["left_out"]) == 7
    assert reasons(summary)["PetImages/Cat/90.jpg"] == "zero bytes"
    assert reasons(summary)["PetImages/Dog/90.jpg"] == "not an image"
    assert summary["left_out"] == sorted(summary["left_out"], key=lambda entry: entry["path"])
    output = capsys.readouterr().out
    assert "7 files left out" in output
    assert "  PetImages/Cat/90.jpg: zero bytes (and 4 more of the kind)\n" in output
    assert len(output.splitlines()) < 20


def test_what_cannot_be_read_in_the_zip_is_left_out(run, tmp_path, configure):
    files = photos("a/{}.bmp", "b/{}.bmp") | {"a/x.bmp": b"BM damaged"}
    configure(files)
    path = tmp_path / "source.zip"
    path.write_bytes(path.read_bytes().replace(b"BM damaged", b"BM DAMAGED"))
    assert reasons(run(None)[1]) == {"a/x.bmp": "damaged in the zip (bad checksum or header)"}


def test_the_same_images_as_folder_and_as_zip_twice_give_the_same_bytes(run):
    files = photos("b/{}.png", "a/{}.png", "c/{}.png")
    written = []
    for path in ("source.zip", "source", "source"):
        run(files, path=path)
        written.append(
            [path.read_bytes() for path in (manifest.MANIFEST, manifest.CLASSES, dataset.DATASET, value_range.RANGE)]
        )
    assert written[0] == written[1] == written[2]
    assert splits_of(run(files, seed=2)[0]) != splits_of(run(files, seed=1)[0])


def test_the_order_of_the_classes_does_not_change_the_splits(run):
    files = photos("a/{}.png", "b/{}.png")
    plain, reversed_ = run(files)[0], run(files, classes=["b", "a"])[0]
    assert reversed_.classes == ["b", "a"]
    assert splits_of(plain) == splits_of(reversed_)
    np.testing.assert_array_equal(plain.labels, 1 - reversed_.labels)


def test_a_table_in_a_wheel(run):
    rows = [f"images/cell{number}.png   {('0.0', '1.0')[number % 2]}  mono" for number in range(19)]
    files = photos("elpv/data/images/cell{}.png", count=20)
    files |= {"elpv/utils.py": b"", "elpv/data/images/more.png": photo(1)}
    files["elpv/data/labels.csv"] = "\n".join([*rows, "images/no.png 1.0"]).encode()
    table = TABLE | {"file": "elpv/data/labels.csv", "values": {"0.0": "whole", "1.0": "defective"}}
    dealt, summary = run(files, "table", ["whole", "defective"], table)
    assert dealt.classes == ["whole", "defective"]
    for path, label in zip(dealt.paths, dealt.labels, strict=True):
        assert int(Path(path).stem.removeprefix("cell")) % 2 == label
    assert reasons(summary) == {
        "elpv/data/images/cell19.png": "not listed in elpv/data/labels.csv",
        "elpv/data/images/more.png": "not listed in elpv/data/labels.csv",
        "elpv/data/images/no.png": "listed in elpv/data/labels.csv, but missing in the source",
    }


def test_duplicates_of_a_class_stay_together_and_counts_are_met(run):
    files = {f"a/{number}.png": photo(1000 + number // 2) for number in range(16)} | photos("b/{}.png")
    dealt, summary = run(files)
    splits = splits_of(dealt)
    pairs = [[f"a/{number}.png", f"a/{number + 1}.png"] for number in range(0, 16, 2)]
    assert all(splits.get(first) == splits.get(second) for first, second in pairs)
    assert summary["counts"] == {name: {"a": COUNTS[name], "b": COUNTS[name]} for name in SPLITS}
    assert summary["duplicates"] == sorted(sorted(pair) for pair in pairs)
    for number, sha256 in enumerate(dealt.sha256):
        assert sha256 not in dealt.sha256[:number] or dealt.labels[number] == 0


def test_folds_hold_every_image_that_can_be_used(run, capsys):
    files = photos("a/{}.png", "b/{}.png") | {"a/twin.png": photo([0, 3]), "a/bad.png": b""}
    dealt, summary = run(files, folds=5)
    plain = run(files)[0]
    assert splits_of(plain) == {path: name for path, name in splits_of(dealt).items() if name}
    folds = dict(zip(dealt.paths, dealt.folds.tolist(), strict=True))
    assert sorted(folds) == sorted(set(files) - {"a/bad.png"})
    assert folds["a/twin.png"] == folds["a/3.png"]
    assert summary["unused"] == 21 - 16 and set(summary["folds"]) == set("12345")
    assert "5 folds of 4 to 5 images\n" in capsys.readouterr().out
    with pytest.raises(
        UserError, match=r"split\.folds: got 12, but class a has 11 images in 10 groups that stay together"
    ):
        run(files, folds=12)


def test_equal_pixels_in_two_classes_are_left_out(run):
    files = photos("a/{}.png", "b/{}.png") | {"a/x.png": photo(77), "b/y.png": photo(77)}
    dealt, summary = run(files, train=None)
    assert reasons(summary) == {
        "a/x.png": "same pixels as b/y.png, of class b",
        "b/y.png": "same pixels as a/x.png, of class a",
    }
    assert sorted(dealt.paths) == sorted(photos("a/{}.png", "b/{}.png"))


def test_a_duplicate_across_the_sources_own_splits_stays_in_the_later_one(run):
    files = photos("train/a/{}.png", "train/b/{}.png", "test/a/{}.png", "test/b/{}.png")
    files["train/a/x.png"] = files["test/a/3.png"]
    dealt, summary = run(files, train=None)
    assert reasons(summary) == {"train/a/x.png": "same pixels as test/a/3.png, which is in test"}
    assert splits_of(dealt)["test/a/3.png"] == "test"


def deep(seed, low=1000, high=2000):
    """A small PNG of 16 bits, with values from low to high."""
    file = io.BytesIO()
    values = np.random.default_rng(seed).permutation(np.linspace(low, high, 48)).reshape(6, 8)
    Image.fromarray(values.astype(np.uint16)).save(file, "PNG")
    return file.getvalue()


def test_the_range_of_deep_images_is_that_of_the_training_images_and_is_said(run, capsys):
    names = [f"{name}/{number}.png" for name in "ab" for number in range(10)]
    dealt, _ = run({name: deep(number) for number, name in enumerate(names)})
    unseen = {path for path, name in splits_of(dealt).items() if name != "train"} | set(names) - set(dealt.paths)
    capsys.readouterr()
    run({name: deep(number, high=2000 + 9000 * (name in unseen)) for number, name in enumerate(names)})
    low, high, windows, plain = value_range.read().values()
    assert (low, windows, plain) == (1000, True, False) and 1960 <= high <= 2000
    line = f"16 grey images have more than 8 bits: values {low} to {high} are taken as black to white (image.range)"
    assert line in capsys.readouterr().out.splitlines()


def test_images_of_8_bits_beside_deep_ones_stay_as_they_are(run, capsys):
    files = photos("a/{}.png") | {f"b/{number}.png": deep(number) for number in range(10)}
    run(files)
    assert "8 grey images have more than 8 bits: values 1000 to " in (output := capsys.readouterr().out)
    assert "; the others (8) have 8 bits and stay as they are, 0 to 255" in output
    run(files, ends=[0.0, 4095.0])
    assert value_range.read() == {"low": 0, "high": 4095, "windows": False, "plain": True}
    assert ": values 0 to 4095 are taken as black to white (image.range)" in capsys.readouterr().out
    run(photos("a/{}.png", "b/{}.png"), path="plain.zip", ends=[0.0, 4095.0])
    assert value_range.read() is None
    assert "image.range has no effect: " in capsys.readouterr().out


def test_deep_images_that_differ_by_less_than_8_bits_show_are_no_duplicates(run):
    files = {f"{name}/{number}.png": deep(0, 1000, 2000 + number + 10 * place)
             for place, name in enumerate("ab") for number in range(10)}  # fmt: skip
    _, summary = run(files)
    assert (summary["left_out"], summary["duplicates"]) == ([], [])


@pytest.mark.parametrize(
    ("files", "changes", "message"),
    [
        (None, {}, r"nothing is at source\.zip"),
        ({}, {}, r"no labelled images in source\.zip \(0 files\)"),
        (photos("a/{}.png"), {}, r"only one class in source\.zip, a: two or more"),
        (
            photos("a/{}.png", "b/{}.png"),
            {"classes": ["a", "c"]},
            r"dataset\.classes names a, c, but .* has a, b; name",
        ),
        (photos("a/{}.png") | {"b/1.png": b""}, {}, r"class b: none of its images can be used \(b/1\.png: zero"),
        (
            photos("a/{}.png", "b/{}.png", count=5)
            | {f"a/x{number}.png": b"" for number in range(4)}
            | {"a/y.png": b"no"},
            {},
            r"class a has 5 images \(5 others left out: 4 as a/x0\.png \(zero bytes\), 1 as a/y\.png \(not an im",
        ),
        (
            photos("a/{}.png") | {f"b/{number}.png": photo(7) for number in range(10)},
            {},
            r"class b: all of its 10 images have the same pixels, such as b/0\.png: replace them",
        ),
        (
            photos("train/a/{}.png", "train/b/{}.png", "test/a/{}.png") | {"test/b/1.png": b""},
            {},
            r"class b has images in train/ only, and none in test/ \(1 other left out: 1 as test/b/1\.png \(zero by",
        ),
        (photos("a/{}.png", "b/{}.png"), {"train": 9}, r"class a has 10 images, but needs 13 \(train 9, .*share"),
        (
            photos("a/{}.png") | {path.replace("a/", "b/"): data for path, data in photos("a/{}.png").items()},
            {},
            r"class a: none of its images can be used \(a/0\.png: same pixels as b/0\.png, of class b\)",
        ),
    ],
)
def test_what_cannot_be_split_is_an_error_and_nothing_is_written(run, files, changes, message):
    with pytest.raises(UserError, match=message):
        run(files, **changes)
    assert not any(path.exists() for path in (manifest.MANIFEST, manifest.CLASSES, dataset.DATASET))


def test_the_command_ends_in_one_line_with_status_1(configure):
    configure(photos("a/{}.png") | {"../up.png": photo(1)})
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-m", "stages.split"], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: source.zip has a file name that leads out of it, '../up.png'")
    assert done.stderr.count("\n") == 1


def test_patients_named_in_the_files_are_in_one_split_each(run, capsys):
    files = photos(*(f"{name}/P{{}}_{shot}.png" for name in ("a", "b") for shot in range(3)), count=12)
    dealt, summary = run(files, group={"pattern": r"(?P<group>P\d+)_"}, train=None, validation=0.1, test=0.25)
    assert Counter(dealt.groups.tolist()) == {f"P{number}": 6 for number in range(12)}
    assert all(len(set(dealt.splits[dealt.groups == name])) == 1 for name in set(dealt.groups))
    assert summary["counts"] == {
        "train": {"a": 24, "b": 24},
        "validation": {"a": 3, "b": 3},
        "test": {"a": 9, "b": 9},
    }
    assert "instead of train 23, validation 4, test 9" in capsys.readouterr().out


@pytest.mark.parametrize("path", ["source.zip", "folder"])
def test_a_column_of_the_table_fixes_the_splits(run, path):
    files = photos("a/{}.png", "b/{}.png", count=12) | {"c/0.png": photo([7, 7]), "c/1.png": photo([7, 8])}
    named = sorted(files)
    parts = {
        name: "Testing" if name in ("a/3.png", "b/3.png", "c/1.png") else "dev" if "/5" in name else "train"
        for name in named
    }
    files["c/5.png"], parts["c/5.png"] = photo([7, 9]), "dev"
    files["a/11.png"] = files["a/3.png"]
    rows = [f"{name},{name[0]},{part}" for name, part in parts.items()]
    files["labels.csv"] = "\r\n".join(["file,label,Usage", *rows]).encode()
    table = {"file": "labels.csv", "delimiter": ",", "header": True, "image": "file", "label": "label"}
    table |= {"values": None, "split": "Usage"}
    dealt, summary = run(files, "table", table=table, path=path, train=None)
    known = {"Testing": "test", "dev": "validation", "train": "train"}
    assert splits_of(dealt) == {name: known[part] for name, part in parts.items() if name != "a/11.png"}
    assert reasons(summary)["a/11.png"] == "same pixels as a/3.png, which is in test"
    assert summary["counts"]["test"] == {"a": 1, "b": 1, "c": 1}


def test_a_subject_of_a_published_test_image_is_not_trained_on(run):
    files = photos("train/a/{}/1.png", "train/b/{}/1.png") | {
        f"test/{name}/{number}/1.png": photo([name == "a", 50 + number]) for name in "ab" for number in (3, 20)
    }
    _, summary = run(files, group={"folder": -1}, train=None)
    reason = "of the same group as test/a/3/1.png, which is in test (3)"
    assert reasons(summary) == {"train/a/3/1.png": reason, "train/b/3/1.png": reason}
    assert summary["counts"]["test"] == {"a": 2, "b": 2}


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_file_of_a_zip_that_another_of_its_name_replaces_is_left_out(configure, capsys):
    configure(photos("cats/{}.png", "dogs/{}.png"))
    with zipfile.ZipFile("source.zip", "a") as file:
        file.writestr("cats/3.png", photo([7, 7]))
    split.main()
    left_out = [{"path": "cats/3.png", "reason": "the zip has another file of this name"}]
    summary = dataset.read()
    assert (summary["left_out"], summary["found"]) == (left_out, 20)
    assert capsys.readouterr().out.startswith("source.zip has 1 name more than once, with other content")
