import io
import json
import os
import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from ruamel.yaml import YAML

from headstart.errors import UserError
from headstart.manifest import CLASSES, MANIFEST, SPLITS, read_manifest
from stages import split

ROOT = Path(__file__).parents[1]
PIPELINE = """stages:
  split:
    cmd: python -m stages.split
    params: [dataset.path, dataset.labels, dataset.classes, dataset.table, split]
"""
COUNTS = {"train": 4, "validation": 2, "test": 2, "when_short": "error", "seed": 1}
TABLE = {"delimiter": "whitespace", "header": False, "image": 0, "label": 1, "values": None}


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


def folder_of(path, files):
    for name, data in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def zip_of(path, files):
    with zipfile.ZipFile(path, "w") as file:
        for name, data in files.items():
            file.writestr(name, data)
    return path


@pytest.fixture
def configure(tmp_path, monkeypatch):
    """Make `tmp_path` a project of this one stage, with a source of the files and the parameters given."""
    monkeypatch.chdir(tmp_path)

    def write(files, labels="folders", classes=None, table=None, path="source.zip", **changes):
        if files is not None:
            zip_of(tmp_path / path, files) if path.endswith(".zip") else folder_of(tmp_path / path, files)
        yaml = YAML()
        values = yaml.load(ROOT / "params.yaml")
        values["dataset"].update(path=path, labels=labels, classes=classes, table=table)
        values["split"].update(COUNTS | changes)
        yaml.dump(values, tmp_path / "params.yaml")
        (tmp_path / "dvc.yaml").write_text(PIPELINE)

    return write


@pytest.fixture
def run(configure):
    def run(files, *args, **changes):
        configure(files, *args, **changes)
        split.main()
        return read_manifest(), json.loads(split.REPORT.read_text())

    return run


def splits_of(manifest):
    return dict(zip(manifest.paths, manifest.splits.tolist(), strict=True))


def reasons(report):
    return {entry["path"]: entry["reason"] for entry in report["left_out"]}


def test_kaggles_zip_of_prefixed_names(run):
    files = photos("train/cat.{}.jpg", "train/dog.{}.jpg") | {"train/readme.txt": b"", "train/7.jpg": photo(7)}
    manifest, report = run(files, "prefix")
    assert manifest.classes == ["cat", "dog"]
    assert manifest.paths == sorted(manifest.paths)
    for path, label in zip(manifest.paths, manifest.labels, strict=True):
        assert path.startswith(f"train/{manifest.classes[label]}.")
    assert report["counts"] == {
        name: {"cat": size, "dog": size} for name, size in (("train", 4), ("validation", 2), ("test", 2))
    }
    assert (report["found"], report["unused"]) == (20, 4)
    assert reasons(report) == {
        "train/7.jpg": "no class in its name, as in cat.17.jpg (dataset.labels: prefix)",
        "train/readme.txt": "not an image's file name",
    }
    assert [len(manifest.rows(name)) for name in SPLITS] == [8, 4, 4]


def test_googles_zip_keeps_its_validation_folder(run, capsys):
    top = "cats_and_dogs_filtered/"
    files = photos(*(f"{top}train/{name}/{name}.{{}}.jpg" for name in ("cats", "dogs")), count=6)
    files |= photos(*(f"{top}validation/{name}/{name}.{{}}.png" for name in ("x", "y", "cats", "dogs")), count=4)
    files = {path: data for path, data in files.items() if "/x/" not in path and "/y/" not in path}
    files[top + "vectorize.py"] = b"import os"
    manifest, report = run(files, train=5, validation=5, test=5, when_short="share")
    counts = Counter((split, path.split("/")[1], path.split("/")[2]) for path, split in splits_of(manifest).items())
    assert counts == {
        (split, place, name): size
        for split, place, size in (("train", "train", 5), ("validation", "validation", 2), ("test", "validation", 2))
        for name in ("cats", "dogs")
    }
    assert report["unused"] == 2
    assert "class cats has 4 images in validation/, fewer than 10: every class gives" in capsys.readouterr().out


