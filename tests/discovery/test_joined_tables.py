"""Tables that say of an image only together what it is and which split it is of are written into one."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image

from headstart.base import yaml12
from headstart.base.errors import UserError
from headstart.base.params import Split
from headstart.discovery import joining, labelling, splits
from headstart.discovery.reading import Layout

BIRDS = ["001.Albatross", "002.Auk of the sea", "003.Wren"]


def images(folder: Path, names: list[str]) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(folder / name)


def write(file: Path, lines: list[str], end: str = "\n") -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes("".join(line + end for line in lines).encode())


def section(folder: Path) -> dict:
    return yaml12.read(ROOT / "params.yaml")["dataset"] | {"path": str(folder), "source": None, "classes": None}


def joined(folder: Path) -> tuple[Layout, str | int | None]:
    """What is found by the table that is written, and its column of splits that can be taken."""
    joining.write(section(folder), {}, "joined.csv")
    (layout, *_), _ = labelling.find_layouts(section(folder), {"table": "joined.csv"})
    sizes = Split(**yaml12.read(ROOT / "params.yaml")["split"])
    column, _ = splits.find(layout, section(folder), sizes, lambda: None)
    return (layout if column is None else splits.take(layout, section(folder), column)), column


def counted(layout: Layout) -> dict[tuple[str, str | None], int]:
    found = [(item.label, item.split) for item in layout.items]
    return {key: found.count(key) for key in sorted(set(found))}


def birds(folder: Path, paths: list[str], end: str = "\n", delimiter: str = " ") -> None:
    """CUB-200-2011's tables of so many images, every tenth of which is a wren."""
    labels = [3 if n % 10 == 9 else n % 2 + 1 for n in range(len(paths))]
    images(folder, [f"images/{path}" for path in paths])
    write(folder / "images.txt", [f"{n + 7}{delimiter}{path}" for n, path in enumerate(paths)], end)
    write(folder / "image_class_labels.txt", [f"{n + 7}{delimiter}{label}" for n, label in enumerate(labels)], end)
    write(folder / "train_test_split.txt", [f"{n + 7}{delimiter}{int(n % 4 < 2)}" for n in range(len(paths))], end)
    write(folder / "classes.txt", [f"{n}{delimiter}{name}" for n, name in enumerate(BIRDS, 1)], end)
    write(folder / "bounding_boxes.txt", [f"{n + 7} 60.0 27.0 {n}.0" for n in range(len(paths))], end)


@pytest.mark.parametrize(("end", "delimiter"), [("\n", " "), ("\r\n", "\t"), ("\n", ",")])
def test_tables_that_belong_together_by_numbers_are_joined(tmp_path, capsys, end, delimiter):
    birds(tmp_path, [f"bird {3 * n:03}.png" for n in range(40)], end, delimiter)
    found, (reason, *_) = labelling.find_layouts(section(tmp_path), {})
    together = "images.txt, image_class_labels.txt, train_test_split.txt and classes.txt"
    assert found == [] and reason.meant
    assert str(reason) == (
        f"{together}: belong together by the numbers that they give images: --join joined.csv writes one table of them"
    )
    layout, column = joined(tmp_path)
    assert column == "split" and counted(layout) == {
        ("001.Albatross", "test"): 10,
        ("001.Albatross", "train"): 10,
        ("002.Auk of the sea", "test"): 8,
        ("002.Auk of the sea", "train"): 8,
        ("003.Wren", "test"): 2,
        ("003.Wren", "train"): 2,
    }
    assert "images/bird 027.png,003.Wren,train\n" in (tmp_path / "joined.csv").read_text()
    said = f"joined.csv: written, of {together.replace(' and ', ', ')} (1: train, 0: test).\n"
    printed = capsys.readouterr().out
    assert said in printed and "Not read" not in printed
    labelling.find_layouts(section(tmp_path), {})
    assert capsys.readouterr().out == "", "once the table is there"


def test_what_does_not_belong_together_clearly_is_not_joined(tmp_path):
    birds(folder := tmp_path / "one", [f"{n + 1}.png" for n in range(40)])
    shutil.copy(folder / "image_class_labels.txt", folder / "other_labels.txt")
    assert labelling.joined_in(str(folder)) is None, "either may have the labels"
    (folder / "other_labels.txt").unlink()
    assert labelling.joined_in(str(folder)).labels["images/1.png"] == "001.Albatross", "7 is not 7.png, but 1.png"
    write(folder / "image_class_labels.txt", [f"{n} 1" for n in range(40)])
    assert labelling.joined_in(str(folder)) is None, "of other numbers"
    images(folder := tmp_path / "two", [f"{n:02}.png" for n in range(40)])
    write(folder / "images.csv", [f"{n},{n:02}.png" for n in range(40)])
    write(folder / "labels.csv", [f"{n},{'ab'[n % 2]}" for n in range(40)])
    assert labelling.joined_in(str(folder)) is None
    assert labelling.find_layouts(section(folder), {})[0][0].settings["table"]["file"] == "labels.csv", "by itself"


def test_labels_of_other_images_are_joined_with_those_of_folders(tmp_path):
    """As Tiny ImageNet has them."""
    kinds = ["n01443537", "n01629819"]
    images(tmp_path, [f"train/{kind}/images/{kind}_{n}.png" for kind in kinds for n in range(20)])
    images(tmp_path, [f"val/images/val_{n}.png" for n in range(12)])
    rows = [f"val_{n}.png\t{kinds[n % 2]}\t0\t32\t44\t{n}" for n in range(12)]
    write(tmp_path / "val/val_annotations.txt", rows, "\r\n")
    (layout, *_), _ = labelling.find_layouts(section(tmp_path), {})
    assert "put each into the folder of its class, or --join joined.csv writes one table of both.\n" in layout.notes
    layout, _ = joined(tmp_path)
    assert counted(layout) == {(kind, part): n for kind in kinds for part, n in (("train", 20), ("validation", 6))}


