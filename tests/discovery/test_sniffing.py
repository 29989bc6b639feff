"""Files beside the images that are no table of labels cost no time, and are said."""

from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image

from headstart.base import yaml12
from headstart.base.errors import UserError
from headstart.discovery import labelling, sniffing
from headstart.images.archive import _Folder
from headstart.labels import matching

BOXES = "0 0.50 0.50 0.10 0.20\n1 0.25 0.75 0.30 0.30\n"


def images(folder: Path, names: list[str]) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(folder / name)


def found(folder: Path, **only):
    dataset = yaml12.read(ROOT / "params.yaml")["dataset"]
    return labelling.find_layouts(
        dataset | {"path": str(folder), "source": None, "sha256": None, "classes": None}, only
    )


def names(count: int) -> list[str]:
    return [f"{kind}/{number:03}.png" for kind in ("cats", "dogs") for number in range(count)]


@pytest.mark.parametrize("place", ["{}.txt", "{}.png.txt", "boxes/{}.txt"], ids=["beside", "both endings", "elsewhere"])
def test_a_file_for_each_image_is_not_looked_into(tmp_path, monkeypatch, capsys, place):
    images(tmp_path, names(20))
    for name in names(20):
        path = tmp_path / place.format(name.removesuffix(".png"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(BOXES)
    read, keys = [], []
    plain = _Folder.read, sniffing.key
    monkeypatch.setattr(_Folder, "read", lambda self, name: read.append(name) or plain[0](self, name))
    monkeypatch.setattr(sniffing, "key", lambda name: keys.append(name) or plain[1](name))
    layouts, reasons = found(tmp_path)
    assert layouts[0].settings == {"labels": "folders"} and read == [] and len(keys) < 10 * 80
    assert not [reason for reason in reasons if ".txt" in str(reason)]
    example = place.format("cats/000")
    assert capsys.readouterr().out == (
        f"40 files with the name of an image each, such as {example}, are passed over; --table takes one.\n"
    )


def test_one_of_them_is_read_where_it_is_given(tmp_path, capsys):
    images(tmp_path, [f"{number:03}.png" for number in range(20)])
    rows = "".join(f"{number:03}.png,{'ab'[number % 2]}\n" for number in range(20))
    for name in ("000.csv", "001.csv"):
        (tmp_path / name).write_text("file,label\n" + rows)
    layouts, _ = found(tmp_path, table="000.csv")
    assert layouts[0].settings["table"]["file"] == "000.csv"
    assert found(tmp_path)[0] == [] and "2 files with the name" in capsys.readouterr().out


def test_a_single_table_may_have_the_name_of_an_image(tmp_path, capsys):
    images(tmp_path, [*(f"images/{number:03}.png" for number in range(20)), "labels.png"])
    rows = "".join(f"{number:03}.png,{'ab'[number % 2]}\n" for number in range(20))
    (tmp_path / "labels.csv").write_text("file,label\n" + rows)
    assert found(tmp_path)[0][0].settings["labels"] == "table" and capsys.readouterr().out == ""


@pytest.mark.parametrize("text", ["photo,says\nscan {0},a cat\nscan {0},{0}\n", BOXES], ids=["words", "boxes"])
def test_many_tables_that_name_no_image_are_each_compared_with_few(tmp_path, monkeypatch, text):
    """Not with all: of 60,000 files for 60,000 images that would take hours."""
    images(tmp_path, [f"x/a{number:03}.png" for number in range(60)])
    for number in range(60):
        (tmp_path / f"x/notes on {number}.txt").write_text(text.format(number))
    compared, plain = [], matching.by_number
    monkeypatch.setattr(matching, "by_number", lambda cells, names: compared.append(len(names)) or plain(cells, names))
    monkeypatch.setattr(matching, "match", lambda *arguments: pytest.fail("all images were looked up"))
    found(tmp_path)
    assert max(compared) < 10


def test_tables_by_number_are_found_as_before():
    paths = ["x/scan_001.png", "x/scan_002.png", "y/2.png", "y/without.png"]
    index = sniffing.index(paths)
    for cells in (["1"], ["0001"], ["2"], ["scan 1"], ["http://a/b%202/scan%20001.jpg"], ["without"], ["3", "1"]):
        assert matching.by_number(cells, index.numbered(cells)) == matching.by_number(cells, paths)
    assert matching.by_number(["1"], index.numbered(["1"]))


def test_a_missing_table_is_an_error_that_names_one(tmp_path):
    images(tmp_path, names(3))
    (tmp_path / "cats/000.txt").write_text(BOXES)
    with pytest.raises(UserError, match="--table: cats/00.txt is no table in the source; did you mean cats/000.txt"):
        found(tmp_path, table="cats/00.txt")


def test_the_line_by_which_excel_is_told_the_delimiter_is_no_header(tmp_path):
    images(tmp_path, [f"{number:03}.png" for number in range(40)])
    rows = [f"{number:03}.png;{'ab'[number % 2]}" for number in range(40)]
    (tmp_path / "labels.csv").write_text("\n".join(["sep=;", "file;kind", *rows]))
    table = found(tmp_path)[0][0].settings["table"]
    assert (table["delimiter"], table["header"], table["image"], table["label"]) == (";", True, "file", "kind")