def test_petimages_with_broken_files(run, capsys):
    files = photos("PetImages/Cat/{}.jpg", "PetImages/Dog/{}.jpg")
    files |= {f"PetImages/Cat/9{number}.jpg": b"" for number in range(5)}
    files |= {"PetImages/Dog/90.jpg": b"<html>", "PetImages/Dog/91.jpg": photo(3)[:90], "PetImages/Dog/Thumbs.db": b"x"}
    manifest, report = run(files, train=None)
    assert report["counts"]["train"] == {"Cat": 6, "Dog": 6}
    assert (report["found"], len(manifest.paths)) == (27, 20)
    assert len(report["left_out"]) == 7
    assert reasons(report)["PetImages/Cat/90.jpg"] == "zero bytes"
    assert reasons(report)["PetImages/Dog/90.jpg"] == "not an image"
    assert report["left_out"] == sorted(report["left_out"], key=lambda entry: entry["path"])
    out = capsys.readouterr().out
    assert "7 files left out" in out
    assert len(out.splitlines()) < 20


def test_the_same_images_as_folder_and_as_zip_twice_give_the_same_bytes(run):
    files = photos("b/{}.png", "a/{}.png", "c/{}.png")
    written = []
    for path in ("source.zip", "source", "source"):
        run(files, path=path)
        written.append([Path(name).read_bytes() for name in ("data/manifest.csv", "data/classes.json", split.REPORT)])
    assert written[0] == written[1] == written[2]
    assert splits_of(run(files, seed=2)[0]) != splits_of(run(files, seed=1)[0])


def test_the_order_of_the_classes_does_not_change_the_splits(run):
    files = photos("a/{}.png", "b/{}.png")
    plain, turned = run(files)[0], run(files, classes=["b", "a"])[0]
    assert turned.classes == ["b", "a"]
    assert splits_of(plain) == splits_of(turned)
    np.testing.assert_array_equal(plain.labels, 1 - turned.labels)


def elpv(rows):
    others = {"elpv/utils.py": b"", "elpv/data/images/more.png": photo(1)}
    table = {"elpv/data/labels.csv": "\n".join(rows).encode()}
    return photos("elpv/data/images/cell{}.png", count=20) | others | table


def test_a_table_in_a_wheel(run):
    rows = [f"images/cell{number}.png   {('0.0', '1.0')[number % 2]}  mono" for number in range(19)] + [
        "images/no.png 1.0"
    ]
    table = TABLE | {"file": "elpv/data/labels.csv", "values": {"0.0": "whole", "1.0": "defective"}}
    manifest, report = run(elpv(rows), "table", ["whole", "defective"], table)
    assert manifest.classes == ["whole", "defective"]
    for path, label in zip(manifest.paths, manifest.labels, strict=True):
        assert int(path.removeprefix("elpv/data/images/cell").removesuffix(".png")) % 2 == label
    assert reasons(report) == {
        "elpv/data/images/cell19.png": "not listed in elpv/data/labels.csv",
        "elpv/data/images/more.png": "not listed in elpv/data/labels.csv",
        "elpv/data/images/no.png": "listed in elpv/data/labels.csv, but missing in the source",
    }


def test_a_table_with_a_header(run):
    rows = ["kind;file"] + [f'"{"ab"[number % 2]}";images/cell{number}.png' for number in range(20)]
    table = TABLE | {"file": "elpv/data/labels.csv", "delimiter": ";", "header": True, "image": "file", "label": "kind"}
    assert run(elpv(rows), "table", table=table)[0].classes == ["a", "b"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"file": "elpv/data/label.csv"}, r"not in the source \(did you mean elpv/data/labels\.csv\?\)"),
        ({"values": {"a": "x", "c": "y"}}, r"line 2: the label 'b' is not in dataset\.table\.values \('a', 'c'\)"),
        ({"label": 7}, r"line 1: 2 columns, too few"),
        ({"label": "kind"}, r"header is false"),
        ({"label": "kinds", "header": True}, r"no column 'kinds' .*it has images/cell0\.png, kind$"),
        ({"delimiter": "::"}, r"takes one character"),
        ({"file": "elpv/data/images/cell1.png"}, r"cannot be read as a table"),
    ],
)
def test_a_table_that_is_not_as_described(run, change, message):
    rows = ["images/cell0.png kind" if "header" in change else "images/cell0.png a", "images/cell1.png b"]
    with pytest.raises(UserError, match=message):
        run(elpv(rows), "table", table=TABLE | {"file": "elpv/data/labels.csv"} | change)


