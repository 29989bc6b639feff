"""`start` finds how images are labelled and what they are like, and sets params.yaml for them; nothing else changes."""

import io
import json
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT, SMALL, draw
from PIL import Image

from headstart import start
from headstart.base import params, yaml12
from headstart.base.errors import UserError
from headstart.discovery import recipe, subjects


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A project's folder, under Git, without its code."""
    project = tmp_path / "house"
    project.mkdir()
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(ROOT / name, project)
    shutil.copytree(ROOT / "presets", project / "presets")
    monkeypatch.chdir(project)
    git("init", "-q")
    git("add", "-A")
    git("-c", "user.name=A Tester", "-c", "user.email=tester@example.org", "commit", "-qm", "The project")


def git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], check=True, capture_output=True, text=True).stdout


def shapes(folder: Path, names: list[str], seed: int = 0) -> None:
    """Small images of noise, all different, under these names."""
    rng = np.random.default_rng(seed)
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (16, 20, 3), dtype=np.uint8)).save(folder / name)


def run(*arguments: object) -> dict[str, Any]:
    """What params.yaml says after `start`."""
    assert start.main([str(argument) for argument in arguments]) == 0
    return yaml12.read(params.PARAMS)


def leaves(section: dict, prefix: str = "") -> dict:
    values = {}
    for name, value in section.items():
        values |= leaves(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return values


def twice(*names: str, count: int = 20, between: str = "/", ending: str = ".png") -> list[str]:
    return [f"{name}{between}{number:03}{ending}" for name in names for number in range(count)]


# Files, tables in them, and what `dataset` is to say.
LAYOUTS = {
    "folders": (twice("cats", "dogs"), {}, {"labels": "folders"}),
    "a folder of folders": (twice("photos/cats", "photos/dogs"), {}, {"labels": "folders"}),
    "split folders": (twice("train/a", "train/b", "test/a", "test/b"), {}, {"labels": "folders"}),
    "prefix": (twice("cat", "dog", between="."), {}, {"labels": "prefix"}),
    "prefix in a split's folder": (twice("train/cat", "train/dog", between="."), {}, {"labels": "prefix"}),
    "names with a number": (
        twice("great_dane", "Abyssinian", between="_"),
        {},
        {"labels": "pattern", "pattern": r"(?P<label>.+)_\d+"},
    ),
    "names after a number": (
        [f"{number:03}_{'cats' if number % 2 else 'dogs'}.png" for number in range(40)],
        {},
        {"labels": "pattern", "pattern": r"\d+[-_ .](?P<label>.+)"},
    ),
    "subjects below the classes": (
        twice("cats/P1", "cats/P2", "cats/P3", "dogs/P4", "dogs/P5", "dogs/P6", count=5),
        {},
        {"labels": "folders", "group": {"folder": -1}},
    ),
    "subjects above the classes, one of them each": (
        [f"pat {who}/{('roses', 'tulips')[who > 7]}/{shot}.png" for who in range(16) for shot in range(2)],
        {},
        {"labels": "folders", "group": {"folder": 0}},
    ),
    "subjects above the classes": (
        [f"{who}/{name}/{n}.png" for who in ("Bo", "Di", "Al", "Cy") for name in ("roses", "tulips") for n in range(3)],
        {},
        {"labels": "folders", "group": {"folder": 0}},
    ),
    "subjects below the classes, with the same names": (
        twice("cats/1", "cats/2", "cats/3", "dogs/1", "dogs/2", "dogs/3", count=5),
        {},
        {"labels": "folders", "group": {"folder": -1}},
    ),
    "a class with the name of a split": (twice("bus", "plane", "train"), {}, {"labels": "folders"}),
    "table": (
        twice("images", count=40),
        {
            "labels.csv": "file;class;weight\r\n"
            + "".join(f"images/{n:03}.png;{'ab'[n % 2]};{n}\r\n" for n in range(40))
        },
        {"labels": "table", "table.file": "labels.csv", "table.delimiter": ";", "table.header": True}
        | {"table.image": "file", "table.label": "class", "table.values": None},
    ),
    "ids without folder and ending": (
        twice("images", count=40),
        {"train.csv": "image_id,label\n" + "".join(f"{n:03},{'ab'[n % 2]}\n" for n in range(40))},
        {"labels": "table", "table.image": "image_id", "table.label": "label"},
    ),
    "ids without their zeros, in folders that are no classes": (
        [f"site{'AB'[n // 20]}/{n:03}.png" for n in range(40)],
        {"labels.csv": "id,diagnosis\n" + "".join(f"{n},{'sick' if n % 3 else 'well'}\n" for n in range(40))},
        {"labels": "table", "table.image": "id", "table.label": "diagnosis"},
    ),
    "a table without a header": (
        twice("images", count=40),
        {"list.txt": "".join(f"images/{n:03}.png  {n % 2}.0\n" for n in range(40))},
        {"labels": "table", "table.delimiter": "whitespace", "table.header": False}
        | {"table.image": 0, "table.label": 1},
    ),
    "columns of zeros and ones": (
        twice("images", count=60),
        {"truth.csv": "image,A,B,C\n" + "".join(f"{n:03},{['1,0,0', '0,1,0', '0,0,1'][n % 3]}\n" for n in range(60))},
        {"labels": "table", "table.image": "image", "table.label": ["A", "B", "C"]},
    ),
    "folders of kinds of files in those of the classes": (
        [*twice("train/cats/images", "train/dogs/images"), *twice("val/images")],
        {},
        {"labels": "pattern", "pattern": "(.*/)?(?!(images|val)/)(?P<label>[^/]+)/(images)/[^/]+"},
    ),
    "splits in the folders of the classes": (
        twice("cats/train", "cats/test", "dogs/train", "dogs/test"),
        {},
        {"labels": "pattern", "pattern": "(.*/)?(?P<label>[^/]+)/(test|train)/[^/]+"},
    ),
    "training images of one class": (
        twice("train/good", "test/good", "test/bent", "test/cut"),
        {},
        {"labels": "folders"},
    ),
    "folders, and a table for each split that says the same": (
        twice("cats", "dogs"),
        {
            f"{split}.csv": "file,label\n" + "".join(f"{name},{name[:4]}\n" for name in names)
            for split, names in {"train": twice("cats", "dogs")[::2], "test": twice("cats", "dogs")[1::2]}.items()
        },
        {"labels": "folders"},
    ),
    "a table for each split": (
        twice("images", count=40),
        {
            f"{split}.csv": "file,label\n" + "".join(f"{n:03}.png,{'ab'[n % 2]}\n" for n in part)
            for split, part in {"train": range(28), "val": range(28, 34), "test": range(34, 40)}.items()
        },
        {"labels": "table", "table.file": ["train.csv", "val.csv", "test.csv"], "table.label": "label"},
    ),
    "a list of paths and numbers for each split": (
        twice("images", count=40),
        {
            f"{split}.txt": "".join(f"images/{n:03}.png {n % 2}\n" for n in part)
            for split, part in {"train": range(34), "test": range(34, 40)}.items()
        },
        {"labels": "table", "table.file": ["train.txt", "test.txt"], "table.label": 1},
    ),
    "folders of classes twice, once inside the other": (
        twice("cells/sick", "cells/well", "cells/cells/sick", "cells/cells/well", count=6),
        {},
        {"labels": "pattern", "pattern": "(.*/)?(?P<label>[^/]+)/[^/]+"},
    ),
    "folders of splits with more in their names": (
        [
            *twice(*(f"seg_{split}/seg_{split}/{name}" for split in ("train", "test") for name in ("sea", "wood"))),
            *twice("seg_pred/seg_pred", count=5),
        ],
        {},
        {"labels": "pattern", "pattern": "(.*/)?(?!(seg_pred)/)(?P<label>[^/]+)/[^/]+"},
    ),
    "a table beside folders of classes, on something else": (
        [*twice("cats", "dogs")],
        {
            "sizes.csv": "name,size\n"
            + "".join(f"{name},{'small' if len(name) % 2 else 'large'}\n" for name in "abcdef")
        },
        {"labels": "folders"},
    ),
    "a table that says what the folders say, and the subject": (
        twice("cats", "dogs"),
        {
            "list.csv": "path,animal_kind,patient_id\n"
            + "".join(
                f"{name},{name[:4]},P{number % 10}{name[:1]}\n" for number, name in enumerate(twice("cats", "dogs"))
            )
        },
        {"labels": "table", "table.label": "animal_kind", "group": {"column": "patient_id"}},
    ),
}


@pytest.mark.parametrize("names, tables, expected", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
def test_a_layout_is_found(tmp_path, names, tables, expected, packed):
    path = tmp_path / "my images"
    shapes(path, names)
    for name, text in tables.items():
        (path / name).write_text(text)
    if packed:
        path = Path(shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path, "my images"))
        if expected.get("group") == {"folder": 0}:
            expected = expected | {"group": {"folder": -2}}  # the zip has one folder more
        if "table.file" in expected:
            inside = [f"my images/{name}" for name in np.atleast_1d(expected["table.file"])]
            expected = expected | {"table.file": inside if len(inside) > 1 else inside[0]}
    dataset = run(path)["dataset"]
    assert dataset["path"] == str(path) and dataset["source"] is None and dataset["classes"] is None
    flat = dataset | {f"table.{name}": value for name, value in dataset["table"].items()}
    assert {name: flat[name] for name in ("group", *expected)} == {"group": None, **expected}


def test_a_path_inside_the_project_is_written_relative_to_it():
    shapes(Path("data/mine"), twice("cats", "dogs"))
    assert run(Path("data/mine").absolute())["dataset"]["path"] == "data/mine"
    shapes(Path("../outside"), twice("cats", "dogs"))
    assert run("../outside/")["dataset"]["path"] == str(Path("../outside").resolve())


def test_a_table_may_be_named_itself(tmp_path):
    names = twice("a", "b")
    shapes(tmp_path / "mine", names)
    rows = "".join(f"{name},{'yes' if number % 2 else 'no'}\n" for number, name in enumerate(names))
    (tmp_path / "mine/second.csv").write_text("file,verdict\n" + rows)
    assert run(tmp_path / "mine")["dataset"]["labels"] == "folders"
    dataset = run(tmp_path / "mine/second.csv")["dataset"]
    assert dataset["path"] == str(tmp_path / "mine")
    assert (dataset["labels"], dataset["table"]["label"]) == ("table", "verdict")


def test_tables_that_fix_splits_are_taken_where_they_are_named(tmp_path, capsys):
    shapes(tmp_path / "mine", names := twice("cats", "dogs"))
    for split, part in (("train", names[::2]), ("test", names[1::2])):
        (tmp_path / f"mine/{split}.csv").write_text("file,label\n" + "".join(f"{n},{n[:4]}\n" for n in part))
    run(tmp_path / "mine")
    said = "train.csv and test.csv fix splits, and are not read: --table train.csv,test.csv takes them.\n"
    assert said in capsys.readouterr().out
    dataset = run(tmp_path / "mine", "--table", "train.csv,test.csv")["dataset"]
    assert dataset["table"]["file"] == ["train.csv", "test.csv"]
    assert "Its tables fix the splits: train 20, test 20." in capsys.readouterr().out
    with pytest.raises(UserError, match="--table: tests.csv is no table in the source; did you mean test.csv"):
        run(tmp_path / "mine", "--table", "train.csv,tests.csv")


def of_each_split(folder: Path, rows: dict[str, list[str]]) -> None:
    """60 images, and a table of some in each of train.csv, val.csv and test.csv."""
    shapes(folder, twice("images", count=60))
    for split, lines in rows.items():
        (folder / f"{split}.csv").write_bytes("\n".join(["file,label", *lines]).encode("gb18030"))


def rows_of(*numbers: int, kinds: str = "ab") -> list[str]:
    return [f"{n:03}.png,{kinds[n % 2]}" for n in numbers]


def test_a_few_images_in_two_tables_of_splits_are_left_out(tmp_path, capsys):
    rows = {"train": rows_of(*range(30)), "val": rows_of(*range(30, 45)), "test": rows_of(0, *range(45, 60))}
    of_each_split(tmp_path / "mine", rows)
    assert run(tmp_path / "mine")["dataset"]["table"]["file"] == ["train.csv", "val.csv", "test.csv"]
    printed = capsys.readouterr().out
    assert "Its tables fix the splits: train 29, validation 15, test 15." in printed
    assert "000.png (listed in train.csv and val.csv and test.csv in two splits)" in printed


@pytest.mark.parametrize(
    ("rows", "given", "said", "refused"),
    [
        (
            {"train": rows_of(*range(40)), "test": rows_of(*range(40, 60), kinds="AB")},
            "train.csv,test.csv",
            "One table is read, since all cannot be (",
            "test.csv cannot be read as one with the others: takes tables",
        ),
        (
            {"train": rows_of(*range(40)), "val": rows_of(*range(40, 60), kinds="a狗")},
            "train.csv, val.csv",
            "Not read: val.csv: cannot be read as a table (",
            "save it as plain UTF-8 text: takes tables",
        ),
    ],
    ids=["labels in another case", "another encoding"],
)
def test_a_table_of_a_split_that_cannot_be_read_with_the_others_is_said(tmp_path, capsys, rows, given, said, refused):
    of_each_split(tmp_path / "mine", rows)
    run(tmp_path / "mine")
    assert said in capsys.readouterr().out
    with pytest.raises(UserError, match=f"--table: got {given}; val.csv: cannot|--table: got {given}; {refused}"):
        run(tmp_path / "mine", "--table", given)


def test_tables_that_fix_splits_may_have_their_columns_in_another_order(tmp_path, capsys):
    shapes(tmp_path / "mine", names := [f"images/{number:03}.png" for number in range(40)])
    for split, part, order in (("train", names[:24], "cat,dog"), ("test", names[24:], "dog,cat")):
        rows = [f"{name},{'1,0' if order.startswith('cat') == bool(n % 2) else '0,1'}" for n, name in enumerate(part)]
        (tmp_path / f"mine/{split}.csv").write_text("\n".join([f"file,{order}", *rows]))
    table = run(tmp_path / "mine")["dataset"]["table"]
    assert (table["file"], table["label"]) == (["train.csv", "test.csv"], ["cat", "dog"])
    assert re.search(r"cat +20\n +dog +20\n", capsys.readouterr().out)


FORMS = {  # of test.csv beside train.csv, of 40 images
    "other delimiter": "file;label\r\n",
    "other case, more columns": "age,Label,File\n",
}


@pytest.mark.parametrize("header", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
def test_tables_that_fix_splits_may_be_written_otherwise(tmp_path, capsys, header, packed):
    shapes(path := tmp_path / "mine", twice("images", count=60))
    rare = {0: "c", 1: "c", 45: "c"}
    labels = {f"{n:03}.png": rare.get(n, "ab"[n % 2]) for n in range(60)}
    names = sorted(labels)
    (path / "train.csv").write_text("file,label\n" + "".join(f"{name},{labels[name]}\n" for name in names[:40]))
    rows = (f"{name};{labels[name]}\r\n" if ";" in header else f"7,{labels[name]},{name}\n" for name in names[40:])
    (path / "test.csv").write_text(header + "".join(rows), newline="")
    path = Path(shutil.make_archive(str(path), "zip", path)) if packed else path
    assert run(path)["dataset"]["table"]["file"] == ["train.csv", "test.csv"]
    printed = capsys.readouterr().out
    assert "Its tables fix the splits: train 40, test 20." in printed and "  c  3\n" in printed
    assert ("test.csv: read with ';' between its columns" in printed) == (";" in header)


@pytest.mark.parametrize("header", ["image,class\n", ""], ids=["other names", "no header"])
def test_a_table_of_other_columns_is_said(tmp_path, capsys, header):
    shapes(tmp_path / "mine", twice("images", count=60))
    rows = [f"{number:03}.png,{'ab'[number % 2]}\n" for number in range(60)]
    (tmp_path / "mine/train.csv").write_text("file,label\n" + "".join(rows[:40]))
    (tmp_path / "mine/test.csv").write_text(header + "".join(rows[40:]))
    assert run(tmp_path / "mine")["dataset"]["table"]["file"] == "train.csv"
    said = "labels of 20 other images, which are left out: to use these, name its columns as those of train.csv, or --"
    printed = capsys.readouterr().out
    assert said in printed and "Another way" not in printed


@pytest.mark.parametrize("test", ["id\n{}\n", "id,age,sex\n{},3{},m\n", "sex;id\nf;{}\n"], ids=str)
@pytest.mark.parametrize("folders", [("images", "images"), ("train", "test")], ids=["one folder", "numbered anew"])
def test_a_table_of_tests_without_labels_stops_nothing_and_is_said(tmp_path, capsys, test, folders):
    numbers = range(20) if folders[1] == "test" else range(40, 60)
    shapes(tmp_path / "mine", twice(folders[0], count=40) + [f"{folders[1]}/{number:03}.png" for number in numbers])
    rows = (f"{n:03},{n},{'fm'[n // 7 % 2]},{'ab'[n % 2]}\n" for n in range(40))
    (tmp_path / "mine/train.csv").write_text("id,age,sex,label\n" + "".join(rows))
    header, row, _ = test.split("\n")
    (tmp_path / "mine/test.csv").write_text(f"{header}\n" + "".join(row.format(f"{n:03}", n) + "\n" for n in numbers))
    table = run(tmp_path / "mine")["dataset"]["table"]
    assert (table["file"], table["label"]) == ("train.csv", "label")
    printed = capsys.readouterr().out
    assert "test.csv: 20 images without a label, left out.\n" in printed and "  a  20\n  b  20\n" in printed
    assert "Another way" not in printed and "Not read" not in printed


def test_a_table_of_other_images_than_the_folders_is_said(tmp_path, capsys):
    """As Tiny ImageNet has it."""
    shapes(
        tmp_path / "mine",
        [*twice("train/cats/images", "train/dogs/images"), *twice("val/images/v", between="_", count=5)],
    )
    rows = "".join(f"v_{number:03}.png\t{('cats', 'dogs')[number % 2]}\t0\t62\n" for number in range(5))
    (tmp_path / "mine/val/val_annotations.txt").write_text(rows)
    assert run(tmp_path / "mine")["dataset"]["labels"] == "pattern"
    note = "val/val_annotations.txt: labels of 5 other images, which are left out: to use these, put each into the fold"
    assert note in capsys.readouterr().out


def test_folders_of_kinds_of_files_are_classes_where_that_is_said(tmp_path):
    thumbnails(tmp_path / "mine")
    assert run(tmp_path / "mine", "--labels", "folders")["dataset"]["labels"] == "folders"


def test_a_class_of_what_has_none_is_said(tmp_path, capsys):
    shapes(tmp_path / "mine", twice("BACKGROUND_Google", "no_label", "planes"))
    run(tmp_path / "mine")
    told = [
        line.split()[0] for line in capsys.readouterr().out.splitlines() if "may stand for images of no class" in line
    ]
    assert told == ["BACKGROUND_Google", "no_label"]


def test_nothing_else_changes_and_git_undoes_it(tmp_path, capsys):
    """Comments stay, and every parameter that is no matter of the images."""
    shapes(tmp_path / "mine", twice("cats", "dogs"))
    before = params.PARAMS.read_text()
    old = leaves(yaml12.parse(before))
    new = leaves(run(tmp_path / "mine"))
    assert (new["seed"], new["train_images"]) == (old["seed"], old["train_images"])
    assert re.findall("#.*", params.PARAMS.read_text()) == re.findall("#.*", before)
    printed = capsys.readouterr().out
    changed = {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)}
    assert changed == set(re.findall(r"^  ([a-z0-9_.]+): .* -> ", printed, re.MULTILINE))
    assert "To undo: git checkout params.yaml" in printed
    git("checkout", "-q", "params.yaml")
    assert params.PARAMS.read_text() == before


def test_a_second_time_nothing_changes(tmp_path, capsys):
    shapes(tmp_path / "mine", twice("cats", "dogs"))
    run(tmp_path / "mine")
    written = params.PARAMS.read_bytes()
    run(tmp_path / "mine")
    assert params.PARAMS.read_bytes() == written
    assert "Nothing to change." in capsys.readouterr().out


def test_what_was_not_committed_is_kept(tmp_path, capsys):
    shapes(tmp_path / "mine", twice("cats", "dogs"))
    params.PARAMS.write_text(mine := params.PARAMS.read_text() + "# a note of mine\n")
    run(tmp_path / "mine")
    copy = re.search(r"a copy is in (\S+)\.$", capsys.readouterr().out, re.MULTILINE)[1]
    assert Path(copy).read_text() == mine
    run(tmp_path / "mine", "--group", "none", "--seed", "2")
    assert "a copy" not in capsys.readouterr().out, "what start itself wrote needs none"


def test_a_near_copy_of_an_image_that_is_in_two_classes_is_no_obstacle(tmp_path, capsys):
    """Exact copies in two classes are left out, so a near-duplicate of them belongs to nothing."""
    rng = np.random.default_rng(3)
    for path in [tmp_path / f"mine/{name}/{number}.png" for name in ("cats", "dogs") for number in range(10)]:
        path.parent.mkdir(parents=True, exist_ok=True)
        blobs = Image.fromarray(rng.integers(0, 256, (12, 12, 3), dtype=np.uint8))
        blobs.resize((128, 128), Image.Resampling.BICUBIC).save(path)
    shutil.copy(tmp_path / "mine/cats/0.png", tmp_path / "mine/dogs/same.png")
    with Image.open(tmp_path / "mine/cats/0.png") as image:
        image.save(tmp_path / "mine/cats/again.jpg", quality=80)
    assert run(tmp_path / "mine")["dataset"]["labels"] == "folders"
    printed = capsys.readouterr().out
    assert "2 of 22 images look like copies of others" in printed
    assert "2 files left out: copies in two classes" in printed


def test_a_dry_run_writes_nothing(tmp_path, capsys):
    shapes(tmp_path / "mine", twice("cats", "dogs"))
    before = params.PARAMS.read_bytes()
    run(tmp_path / "mine", "--dry-run")
    assert params.PARAMS.read_bytes() == before and "dataset.labels: table -> folders" in capsys.readouterr().out
    assert git("status", "--porcelain") == ""


def test_what_the_images_are_like(tmp_path, capsys):
    mine = tmp_path / "mine"
    shapes(mine, twice("cats", "dogs"))
    Image.new("L", (400, 300), 128).save(mine / "cats/grey.png")
    Image.fromarray(np.arange(300 * 400, dtype=np.uint16).reshape(300, 400) // 2).save(mine / "dogs/deep.png")
    shutil.copy(mine / "cats/000.png", mine / "cats/again.png")
    (mine / "dogs/cut.png").write_bytes((mine / "dogs/000.png").read_bytes()[:100])
    (mine / "notes.pdf").write_bytes(b"%PDF")
    run(mine, "--dry-run")
    printed = capsys.readouterr().out
    assert "44 images in" in printed and "  cats  22\n  dogs  22\n" in printed
    assert "20x16 in the middle, 20x16 to 400x300 pixels; colour (41), grey (2); 8 bits (42), 16 bits (1)" in printed
    assert "1 image of them cannot be read: dogs/cut.png (truncated)" in printed
    assert "1 file is an exact copy of another, such as cats/again.png of cats/000.png" in printed
    assert "1 file left out: notes.pdf (no image of pixels: save it as PNG, TIFF or JPEG)" in printed
    assert re.search(r"`make repro` takes about \d+ min, [\d.]+ [MG]B of memory and [\d.]+ [MG]B of disk", printed)


@pytest.mark.parametrize(
    ("names", "mirrored"),
    [
        (twice("cats", "dogs"), True),
        (twice("left", "right"), False),
        (twice("turn_left", "straight"), False),
        (twice("TurnRight", "Straight"), False),
        (twice("bright", "dark"), True),
        (twice("number plate", "wheel"), True),
        (twice(*"0123456789", count=5), False),
        (twice("0", "1"), True),
    ],
    ids=lambda value: Path(value[0]).parent.name if isinstance(value, list) else None,
)
def test_views_are_mirrored_where_nothing_speaks_against_it(tmp_path, names, mirrored):
    shapes(tmp_path / "mine", names)
    assert run(tmp_path / "mine")["augment"]["flip_horizontal"] is mirrored


def test_drawings_in_black_and_white_are_not_mirrored(tmp_path):
    rng = np.random.default_rng(0)
    for name in twice("one", "two"):
        (tmp_path / "mine" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.random((16, 16)) < 0.5).save(tmp_path / "mine" / name)
    assert (
        run(tmp_path / "mine")["augment"] | {"flip_horizontal": False, "flip_vertical": False}
        == run(tmp_path / "mine")["augment"]
    )


@pytest.mark.parametrize(
    ("sizes", "reason"),
    [
        ([], "the images have the same proportions"),
        ([(50, 60)] * 4, "the images have the same proportions"),
        ([(50, 60)] * 5, None),
        ([(50, 60)] * 3 + [(90, 40)] * 2, None),
        ([(50, 60)] * 3 + [(40, 90)] * 3, "many images are more than twice as long as wide"),
    ],
)
def test_images_of_other_proportions_are_cut_to_a_square_unless_many_are_oblong(tmp_path, capsys, sizes, reason):
    shapes(tmp_path / "mine", twice("cats", "dogs"))
    for number, size in enumerate(sizes):
        Image.new("RGB", size, (number, 0, 0)).save(tmp_path / f"mine/cats/{number:03}.png")
    assert run(tmp_path / "mine")["image"]["resizing"] == ("stretch" if reason else "crop")
    printed = capsys.readouterr().out
    assert (f"Nothing is cut off: {reason}." in printed) if reason else ("Nothing is cut off" not in printed)


def test_splits_and_epochs_go_by_the_number_of_images(tmp_path):
    sizes = []
    for count in (6, 20, 400, 2000):
        shapes(tmp_path / str(count), twice("cats", "dogs", count=min(count, 20)))
        for name in ("cats", "dogs"):
            for number in range(20, count):
                shutil.copy(tmp_path / f"{count}/{name}/000.png", tmp_path / f"{count}/{name}/{number}.png")
        values = run(tmp_path / str(count))
        sizes.append((values["split"]["validation"], values["split"]["test"], values["fine_tune"]["epochs"]))
        assert values["fine_tune"]["warmup"] <= values["fine_tune"]["epochs"] / 4
    validation, test, epochs = zip(*sizes, strict=True)
    assert validation == (0.25, 0.25, 0.25, 0.1) and test == (0.25, 0.25, 0.25, 0.25)
    as_preset = yaml12.read(recipe.RECIPE)["fine_tune"]["epochs"]
    assert epochs[0] == epochs[1] == 2 * as_preset and epochs[1] > epochs[2] > epochs[3]


def test_a_rare_class_has_an_image_in_each_split(tmp_path):
    shapes(tmp_path / "mine", [*twice("good", count=1200), *twice("bad", count=3)])
    split = run(tmp_path / "mine")["split"]
    assert round(3 * split["validation"]) == round(3 * split["test"]) == 1


def empty(path: Path) -> None:
    path.mkdir()


def one_class(path: Path) -> None:
    shapes(path, twice("cats"))


def one_image(path: Path) -> None:
    shapes(path.parent, [path.name])


def zip_in_a_zip(path: Path) -> None:
    shapes(path.parent / "inner", twice("cats", "dogs", count=3))
    shutil.make_archive(str(path.parent / "inner"), "zip", path.parent / "inner")
    with zipfile.ZipFile(path, "w") as file:
        file.write(path.parent / "inner.zip", "download/inner.zip")


def no_zip(path: Path) -> None:
    path.write_bytes(b"<html>not found</html>")


def no_images(path: Path) -> None:
    path.mkdir()
    (path / "notes.pdf").write_bytes(b"%PDF")


def numbered(path: Path) -> None:
    shapes(path, [f"IMG_{number:04}.jpg" for number in range(20)])


def two_of_a_kind(path: Path) -> None:
    shapes(path, [*twice("cats"), *twice("dogs", count=2)])


def unreadable_class(path: Path) -> None:
    shapes(path, twice("cats"))
    (path / "dogs").mkdir()
    for number in range(5):
        (path / f"dogs/{number}.png").write_bytes(b"")


def an_old_table(path: Path) -> None:
    shapes(path, twice("images", count=20))
    rows = "".join(f"{n:03};{'äb'[n % 2]}\n" for n in range(20))
    (path / "labels.csv").write_bytes(f"image;label\n{rows}".encode("cp1252"))


def sites(path: Path, table: str, encoding: str = "utf-8") -> None:
    """Folders that are not the classes, and a table that cannot be read as it is."""
    shapes(path, twice("left", "right"))
    (path / "labels.csv").write_text(table, encoding)


def sites_twice(path: Path) -> None:
    sites(path, "image,diagnosis\n" + "".join(f"{n:03}.png,{'sick' if n % 3 else 'well'}\n" for n in range(20)))


def sites_without_numbers(path: Path) -> None:
    sites(path, "image,diagnosis\n" + "".join(f"scan {n:03},{'sick' if n % 3 else 'well'}\n" for n in range(40)))


def sites_in_utf_16(path: Path) -> None:
    rows = "".join(f"{folder}/{n:03}.png,{'ab'[n % 2]}\n" for folder in ("left", "right") for n in range(20))
    sites(path, "image,diagnosis\n" + rows, "utf-16")


def sites_in_a_chinese_encoding(path: Path) -> None:
    shapes(path, [f"图片/{kind}{n:02}.png" for kind in "xyz" for n in range(10)])
    rows = "".join(f"{kind}{n:02}.png,{'猫狗'[n % 2]}\n" for kind in "xyz" for n in range(10))
    (path / "标签.csv").write_text("文件,类别\n" + rows, "gb18030")


def sites_that_a_few_rows_name(path: Path) -> None:
    sites(path, "image,diagnosis\n" + "".join(f"left/{n:03}.png,{'sick' if n % 3 else 'well'}\n" for n in range(7)))


def sites_and_a_spreadsheet(path: Path) -> None:
    shapes(path, twice("left", "right"))
    (path / "labels.xlsx").write_bytes(b"PK")


def subjects_and_a_spreadsheet(path: Path) -> None:
    below(path)
    (path / "labels.xlsx").write_bytes(b"PK")


def case_twins(path: Path) -> None:
    shapes(path, twice("Ok", "ok", "BAD"))


def case_twins_in_a_table(path: Path) -> None:
    shapes(path, twice("images"))
    (path / "t.csv").write_text("file,label\n" + "".join(f"{n:03}.png,{('Cat', 'cat')[n % 2]}\n" for n in range(20)))


def a_stray_image(path: Path) -> None:
    shapes(path, [*twice("bad", "ok"), "ok/more/x.png"])


def no_training_folder(path: Path) -> None:
    shapes(path, twice("test/a", "test/b", "val/a", "val/b"))


def splits_or_classes(path: Path) -> None:
    shapes(path, twice("bus", "train", "test"))


def a_spreadsheet(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("xl/workbook.xml", "")


def lacking_in_training(path: Path) -> None:
    shapes(path, twice("train/a", "train/c", "test/a", "test/b", "test/c", count=4))


def two_groups(path: Path) -> None:
    shapes(path, names := twice("images"))
    rows = "".join(f"{name},{'ab'[n % 2]},{n % 4 // 2}\n" for n, name in enumerate(names))
    (path / "t.csv").write_text("file,label,where\n" + rows)


def ids_of_no_file(path: Path) -> None:
    shapes(path, twice("images"))
    (path / "t.csv").write_text("id,label\n" + "".join(f"scan{n:04},{'ab'[n % 2]}\n" for n in range(20)))


def equal_levels(path: Path) -> None:
    shapes(path, twice("cats/day", "cats/night", "dogs/day", "dogs/night"))


def families(path: Path) -> None:
    shapes(path, twice("birds/robin", "birds/wren", "fish/carp", "fish/trout", "fish/eel", count=6))


def numbered_species(path: Path) -> None:
    names = ("birds/001.Robin", "birds/002.Wren_black", "fish/003.Carp", "fish/004.Trout", "fish/005.Blackfin")
    shapes(path, twice(*names, count=6))


def models(path: Path) -> None:
    shapes(path, twice("Audi/A3", "Audi/A4", "Audi/A5", "BMW/M3", "BMW/X5", "BMW/Z4", count=6))


def kinds_of_files(path: Path) -> None:
    """As the COVID-19 radiography database has them: in each class images and their masks."""
    names = ("covid", "normal", "opacity")
    shapes(path, twice(*(f"{name}/{kind}" for name in names for kind in ("images", "masks")), count=5))


def forms(path: Path) -> None:
    """As PlantVillage has them."""
    kinds, names = ("color", "grayscale", "segmented"), ("leaf_scab", "leaf_healthy")
    shapes(path, twice(*(f"plants/{kind}/{name}" for kind in kinds for name in names), count=5))


def masks(path: Path) -> None:
    """As the breast ultrasound images (BUSI) have them, some with two."""
    names = [f"{name}/{name} ({n})" for name in ("benign", "malignant") for n in range(6)]
    shapes(path, [f"{name}{end}.png" for name in names for end in ("", "_mask", "_mask_1")])


def anomalies(path: Path) -> None:
    """As MVTec AD has them."""
    shapes(path, twice("cup/train/good", "cup/test/good", "cup/test/bent", count=6))
    shapes(path, [f"cup/ground_truth/bent/{n:03}_mask.png" for n in range(6)])


def several_levels(path: Path) -> None:
    shapes(
        path, [f"plant{p}/line{n}/2021/{k}/{i}{p}{n}.png" for p in "12" for n in "12" for k in "ab" for i in range(5)]
    )


def annotated_one_by_one(path: Path) -> None:
    """As labelme and webdatasets have them."""
    shapes(path, names := twice("IMG", between="_"))
    for name in names:
        (path / name).with_suffix(".json").write_text("{}")


def parquet(path: Path) -> None:
    path.mkdir()
    (path / "train-00000-of-00001.parquet").write_bytes(b"PAR1")


def a_folder_of_masks(path: Path) -> None:
    shapes(path, twice("images", "masks", count=6))


def cameras(path: Path) -> None:
    shapes(path, [*twice("IMG", between="_"), *twice("DSC", between="_")])


def splits_in_names(path: Path) -> None:
    shapes(path, [*twice("train", between="_"), *twice("test", between="_", count=10)])


def days(path: Path) -> None:
    shapes(path, [f"{day}.05.2021 {n}.png" for day in (12, 13, 14) for n in range(8)])


def findings(path: Path) -> None:
    """As NIH's chest X-rays have them."""
    shapes(path, names := twice("images"))
    rows = "".join(f"{name},{'ab'[n % 2]},{n}\n" for n, name in enumerate(names))
    (path / "notes").mkdir()
    for name in ("t.csv", "notes/t.csv"):
        (path / name).write_text("Image Index,Finding Labels,Patient Age\n" + rows)


def an_array(path: Path) -> None:
    np.savez(path, images=np.zeros(3))


def rivals(path: Path) -> None:
    shapes(path, twice("images", count=40))
    for name, every in (("new", 2), ("old", 3)):
        rows = "".join(f"{n:03}.png,{'ab'[n % every == 0]}\n" for n in range(40))
        (path / f"{name}.csv").write_text("file,label\n" + rows)


def hidden(path: Path) -> None:
    shapes(path, twice(".9mm", "45", count=6))


def coco(path: Path) -> None:
    shapes(path, twice("train2017", "val2017", count=6))


def below(path: Path) -> None:
    shapes(path, twice(*(f"cats/P{n}" for n in range(4)), *(f"dogs/P{n}" for n in range(4, 8)), count=5))


def cats_and_dogs(path: Path) -> None:
    shapes(path, twice("cats", "dogs", count=6))


def thumbnails(path: Path) -> None:
    shapes(path, [*twice("images", count=6), *twice("thumbnails", count=6)])


def download(path: Path) -> None:
    shapes(path, [*twice("photos_part1", count=6), *twice("photos_part2", count=6)])


FAULTS = {
    "an empty folder": (empty, "mine", [], "mine holds no images (0 files)"),
    "no images": (no_images, "mine", [], "mine holds no images (1 file: 1 with .pdf)"),
    "one class": (
        one_class,
        "mine",
        [],
        "cannot tell how the images in .*mine are labelled (the folders' names: only one class in ",
    ),
    "one image": (one_image, "mine.png", [], "mine.png is one image; takes a folder, a zip or a table of images"),
    "a zip in a zip": (zip_in_a_zip, "mine.zip", [], "holds no images, but 1 archive, such as download/inner.zip"),
    "no zip": (no_zip, "mine.zip", [], "mine.zip is neither a folder nor a whole zip"),
    "a missing path": (cats_and_dogs, "mine", ["../mime"], "nothing is at ../mime; did you mean mine? takes the path"),
    "numbers": (numbered, "mine", [], "cannot tell how the images in .*mine are labelled"),
    "two images of a class": (two_of_a_kind, "mine", [], "class dogs has 2 images, and takes 3 at least, one each for"),
    "a class of damaged files": (
        unreadable_class,
        "mine",
        [],
        "class dogs: none of its images can be read: dogs/0",
    ),
    "no UTF-8": (an_old_table, "mine", [], "(labels.csv: cannot be read as a table ('utf-8' codec"),
    "the project": (cats_and_dogs, "mine", ["."], "dataset.path: got ., where the pipeline writes data/manifest.csv"),
    "other classes": (cats_and_dogs, "mine", ["--classes", "cat,dogs"], "--classes: got cat,dogs; did you mean cats?"),
    "a positive one": (cats_and_dogs, "mine", ["--positive", "cat"], "got cat; did you mean cats? takes cats or dogs"),
    "no such column": (cats_and_dogs, "mine", ["--group", "who"], "--group: got who; takes a column of a table, a "),
    "a pattern without a label": (
        cats_and_dogs,
        "mine",
        ["--pattern", "(?P<name>.+)"],
        "a regular expression with (?P<l",
    ),
    "a pattern for no image": (
        cats_and_dogs,
        "mine",
        ["--pattern", "(?P<label>x)"],
        "dataset.pattern does not match 000",
    ),
    "a table whose names are in two folders": (
        sites_twice,
        "mine",
        [],
        "000.png in labels.csv could mean left/0",
    ),
    "a table of other names": (sites_without_numbers, "mine", [], "or go on without it by --labels folders"),
    "a table in GB18030": (
        sites_in_a_chinese_encoding,
        "mine",
        [],
        "the labels may be in a table that is not taken (",
    ),
    "a table of few rows": (sites_that_a_few_rows_name, "mine", [], "it names 7 of 40 images, too few"),
    "a spreadsheet beside folders": (
        sites_and_a_spreadsheet,
        "mine",
        [],
        "(labels.xlsx: a spreadsheet, which is n",
    ),
    "a spreadsheet beside folders of subjects": (
        subjects_and_a_spreadsheet,
        "mine",
        [],
        "mend it, or go on without it by --group -1",
    ),
    "another archive": (no_zip, "mine.tar.gz", [], "mine.tar.gz is an archive that is not read in place: unpack"),
    "a table in a folder of its own": (
        findings,
        "mine",
        ["../mine/notes/t.csv"],
        "notes holds no images beside the table t.csv",
    ),
    "a column that may be the label": (
        findings,
        "mine",
        [],
        "label Finding Labels), a 10, b 10, but another column may be meant: say what they are with --label (--label "
        "'Finding Labels' takes this one), --labels",
    ),
    "a file that is no table": (
        an_array,
        "mine.npz",
        [],
        "mine.npz is not read: write the labels in it as a CSV, a row f",
    ),
    "tables that contradict each other": (
        rivals,
        "mine",
        [],
        "(image file, label label) or in the table old.csv (image file, label label): say which with --table",
    ),
    "folders of splits with their year": (
        coco,
        "mine",
        [],
        "directly in train2017, the name of a split and not of a c",
    ),
    "a spreadsheet": (a_spreadsheet, "mine.xlsx", [], "mine.xlsx is a spreadsheet, which is not read: save it as CSV"),
    "classes that differ in case": (case_twins, "mine", [], "the classes Ok (20 images) and ok (20 images) differ in"),
    "labels that differ in case": (
        case_twins_in_a_table,
        "mine",
        [],
        "the classes Cat (10 images) and cat (10 imag",
    ),
    "a stray image": (a_stray_image, "mine", [], "(the folders' names: ok/more/x.png is 2 folders deep"),
    "no training folder": (no_training_folder, "mine", [], "has folders or tables named test and validation, but none"),
    "splits or classes": (splits_or_classes, "mine", [], "the folders test and train hold images directly, and are r"),
    "folders of kinds of files": (
        thumbnails,
        "mine",
        [],
        "the folders' names, images 6, thumbnails 6, but these may be kinds of files, or parts of a download: say what",
    ),
    "folders of parts": (download, "mine", [], "photos_part1 6, photos_part2 6, but these may be kinds of files, or p"),
    "levels that look alike": (equal_levels, "mine", [], "but the others may be the classes: say what they are with -"),
    "a hierarchy of classes": (
        families,
        "mine",
        [],
        "but the others may be the classes: say what they are with --group -1",
    ),
    "a hierarchy of numbered classes": (numbered_species, "mine", [], "but the others may be the classes: say what th"),
    "the same images in several forms": (
        forms,
        "mine",
        [],
        "but color and grayscale and segmented may have the same images, so that one of them is to be given, or the o",
    ),
    "models of cars": (models, "mine", [], "but the others may be the classes: say what they are with --group -1"),
    "folders of images and masks in each class": (
        kinds_of_files,
        "mine",
        [],
        "as those of masks by their names, may be meant too: take it with --pattern '(?!(.*/)?(masks)/)(.*/)?(?P<",
    ),
    "masks beside images": (
        masks,
        "mine",
        [],
        "24 images may be masks of others, such as benign/benign (0)_mask.png of benign/benign (0).png: take them out,",
    ),
    "a folder of masks": (
        a_folder_of_masks,
        "mine",
        [],
        "6 images may be masks of others, such as masks/000.png of im",
    ),
    "folders of masks beside those of splits": (
        anomalies,
        "mine",
        [],
        "the classes may be in the folders' names, by (?!(.*/)?(ground_truth)/)(.*/)?(?P<label>[^/]+)/[^/]+, bent 6, ",
    ),
    "classes in one of several folders": (
        several_levels,
        "mine",
        [],
        "cameras as well (the folders' names: plant1/line1/2021/a/011.png is 4 folders deep, so that its cla",
    ),
    "a file of labels for each image": (
        annotated_one_by_one,
        "mine",
        [],
        "(20 files with the name of an image each, such as IMG_000.json: not read: write their labels into one CSV",
    ),
    "images in parquet": (
        parquet,
        "mine",
        [],
        "1 with .parquet): images in .parquet are not read: write each as a file",
    ),
    "names of cameras": (
        cameras,
        "mine",
        [],
        "DSC 20, IMG 20, but these may be subjects, days or cameras as well: say",
    ),
    "names of splits": (splits_in_names, "mine", [], "test 10, train 20, but these may be subjects, days or cameras"),
    "days": (
        days,
        "mine",
        [],
        "12 8, 13 8, 14 8, but these may be subjects, days or cameras as well: say what they are",
    ),
    "nested folders without groups": (below, "mine", ["--group", "none"], "cats/P0/000.png is 2 folders deep, so that"),
    "a column, and no table": (
        cats_and_dogs,
        "mine",
        ["--label", "kind"],
        "--label: got kind, but the source has ",
    ),
    "a class in test alone": (lacking_in_training, "mine", [], "class b has images in test/ only, and none in train/"),
    "no such level": (cats_and_dogs, "mine", ["--group", "7"], "no image is in a group, such as cats/000.png (they ha"),
    "a pattern for no group": (cats_and_dogs, "mine", ["--group", r"(?P<group>Q\d+)_"], "dataset.group.pattern does n"),
    "too few groups": (two_groups, "mine", ["--group", "where"], "class a is of 2 groups, too few to be whole in "),
    "no pattern": (cats_and_dogs, "mine", ["--group", "(?P<group>"], "group.pattern: got '(?P<group>'; takes "),
    "ids of no file": (ids_of_no_file, "mine", [], "missing in the source; did you mean images/000.png?"),
    "no such label": (an_old_table, "mine", ["--pattern", "("], "takes a regular expression ("),
    "no such table": (cats_and_dogs, "mine", ["--table", "a.csv"], "--table: a.csv is no table in the source; "),
}


@pytest.mark.parametrize(("make", "name", "options", "message"), FAULTS.values(), ids=FAULTS)
def test_what_cannot_be_used_is_one_line_and_changes_nothing(tmp_path, make, name, options, message):
    make(tmp_path / name)
    before = params.PARAMS.read_bytes()
    paths = [] if options and not options[0].startswith("-") else [str(tmp_path / name)]
    with pytest.raises(UserError, match=re.escape(message).replace(r"\.\*", ".*")):
        start.main([*paths, *options])
    assert params.PARAMS.read_bytes() == before


ADDRESSES = {
    "https://github.com/me/mine.git": "`git clone https://github.com/me/mine.git data/my_images`, then give that f",
    "git@github.com:me/mine.git": "`git clone git@github.com:me/mine.git data/my_images`, then give that folder",
    "file:///srv/mine": "give /srv/mine",
    r"C:\Users\me\mine": "give it as WSL has it, where the drive C: is /mnt/c",
    "s3://bucket/mine": "`aws s3 cp --recursive s3://bucket/mine data/my_images`, then give that folder; by hand,",
    "gs://bucket/mine": "`gcloud storage cp --recursive gs://bucket/mine data/my_images`, then give that folder",
    "hf://datasets/me/mine": "`hf download --repo-type dataset me/mine --local-dir data/my_images`, write images",
    "https://huggingface.co/datasets/mine": "`hf download --repo-type dataset mine --local-dir data/my_images`, write",
    "kaggle://me/mine": "`kaggle datasets download me/mine`, then give the zip",
    "https://www.kaggle.com/datasets/me/mine?x=1": "`kaggle datasets download me/mine`, then give the zip",
    "https://www.kaggle.com/c/mine/data": "`kaggle competitions download mine`, then give the zip",
    "https://host.org/mine.tar": "fetch it, as with `curl -LO https://host.org/mine.tar`, unpack it where it is no",
    "sftp://me@host/mine": "copy it here, as with `rsync -r`, then give the folder or zip",
    "me@host:/srv/mine": "copy it here, as with `rsync -r`, then give the folder or zip",
}


@pytest.mark.parametrize(("address", "message"), ADDRESSES.items(), ids=ADDRESSES)
def test_an_address_in_place_of_a_path_is_told_how_to_fetch(address, message):
    with pytest.raises(UserError, match=re.escape(f"{address} is an address; takes a path on this machine: {message}")):
        start.main([address])


def test_a_folder_with_the_name_of_an_address_is_a_folder():
    cats_and_dogs(Path("host:/mine"))
    assert run("host:/mine")["dataset"]["labels"] == "folders"


def test_a_table_in_utf_16_is_read(tmp_path):
    """What Excel saves as "Unicode text"."""
    sites_in_utf_16(tmp_path / "mine")
    dataset = run(tmp_path / "mine")["dataset"]
    assert (dataset["labels"], dataset["table"]["label"]) == ("table", "diagnosis")


@pytest.mark.parametrize("make", [sites_twice, sites_without_numbers, sites_and_a_spreadsheet])
def test_a_table_is_passed_over_where_that_is_asked_for(tmp_path, make, monkeypatch):
    make(tmp_path / "mine")
    assert run(tmp_path / "mine", "--labels", "folders")["dataset"]["labels"] == "folders"
    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr("sys.stdout", Terminal())
    monkeypatch.setattr("builtins.input", lambda question: "y" if "Go on without it" in question else "")
    git("checkout", "-q", "params.yaml")
    assert run(tmp_path / "mine")["dataset"]["labels"] == "folders"
    monkeypatch.setattr("builtins.input", lambda question: "")
    with pytest.raises(UserError, match="the labels may be in a table that is not taken"):
        start.main([str(tmp_path / "mine")])


def test_classes_that_differ_in_case_are_taken_where_they_are_named(tmp_path):
    case_twins(tmp_path / "mine")
    assert run(tmp_path / "mine", "--classes", "Ok,ok,BAD")["dataset"]["classes"] == ["Ok", "ok", "BAD"]


def test_classes_that_may_be_splits_are_taken_where_they_are_named(tmp_path, capsys):
    splits_or_classes(tmp_path / "mine")
    run(tmp_path / "mine", "--classes", "bus,test,train")
    assert "60 images in" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("pattern", "classes"), [(start.INNER, ["carp", "eel", "robin", "trout", "wren"]), (start.OUTER, ["birds", "fish"])]
)
def test_a_pattern_reads_either_level_of_a_hierarchy(tmp_path, capsys, pattern, classes):
    families(tmp_path / "mine")
    dataset = run(tmp_path / "mine", "--pattern", pattern)["dataset"]
    assert (dataset["labels"], dataset["group"]) == ("pattern", None)
    assert re.findall(r"^  (\w+) +\d+$", capsys.readouterr().out, re.MULTILINE) == classes


def test_masks_are_left_out_by_the_pattern_that_is_offered_or_used_where_that_is_said(tmp_path, capsys):
    masks(tmp_path / "mine")
    with pytest.raises(UserError, match="take them out, leave them out with --pattern") as refused:
        start.main([str(tmp_path / "mine")])
    run(tmp_path / "mine", "--pattern", shlex.split(str(refused.value).partition("--pattern ")[2])[0].rstrip(","))
    assert "12 images in" in (printed := capsys.readouterr().out) and "  benign     6\n  malignant  6\n" in printed
    run(tmp_path / "mine", "--labels", "folders")
    assert "36 images in" in (printed := capsys.readouterr().out) and "24 images may be masks of others" in printed


def test_what_only_the_test_has_is_dealt_out_where_training_has_one_class(tmp_path, capsys):
    anomalies(tmp_path / "mine")
    with pytest.raises(UserError, match="take it with --pattern") as refused:
        start.main([str(tmp_path / "mine")])
    pattern = shlex.split(str(refused.value).partition("take it with --pattern ")[2])[0].rstrip(",")
    assert run(tmp_path / "mine", "--pattern", pattern)["dataset"]["group"] is None
    printed = capsys.readouterr().out
    assert "18 images in" in printed and "  bent  6\n  good  12\n" in printed
    assert "All images in train/ are of one class, good, as for finding what is unlike it: the folders of" in printed


@pytest.mark.parametrize(("group", "classes"), [("-1", ["P0", "P1", "P2"]), ("0", ["a", "b", "c"])])
def test_the_level_of_the_groups_decides_which_folders_are_the_classes(tmp_path, capsys, group, classes):
    shapes(tmp_path / "mine", twice(*(f"P{who}/{name}" for who in range(3) for name in "abc"), count=5))
    dataset = run(tmp_path / "mine", "--group", group)["dataset"]
    assert (dataset["labels"], dataset["group"]) == ("folders", {"folder": int(group)})
    printed = capsys.readouterr().out
    assert re.findall(r"^  (\w+) +\d+$", printed, re.MULTILINE) == classes
    assert "Another way" not in printed


def probable(path: Path, name: str = "prob") -> None:
    shapes(path, twice("images"))
    (path / "t.csv").write_text(f"file,{name}\n" + "".join(f"{n:03}.png,{n / 19:.3f}\n" for n in range(20)))


@pytest.mark.parametrize(("name", "options"), [("prob", []), ("y", []), ("z", ["--label", "z"])])
def test_a_column_of_probabilities_is_read_as_such(tmp_path, name, options):
    probable(tmp_path / "mine", name)
    dataset = run(tmp_path / "mine", "--classes", "no,yes", *options)["dataset"]
    assert dataset["classes"] == ["no", "yes"]
    assert (dataset["table"]["label"], dataset["table"]["probabilities"]) == (name, True)
    with pytest.raises(UserError, match=f"{name} has the probability of the second of two classes: name both with"):
        start.main([str(tmp_path / "mine"), *options])


@pytest.mark.parametrize("options", [[], ["--label", "a,b,c"]])
def test_columns_of_probabilities_are_a_class_each(tmp_path, options):
    shapes(tmp_path / "mine", twice("images"))
    rows = "".join(f"{n:03}.png,{['0.6,0.3,0.1', '0,0.5,0.5', '0.2,0.1,0.7'][n % 3]}\n" for n in range(20))
    (tmp_path / "mine/t.csv").write_text("file,a,b,c\n" + rows)
    table = run(tmp_path / "mine", *options)["dataset"]["table"]
    assert (table["label"], table["probabilities"]) == (["a", "b", "c"], True)


def test_few_values_from_0_to_1_are_classes_unless_they_are_said_to_be_probabilities(tmp_path, capsys):
    shapes(tmp_path / "mine", twice("images"))
    (tmp_path / "mine/t.csv").write_text("file,y\n" + "".join(f"{n:03}.png,{n % 3 / 2}\n" for n in range(20)))
    assert run(tmp_path / "mine")["dataset"]["table"]["probabilities"] is False
    assert "If these numbers are probabilities of the second of two classes: --probab" in capsys.readouterr().out
    dataset = run(tmp_path / "mine", "--probabilities", "--classes", "no,yes")["dataset"]
    assert dataset["table"]["probabilities"] is True


def of_splits(folder: Path, header: str, row, end: str = "\n") -> None:
    """40 images and a table of them; row: what it says of an image by its number."""
    shapes(folder, twice("images", count=40))
    rows = [f"file,label,{header}", *(f"{n:03}.png,{'ab'[n % 2]},{row(n)}" for n in range(40))]
    (folder / "t.csv").write_bytes("".join(line + end for line in rows).encode())


def deal(number: int) -> str:
    return ("TRAIN", "dev", "test")[max(0, number // 8 - 2)]


@pytest.mark.parametrize(("packed", "end"), [(False, "\n"), (True, "\r\n")], ids=["folder", "zip, from Windows"])
def test_a_column_of_splits_is_taken_and_said(tmp_path, capsys, packed, end):
    of_splits(path := tmp_path / "mine", "set", deal, end)
    path = Path(shutil.make_archive(str(path), "zip", path)) if packed else path
    assert run(path)["dataset"]["table"]["split"] == "set"
    said = "Its column set fixes the splits: train 24, validation 8, test 8 (dataset.table.split; --split none leaves"
    assert said in capsys.readouterr().out
    assert run(path, "--split", "none")["dataset"]["table"]["split"] is None
    assert "fixes the splits" not in capsys.readouterr().out
    with pytest.raises(UserError, match=r"--split: got sets; did you mean set\? takes a column \(set\), or none"):
        run(path, "--split", "sets")


def test_what_tables_say_together_is_written_into_one_where_that_is_asked_for(tmp_path, capsys):
    shapes(path := tmp_path / "mine", names := twice("images", count=40))
    for file, cells in (("images", names), ("labels", "ab" * 20), ("train_test_split", "0111" * 10)):
        (path / f"{file}.txt").write_text("".join(f"{n * 3} {cell}\n" for n, cell in enumerate(cells)))
    with pytest.raises(
        UserError, match=r"labels.txt.* belong together by the numbers .*: --join joined.csv writes one"
    ):
        start.main([str(path)])
    with pytest.raises(UserError, match="--join writes a table, and --dry-run nothing: give one of them"):
        start.main([str(path), "--join", "joined.csv", "--dry-run"])
    with pytest.raises(UserError, match="class b has images in train/ only, and none in test/"):
        run(path, "--join", "joined.csv", "--split", "split")
    (path / "train_test_split.txt").write_text("".join(f"{n * 3} {int(n % 5 > 0)}\n" for n in range(40)))
    table = run(path, "--join", "again.csv")["dataset"]["table"]
    assert (table["file"], table["label"], table["split"]) == ("again.csv", "label", "split")
    assert "Its column split fixes the splits: test 8, train 32" in capsys.readouterr().out


@pytest.mark.parametrize(("answer", "column"), [("", "set"), ("n", None)])
def test_at_a_terminal_a_column_of_splits_is_asked_for(tmp_path, monkeypatch, answer, column):
    of_splits(tmp_path / "mine", "set", deal)
    asked = []
    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr("sys.stdout", Terminal())
    monkeypatch.setattr("builtins.input", lambda question: asked.append(question) or answer)
    assert run(tmp_path / "mine")["dataset"]["table"]["split"] == column
    assert asked == [
        "The column set (TRAIN 24, dev 8, test 8) says which split an image is of. Keep these? [y] ",
    ]


def test_a_column_of_yes_and_no_is_taken_by_its_name_and_what_it_means_is_said(tmp_path, capsys):
    of_splits(tmp_path / "mine", "is_training_image", lambda n: int(n < 30))
    assert run(tmp_path / "mine")["dataset"]["table"]["split"] == "is_training_image"
    said = "Its column is_training_image (1: train, 0: test) fixes the splits: train 30, test 10 (dataset.table.split"
    assert said in capsys.readouterr().out


# What a column has, and why it is not taken unasked; and whether `--split` takes it all the same.
NOT_TAKEN = {
    "fold": (lambda n: n % 5, "fold (0 8, 1 8, 2 8, and 2 more) is not read: 0 is none of train, validation", False),
    "Usage": (lambda n: ("Training", "PublicTest")[n % 2], "PublicTest is none of train, validation and te", False),
    "is_valid": (lambda n: n < 10, "it may say what is valid, or what is for validation; --split is_valid takes", True),
    "set": (
        lambda n: "" if n == 3 else deal(n),
        "1 image has no split in it; --split set takes it, and leaves it out.",
        True,
    ),
    "subset": (lambda n: "train" if n % 2 or n < 16 else "test", "class b has 0 images of test in it, too few", False),
    "split": (
        lambda n: ("val", "test")[n < 20],
        "is not read: it says validation and test alone of the images that ha",
        False,
    ),
    "split,is_train": (lambda n: f"{deal(n)},{int(n < 24)}", "split says other splits: --split is_train takes t", True),
    "is_train,is_val": (
        lambda n: f"{int(n < 24)},{int(23 < n < 32)}",
        "is_val says other splits: write what both",
        True,
    ),
    "test": (
        lambda n: int(n > 31),
        "it may say what is for test, or something else of the images; --split test t",
        True,
    ),
    "is_test": (lambda n: ("", "1.0")[n > 31], "it says test alone of the images that have a label.", True),
}


@pytest.mark.parametrize(("header", "row", "why", "taken"), [(key, *NOT_TAKEN[key]) for key in NOT_TAKEN])
def test_a_column_of_splits_that_is_not_clear_is_not_taken_and_said(tmp_path, capsys, header, row, why, taken):
    of_splits(tmp_path / "mine", header, row)
    assert run(tmp_path / "mine")["dataset"]["table"]["split"] is None
    assert why in capsys.readouterr().out
    column = header.partition(",")[0]
    if taken:
        assert run(tmp_path / "mine", "--split", column)["dataset"]["table"]["split"] == column
    else:
        with pytest.raises(UserError):
            run(tmp_path / "mine", "--split", column)


def test_a_column_of_splits_that_parts_what_belongs_together_is_not_taken(tmp_path, capsys):
    of_splits(tmp_path / "mine", "set,patient", lambda n: f"{deal(n)},{'PQ'[n % 4 < 2]}{n // 4 % 5}")
    dataset = run(tmp_path / "mine")["dataset"]
    assert (dataset["table"]["split"], dataset["group"]) == (None, {"column": "patient"})
    said = "8 groups of what belongs together have images in several of its splits, such as P1; --split set --group no"
    assert said in capsys.readouterr().out
    assert run(tmp_path / "mine", "--group", "none")["dataset"]["table"]["split"] == "set"


@pytest.mark.parametrize(
    ("group", "why"),
    [
        ("(?P<group>[", "group.pattern: got '(?P<group>['; takes a regular expression (unterminated"),
        ("(?P<group", "group.pattern: got '(?P<group'; takes a regular expression (missing >"),
        ("patient", "--group: got patient; takes a column (set)"),
    ],
)
def test_a_wrong_group_beside_a_column_of_splits_is_one_line(tmp_path, group, why):
    of_splits(tmp_path / "mine", "set", deal)
    with pytest.raises(UserError, match=re.escape(why)):
        run(tmp_path / "mine", "--group", group)


def test_a_row_without_an_image_that_says_no_split_stops_nothing(tmp_path, capsys):
    of_splits(tmp_path / "mine", "set", deal)
    with (tmp_path / "mine/t.csv").open("a") as table:
        table.write("gone.png,a,trian\n")
    assert run(tmp_path / "mine")["dataset"]["table"]["split"] is None
    assert "The column set is not read: t.csv, line 42: got 'trian' in the column set" in capsys.readouterr().out


def test_a_rare_class_is_the_one_that_curves_are_of(tmp_path, capsys):
    shapes(tmp_path / "mine", [*twice("crack", count=4), *twice("sound", count=40)])
    assert run(tmp_path / "mine")["dataset"]["positive"] == "crack"
    assert "Curves are of crack, the rare one" in capsys.readouterr().out
    assert run(tmp_path / "mine", "--positive", "sound")["dataset"]["positive"] == "sound"
    assert run(tmp_path / "mine")["dataset"]["positive"] == "sound", "what was chosen stays"
    with pytest.raises(UserError, match="got SOUND; did you mean sound[?]"):
        start.main([str(tmp_path / "mine"), "--positive", "SOUND"])


@pytest.mark.parametrize("name", ["{}/a{:02}_1920x1080.png", "{}/DSC{:02}_1.png"])
def test_sizes_in_names_and_numbers_that_each_class_begins_are_no_subjects(tmp_path, name):
    shapes(tmp_path / "mine", [name.format(kind, number) for kind in ("cats", "dogs") for number in range(10)])
    assert run(tmp_path / "mine")["dataset"]["group"] is None


def test_numbers_are_in_their_order_and_equal_counts_are_said_once(tmp_path, capsys):
    shapes(tmp_path / "mine", twice(*map(str, range(14)), count=3))
    run(tmp_path / "mine", "--dry-run")
    assert "14 classes (0 3, 1 3, 2 3, …), of 3 images each" in capsys.readouterr().out


def test_16_bits_with_a_sign_are_16_bits(tmp_path, capsys):
    names = twice("cats", "dogs", count=4, ending=".tif")
    shapes(tmp_path / "mine", names)
    rng = np.random.default_rng(0)
    for name in names:
        values = rng.integers(-1000, 3000, (20, 20), dtype=np.int16)
        Image.fromarray(values.view(np.uint16)).save(tmp_path / "mine" / name, tiffinfo={339: 2})  # with a sign
        with Image.open(tmp_path / "mine" / name) as read:
            assert read.mode == "I"
    run(tmp_path / "mine", "--dry-run")
    assert "16 bits per channel" in capsys.readouterr().out


def test_the_command_starts_fast_and_without_tensorflow(tmp_path):
    cats_and_dogs(tmp_path / "mine")
    script = (
        "import sys; from headstart import start; start.main(sys.argv[1:])\n"
        "assert not {'tensorflow', 'keras'} & set(sys.modules)"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "mine"), "--dry-run"]
    done = subprocess.run(command, capture_output=True, text=True, env={"PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stderr


def test_a_run_after_it(project, monkeypatch):
    """From a folder outside of the project, with a space in its name, to a tested classifier."""
    monkeypatch.chdir(project.path)
    draw(Path("../my photos"), ["blue", "red"], count=20)
    kinds = ("split", "image", "backbone", "extract", "head", "augment", "fine_tune")
    small = {name: value for name, value in SMALL.items() if name.startswith(kinds)}
    project.edit("presets/photos.yaml", small | {"head.solver": "logistic"})
    project.commit("A small network")
    done = project.run("python", "-m", "headstart.start", "../my photos")
    whole = project.path.parent / "my photos"  # queued runs have other folders, from which .. leads elsewhere
    assert f"40 images in {whole}, their classes by the folders' names:" in done.stdout
    assert yaml12.read(Path("params.yaml"))["dataset"]["path"] == str(whole)
    project.repro("evaluate")
    counts = json.loads(Path("metrics/dataset.json").read_text())["counts"]
    assert counts == {split: {"blue": n, "red": n} for split, n in (("train", 10), ("validation", 5), ("test", 5))}
    assert json.loads(Path("metrics/test.json").read_text())["images"] == 10


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("answers", "group"),
    [(["y"], {"pattern": subjects.NUMBERED}), (["n"], None), ([""], {"pattern": subjects.NUMBERED})],
)
def test_it_asks_at_a_terminal(tmp_path, monkeypatch, answers, group):
    names = [f"{name}/{name[0]}{who}_{shot}.png" for name in ("cats", "dogs") for who in range(5) for shot in range(4)]
    shapes(tmp_path / "mine", names)
    asked = []
    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr("sys.stdout", Terminal())
    monkeypatch.setattr("builtins.input", lambda question: asked.append(question) or answers[len(asked) - 1])
    assert run(tmp_path / "mine")["dataset"]["group"] == group
    assert len(asked) == len(answers) and "10 subjects, such as c0" in asked[0]


def listed(folder: Path, names: list[str], **columns: list[str]) -> None:
    """Images of two classes, and a table of them with these columns more."""
    shapes(folder, names)
    rows = [",".join(["file", "label", *columns])]
    rows += [",".join([name, "ab"[n % 2], *(cells[n] for cells in columns.values())]) for n, name in enumerate(names)]
    (folder / "labels.csv").write_text("\n".join(rows))


def test_patients_in_folders_stay_together_with_a_table_too(tmp_path, capsys):
    """As CheXpert has them; the studies are numbered anew in each."""
    names = [f"patient{who:05}/study{shot // 2 + 1}/view{shot % 2}.png" for who in range(20) for shot in range(4)]
    listed(tmp_path / "mine", names)
    assert run(tmp_path / "mine")["dataset"]["group"] == {"folder": 0}
    printed = capsys.readouterr().out
    assert "In the folders at level 0 are 20 subjects, such as patient00000: what is of one stays together" in printed
    assert run(tmp_path / "mine", "--group", "none")["dataset"]["group"] is None


def test_subjects_that_are_too_few_are_said_and_can_be_taken_or_left(tmp_path, capsys):
    who = [str(n % 4) for n in range(40)]
    listed(tmp_path / "mine", twice("images", count=40), **{"Patient ID": who})
    assert run(tmp_path / "mine")["dataset"]["group"] is None
    assert (
        "In the column Patient ID are 4 subjects, such as 0: not taken, since class a has 2 of them, and takes 3, one "
        "each for train, validation and test; --group none leaves them.\n"
    ) in capsys.readouterr().out
    with pytest.raises(UserError, match="class a is of 2 groups, too few to be whole in"):
        run(tmp_path / "mine", "--group", "Patient ID")
    run(tmp_path / "mine", "--group", "none")
    assert "4 subjects" not in capsys.readouterr().out


def test_a_rare_class_of_a_published_split_has_an_image_in_validation(tmp_path):
    names = [*twice("train/good", count=40), *twice("train/bad", count=4), *twice("test/good", "test/bad", count=5)]
    shapes(tmp_path / "mine", names)
    assert round(4 * run(tmp_path / "mine")["split"]["validation"]) == 1


def test_copies_that_augmentation_made_stay_with_their_image(tmp_path, capsys):
    names = [
        f"{name}/{who}{end}.jpg" for name in ("cats", "dogs") for who in "abcdefgh" for end in ("", "_aug1", "_aug2")
    ]
    shapes(tmp_path / "mine", names)
    assert run(tmp_path / "mine")["dataset"]["group"] == {"pattern": subjects.COPIED}
    assert "are 16 subjects, such as cats/a: what is of one stays together" in capsys.readouterr().out


def test_subjects_in_another_table_are_said(tmp_path, capsys):
    shapes(tmp_path / "mine", twice("images", count=40))
    truth = "".join(f"{n:03},{n % 2}.0,{1 - n % 2}.0\n" for n in range(40))
    (tmp_path / "mine/truth.csv").write_text("image,MEL,NV\n" + truth)
    more = "".join(f"{n:03},{n % 7}0,L{n // 2}\n" for n in range(40))
    (tmp_path / "mine/metadata.csv").write_text("image,age,lesion_id\n" + more)
    assert run(tmp_path / "mine")["dataset"]["table"]["file"] == "truth.csv"
    said = "In the column lesion_id of metadata.csv are 20 subjects: it belongs into the table of the labels.\n"
    assert said in capsys.readouterr().out


def test_of_tables_that_contradict_each_other_one_can_be_named(tmp_path):
    rivals(tmp_path / "mine")
    assert run(tmp_path / "mine", "--table", "old.csv")["dataset"]["table"]["file"] == "old.csv"


def test_a_hidden_folder_is_said_where_nothing_is_found(tmp_path, capsys):
    hidden(tmp_path / "mine")
    with pytest.raises(UserError, match="only one class"):
        start.main([str(tmp_path / "mine")])
    assert "has 1 hidden folder with images" in capsys.readouterr().out


def test_kaggles_folder_of_tests_without_labels_is_no_class(tmp_path, capsys):
    shapes(tmp_path / "mine", [*twice("train/cat", "train/dog", between=".", count=10), *twice("test1", count=8)])
    assert run(tmp_path / "mine")["dataset"]["labels"] == "prefix"
    assert "20 images in" in (printed := capsys.readouterr().out) and "  cat  10\n  dog  10\n" in printed


def test_flags_answer_everything(tmp_path, monkeypatch):
    names = [f"{name}/{name[0]}{who}_{shot}.png" for name in ("cats", "dogs") for who in range(5) for shot in range(4)]
    shapes(tmp_path / "mine", names)
    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr("sys.stdout", Terminal())
    values = run(tmp_path / "mine", "--yes", "--group", r"/(?P<group>\w+)_", "--classes", "dogs,cats", "--seed", "7")
    assert values["dataset"]["group"] == {"pattern": r"/(?P<group>\w+)_"}
    assert values["dataset"]["classes"] == ["dogs", "cats"]
    assert values["seed"] == values["split"]["seed"] == 7


REAL = {
    "trashnet_2527.zip": ({"labels": "folders", "group": None}, {"cardboard": 403, "trash": 137}),
    "cats_dogs_4000.zip": ({"labels": "prefix", "group": None}, {"cat": 2000, "dog": 2000}),
    "omniglot_scripts_4840.zip": (
        {"labels": "table", "group": {"column": "writer"}, "table": {"file": "scripts.csv", "label": "script"}},
        {"Korean": 800},
    ),
}


@pytest.mark.real
@pytest.mark.parametrize("name", REAL)
def test_real_images_are_read_as_they_are_meant(shared, name, capsys):
    dataset, counts = REAL[name]
    now = run(shared / "data" / name)["dataset"]
    printed = capsys.readouterr().out
    for key, value in dataset.items():
        assert now[key] == value if key != "table" else value.items() <= now[key].items()
    assert all(re.search(rf"^  {label} +{count:,}$", printed, re.MULTILINE) for label, count in counts.items())


def test_options_of_make_are_parted_as_a_shell_would_and_run_nothing():
    arguments = ["--options=--yes --pattern '(?P<label>a b)' --group \"$(touch acted)\"", "--", "-photos"]
    options = start._options(arguments)
    assert (options.yes, options.pattern, options.group, options.path) == (
        True,
        "(?P<label>a b)",
        "$(touch acted)",
        "-photos",
    )
    assert not Path("acted").exists()
    with pytest.raises(UserError, match="--options: got --group 'x .No closing quotation.: close its quotes"):
        start.main(["--options=--group 'x", "photos"])
