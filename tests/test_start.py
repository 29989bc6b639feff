"""`start` finds how images are labelled and what they are like, and sets params.yaml for them; nothing else changes."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image

from headstart import start
from headstart.base import params, yaml12


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A project's folder, under Git, without its code."""
    project = tmp_path / "project"
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
    "subjects below the classes": (
        twice("cats/P1", "cats/P2", "cats/P3", "dogs/P4", "dogs/P5", "dogs/P6", count=5),
        {},
        {"labels": "folders", "group": {"folder": -1}},
    ),
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
        expected = {name: f"my images/{value}" if name == "table.file" else value for name, value in expected.items()}
    dataset = run(path)["dataset"]
    assert dataset["path"] == str(path) and dataset["source"] is None and dataset["classes"] is None
    flat = dataset | {f"table.{name}": value for name, value in dataset["table"].items()}
    assert {name: flat[name] for name in ("group", *expected)} == {"group": None, **expected}


def test_a_path_inside_the_project_is_written_relative_to_it():
    shapes(Path("data/mine"), twice("cats", "dogs"))
    assert run(Path("data/mine").absolute())["dataset"]["path"] == "data/mine"
    shapes(Path("../outside"), twice("cats", "dogs"))
    assert run("../outside/")["dataset"]["path"] == "../outside"


def test_a_table_may_be_named_itself(tmp_path):
    names = twice("a", "b")
    shapes(tmp_path / "mine", names)
    rows = "".join(f"{name},{'yes' if number % 2 else 'no'}\n" for number, name in enumerate(names))
    (tmp_path / "mine/second.csv").write_text("file,verdict\n" + rows)
    assert run(tmp_path / "mine")["dataset"]["labels"] == "folders"
    dataset = run(tmp_path / "mine/second.csv")["dataset"]
    assert dataset["path"] == str(tmp_path / "mine")
    assert (dataset["labels"], dataset["table"]["label"]) == ("table", "verdict")


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
    Image.fromarray(np.full((300, 400), 40_000, np.uint16)).save(mine / "dogs/deep.png")
    shutil.copy(mine / "cats/000.png", mine / "cats/again.png")
    (mine / "dogs/cut.png").write_bytes((mine / "dogs/000.png").read_bytes()[:100])
    (mine / "notes.pdf").write_bytes(b"%PDF")
    run(mine, "--dry-run")
    printed = capsys.readouterr().out
    assert "44 images in" in printed and "  cats  22\n  dogs  22\n" in printed
    assert "20x16 in the middle, 20x16 to 400x300 pixels; colour (41), grey (2); 8 bits (42), 16 bits (1)" in printed
    assert "1 image of them cannot be read: dogs/cut.png (truncated)" in printed
    assert "1 file is an exact copy of another, such as cats/again.png of cats/000.png" in printed
    assert "1 file left out: notes.pdf (not the file name of an image)" in printed
    assert re.search(r"`make repro` takes about \d+ minutes?, [\d.]+ [MG]B of memory and [\d.]+ [MG]B of disk", printed)


@pytest.mark.parametrize(
    ("names", "mirrored"),
    [
        (twice("cats", "dogs"), True),
        (twice("left", "right"), False),
        (twice("turn_left", "straight"), False),
        (twice("TurnRight", "Straight"), False),
        (twice("bright", "dark"), True),
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
    recipe = yaml12.read(start.RECIPE)["fine_tune"]["epochs"]
    assert epochs[0] == epochs[1] == 3 * recipe and epochs[1] > epochs[2] > epochs[3]


def test_a_rare_class_has_an_image_in_each_split(tmp_path):
    shapes(tmp_path / "mine", [*twice("good", count=1200), *twice("bad", count=3)])
    split = run(tmp_path / "mine")["split"]
    assert round(3 * split["validation"]) == round(3 * split["test"]) == 1