def test_fractions_and_all_the_rest(run):
    files = photos("a/{}.png", count=40) | {path: photo([9, int(path[2:-4])]) for path in photos("b/{}.png", count=20)}
    report = run(files, train=None, validation=0.1, test=0.25)[1]
    assert report["counts"] == {"train": {"a": 26, "b": 13}, "validation": {"a": 4, "b": 2}, "test": {"a": 10, "b": 5}}
    assert report["unused"] == 0
    with pytest.raises(UserError, match=r"add up to 1\.15"):
        run(files, train=0.8, validation=0.1, test=0.25)


def test_a_source_with_all_three_splits_keeps_them(run):
    files = photos("train/a/{}.png", "train/b/{}.png", "val/a/{}.png", "val/b/{}.png", "Test/a/{}.png", "Test/b/{}.png")
    manifest, report = run(files | {"a/1.png": photo(5)}, train=4, validation=1, test=1)
    counts = Counter((path.split("/")[0], name) for path, name in splits_of(manifest).items())
    assert counts == {("train", "train"): 8, ("val", "validation"): 20, ("Test", "test"): 20}
    assert reasons(report) == {"a/1.png": "lies outside the source's own test, train, validation"}


def test_without_a_validation_folder_validation_is_taken_out_of_train(run):
    files = photos("train/a/{}.png", "train/b/{}.png", "test/a/{}.png", "test/b/{}.png")
    manifest, _ = run(files, train=None, validation=3)
    counts = Counter((path.split("/")[0], name) for path, name in splits_of(manifest).items())
    assert counts == {("train", "train"): 14, ("train", "validation"): 6, ("test", "test"): 20}


def test_fractions_divide_the_validation_folder_between_validation_and_test(run):
    files = photos("train/a/{}.png", "train/b/{}.png", "validation/a/{}.png", "validation/b/{}.png")
    manifest, _ = run(files, train=None, validation=0.1, test=0.4)
    counts = Counter((path.split("/")[0], name) for path, name in splits_of(manifest).items())
    assert counts == {("train", "train"): 20, ("validation", "validation"): 4, ("validation", "test"): 16}