def test_lists_of_splits_are_joined_with_the_labels_of_folders(tmp_path, capsys):
    """As Food-101 has them."""
    names = [f"images/{kind}/{n}.png" for kind in ("pie", "ramen") for n in range(20)]
    images(tmp_path, names)
    for split, part in (("train", names[::2] + names[1::4]), ("test", [*names[3::4], names[0]])):
        write(tmp_path / f"meta/{split}.txt", [re.sub("images/|.png", "", name) for name in part])
    labelling.find_layouts(section(tmp_path), {})
    said = "or in a table with a column of splits: --join joined.csv writes one.\n"
    assert said in capsys.readouterr().out
    joining.write(section(tmp_path), {}, "other.csv")
    assert capsys.readouterr().out == (
        f"{tmp_path}/other.csv: written, of the folders' names, meta/test.txt, meta/train.txt.\n"
        "1 image in two splits, such as images/pie/0.png: left out.\n"
    )
    (tmp_path / "other.csv").unlink()
    layout, column = joined(tmp_path)
    assert column == "split"
    assert counted(layout) == {("pie", "test"): 5, ("pie", "train"): 14, ("ramen", "test"): 5, ("ramen", "train"): 15}


@pytest.mark.parametrize(("column", "cells"), [("split", ["dev", "train"]), ("is_train", ["0.0", "1.0"])])
def test_a_table_of_splits_is_joined_with_the_labels_of_folders(tmp_path, capsys, column, cells):
    names = [f"{kind}/{n}.png" for kind in ("pie", "ramen") for n in range(20)]
    images(tmp_path, names)
    rows = [f"{name};{100 + at};{cells[at % 4 > 0]}" for at, name in enumerate([*names, "pie/99.png"])]
    write(tmp_path / "splits.csv", [f"image;width;{column}", *rows], "\r\n")
    labelling.find_layouts(section(tmp_path), {})
    assert capsys.readouterr().out.startswith("Not read: splits.csv, which says the images' splits.")
    layout, taken = joined(tmp_path)
    part = "validation" if column == "split" else "test"
    assert taken == "split"
    assert counted(layout) == {(kind, split): n for kind in ("pie", "ramen") for split, n in ((part, 5), ("train", 15))}
    assert "splits.csv: 1 image not found, such as pie/99.png: left out.\n" in capsys.readouterr().out


@pytest.mark.parametrize(("number", "marks"), [('"{}"', ["False", "True"]), ("{}.0", ["0.0", "1.0"]), ("{}", "01")])
def test_tables_that_belong_together_may_have_quotes_and_floating_point_numbers(tmp_path, capsys, number, marks):
    birds(tmp_path, paths := [f"bird {3 * n:03}.png" for n in range(40)], delimiter=",")
    cell = '"{}"' if '"' in number else "{}"
    for file, cells in (
        ("images", paths),
        ("image_class_labels", [number.format(n % 2 + 1) for n in range(40)]),
        ("train_test_split", [marks[n % 4 < 2] for n in range(40)]),
    ):
        rows = [f"{number.format(n + 7)},{cell.format(text.strip(chr(34)))}" for n, text in enumerate(cells)]
        write(tmp_path / f"{file}.txt", rows, "\r\n")
    layout, column = joined(tmp_path)
    kinds, ones = BIRDS[:2], marks[1].removesuffix(".0")
    assert column == "split" and counted(layout) == {(kind, part): 10 for kind in kinds for part in ("test", "train")}
    assert f"({ones}: train, {marks[0].removesuffix('.0')}: test)" in capsys.readouterr().out


def test_where_nothing_says_splits_the_table_has_no_column_of_them(tmp_path, capsys):
    birds(tmp_path, [f"bird {n}.png" for n in range(40)])
    (tmp_path / "train_test_split.txt").unlink()
    (tmp_path / "images/bird 7.png").unlink()
    layout, column = joined(tmp_path)
    assert (layout.columns, column, len(layout.items)) == ({}, None, 39)
    assert "images.txt: 1 image not found, such as bird 7.png: left out.\n" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["joined.txt", "meta/joined.csv", "there.csv"])
def test_a_table_is_written_where_none_is(tmp_path, name):
    birds(tmp_path, [f"bird {n}.png" for n in range(40)])
    write(tmp_path / "there.csv", ["a,b"])
    with pytest.raises(UserError, match=f"--join: got {name}; takes a name that ends in .csv and that no file in"):
        joining.write(section(tmp_path), {}, name)


def test_a_zip_is_to_be_unpacked_and_what_is_one_already_is_left(tmp_path):
    birds(tmp_path / "birds", [f"bird {n}.png" for n in range(40)])
    packed = shutil.make_archive(str(tmp_path / "birds"), "zip", tmp_path / "birds")
    with pytest.raises(UserError, match="--join: .*birds.zip is no folder, so nothing is written into it: unpack it"):
        joining.write(section(Path(packed)), {}, "joined.csv")
    images(tmp_path / "plain", [f"{kind}/{n}.png" for kind in ("cats", "dogs") for n in range(20)])
    with pytest.raises(UserError, match="--join: nothing in .*plain is to be joined: leave it out"):
        joining.write(section(tmp_path / "plain"), {}, "joined.csv")