@pytest.mark.parametrize("seed", range(5))
def test_duplicates_of_a_class_stay_together_and_counts_are_met(run, seed):
    files = {f"a/{number}.png": photo(1000 + number // 2) for number in range(16)} | photos("b/{}.png")
    manifest, report = run(files, seed=seed)
    splits = splits_of(manifest)
    pairs = [[f"a/{number}.png", f"a/{number + 1}.png"] for number in range(0, 16, 2)]
    assert all(splits.get(one) == splits.get(other) for one, other in pairs)
    assert report["counts"] == {name: {"a": COUNTS[name], "b": COUNTS[name]} for name in SPLITS}
    assert report["duplicates"] == sorted(sorted(pair) for pair in pairs)
    for number, sha256 in enumerate(manifest.sha256):
        assert sha256 not in manifest.sha256[:number] or manifest.labels[number] == 0


def test_counts_are_met_where_groups_only_just_fit(run):
    # Two images for test: of groups of 3, 3 and 2, only the last will do, whatever the order they come in.
    kinds = [0, 0, 0, 1, 1, 1, 2, 2]
    files = {f"a/{number}.png": photo(1000 + kind) for number, kind in enumerate(kinds)} | photos("b/{}.png", count=8)
    for seed in range(4):
        report = run(files, train=3, validation=3, test=2, seed=seed)[1]
        assert [report["counts"][name]["a"] for name in SPLITS] == [3, 3, 2]


def test_equal_pixels_in_two_classes_are_left_out(run):
    files = photos("a/{}.png", "b/{}.png") | {"a/x.png": photo(77), "b/y.png": photo(77)}
    report = run(files)[1]
    assert reasons(report) == {
        "a/x.png": "same pixels as b/y.png, of class b",
        "b/y.png": "same pixels as a/x.png, of class a",
    }


def test_a_duplicate_across_the_sources_own_splits_stays_in_the_later_one(run):
    files = photos("train/a/{}.png", "train/b/{}.png", "test/a/{}.png", "test/b/{}.png")
    files["train/a/x.png"] = files["test/a/3.png"]
    manifest, report = run(files, train=None)
    assert reasons(report) == {"train/a/x.png": "same pixels as test/a/3.png, which is in test"}
    assert splits_of(manifest)["test/a/3.png"] == "test"


def test_when_short_validation_and_test_share_what_train_leaves(run, capsys):
    files = photos("a/{}.png", count=20) | photos("x/{}.png", "b/{}.png", count=12)
    files = {path: data for path, data in files.items() if not path.startswith("x")}
    report = run(files, train=6, validation=8, test=4, when_short="share")[1]
    assert report["counts"] == {"train": {"a": 6, "b": 6}, "validation": {"a": 4, "b": 4}, "test": {"a": 2, "b": 2}}
    assert report["unused"] == 8
    assert "class b has 12 images, fewer than 18: every class gives train 6" in capsys.readouterr().out
    with pytest.raises(UserError, match=r"class b has 12 images, too few: its validation split would be empty"):
        run(files, train=12, validation=8, test=4, when_short="share")


@pytest.mark.parametrize(
    ("files", "changes", "message"),
    [
        (
            photos("a/{}.png", "b/{}.png"),
            {"train": 9},
            r"class a has 10 images, but 13 are asked for \(train 9, .*share",
        ),
        (photos("a/{}.png"), {}, r"one class only in source\.zip, a: two or more"),
        ({}, {}, r"no labelled images in source\.zip \(0 files\)"),
        (photos("train/a.{}.jpg"), {}, r"no labelled images .*train/a\.0\.jpg: lies in no folder of a class"),
        (None, {}, r"nothing is at source\.zip"),
        (
            photos("cats/{}.png", "dogs/{}.png"),
            {"classes": ["cat", "dogs"]},
            r"cat, dogs, but .* cats, dogs \(did you mean",
        ),
        (photos("val/a/{}.png", "test/a/{}.png"), {}, r"none is named train"),
        (photos("a/{}.png") | {"b/1.png": b""}, {}, r"class b: none of its 1 images can be read \(b/1\.png: zero"),
        (
            photos("cats/{}.png", "dogs/{}.png") | {"cats/sub/1.png": photo(77)},
            {},
            r"cats/sub/1\.png lies 2 folders deep, so that its class could be cats or sub",
        ),
        (photos("x/a/in/{}.png", "x/a/out/{}.png", "x/b/in/{}.png"), {}, r"x/a/in/0\.png lies 2 folders deep.*a or in"),
    ],
)
def test_what_cannot_be_split_is_told_and_nothing_is_written(run, files, changes, message):
    with pytest.raises(UserError, match=message):
        run(files, **changes)
    assert not MANIFEST.exists()


def test_the_command_ends_in_one_line_with_status_1(configure):
    configure(photos("a/{}.png") | {"../up.png": photo(1)})
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-m", "stages.split"], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: source.zip holds a name that climbs out of it, '../up.png'")
    assert done.stderr.count("\n") == 1


def test_a_missing_or_foreign_manifest_is_told(run):
    with pytest.raises(UserError, match=r"no data/classes\.json here"):
        read_manifest()
    run(photos("a/{}.png", "b/{}.png"))
    CLASSES.write_text('["a", "c"]')
    with pytest.raises(UserError, match="do not match"):
        read_manifest()
