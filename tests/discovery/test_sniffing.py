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


def test_names_are_not_guessed_at_where_folders_tell_the_classes(tmp_path, monkeypatch):
    images(tmp_path, names(20))
    tried, plain = [], labelling.layouts.find_images
    monkeypatch.setattr(
        labelling.layouts, "find_images", lambda source, section: tried.append(section.labels) or plain(source, section)
    )
    assert found(tmp_path)[0][0].settings == {"labels": "folders"}
    assert "pattern" not in tried


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
    monkeypatch.setattr(matching, "by_number", lambda *of: compared.append(len(of[1])) or plain(*of))
    monkeypatch.setattr(matching, "match", lambda *arguments: pytest.fail("all images were looked up"))
    found(tmp_path)
    assert max(compared) < 10


def test_tables_by_number_are_found_as_before():
    paths = ["x/scan_001.png", "x/scan_002.png", "y/2.png", "y/without.png"]
    index = sniffing.index(paths)
    for cells in (["1"], ["0001"], ["2"], ["scan 1"], ["http://a/b%202/scan%20001.jpg"], ["without"], ["3", "1"]):
        assert matching.by_number(cells, index.numbered(cells), "t.csv") == matching.by_number(cells, paths, "t.csv")
    assert matching.by_number(["1"], index.numbered(["1"]), "t.csv")


def test_tables_of_splits_that_number_their_images_anew_are_found_by_number(tmp_path):
    for split, count in (("train", 20), ("test", 10)):
        images(tmp_path, [f"{split}/scan_{number:03}.png" for number in range(count)])
        rows = "".join(f"{number},{'ab'[number % 2]}\n" for number in range(count))
        (tmp_path / f"{split}.csv").write_text("id,label\n" + rows)
    (layout,), _ = found(tmp_path)
    assert layout.settings["table"]["file"] == ["train.csv", "test.csv"]
    assert [item.split for item in layout.items] == ["test"] * 10 + ["train"] * 20


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


def table(folder: Path, text: str, count: int = 40, **only):
    """What is made of labels.csv beside so many images: the first layout, or None, and the reasons."""
    images(folder, [f"{number}.png" for number in range(count)])
    (folder / "labels.csv").write_text(text)
    layouts, reasons = found(folder, **only)
    return (layouts[0] if layouts else None), [str(reason) for reason in reasons]


ROWS = "".join(f"{number}.png,{'ab'[number % 2]}\n" for number in range(40))
HEADS = {
    "a title": ("Survey 2021\n\n", ""),
    "a title as Excel writes it": ("Survey,\nby me,2021\n,\n", "Sum,40\n"),
    "a legend": ("Label,Meaning\na,ant\nb,bee\n\n", ""),
    "comments": ("# by me, 2021\n# version 3\n#\n", ""),
    "many lines": ("".join(f"note {number}\n" for number in range(20)), "\nnotes below\n\n40 images"),
}


@pytest.mark.parametrize(("above", "below"), HEADS.values(), ids=HEADS)
def test_a_table_is_found_below_a_title_and_above_a_footer(tmp_path, above, below):
    layout, _ = table(tmp_path, f"{above}file,label\n{ROWS}{below}")
    section = layout.settings["table"]
    assert (section["image"], section["label"], section["header"], len(layout.items)) == ("file", "label", True, 40)
    assert "labels.csv: " in layout.notes and "passed over" in layout.notes


@pytest.mark.parametrize(
    "above", ["#Image CLASS-ID\n#ID: 1:37 Class ids\n#all of them\n", "# image label\n", "40\nx\n"]
)
def test_comments_above_rows_without_a_header_are_none(tmp_path, above):
    layout, _ = table(tmp_path, above + ROWS.replace(",", " "))
    assert (layout.settings["table"]["header"], len(layout.items)) == (False, 40)
    assert [entry.path for entry in layout.left_out] == []


@pytest.mark.parametrize("header", ["file,label", "file,label,", "file,label,,"])
def test_delimiters_at_the_ends_of_rows_make_no_columns(tmp_path, header):
    layout, _ = table(tmp_path, header + "\n" + ROWS.replace("\n", ",\n"))
    section = layout.settings["table"]
    assert (section["image"], section["label"], layout.columns, len(layout.items)) == ("file", "label", {}, 40)


def test_rows_may_lack_the_empty_cells_at_their_ends(tmp_path):
    rows = "".join(f"{number}.png,{'ab'[number % 2]}{',blurred' * (number % 3 == 0)}\n" for number in range(40))
    layout, _ = table(tmp_path, f"file,label,note\n{rows}")
    assert (layout.settings["table"]["label"], len(layout.items), list(layout.columns)) == ("label", 40, ["note"])


def test_a_first_row_of_a_number_and_a_label_is_no_header(tmp_path):
    """Where ids are found by their numbers alone."""
    images(tmp_path, [f"scan_{number:03}.png" for number in range(40)])
    rows = "".join(f"{number},{'ab'[number % 2]}\n" for number in range(40))
    for header in ("", "id,label\n"):
        (tmp_path / "labels.csv").write_text(header + rows)
        layout = found(tmp_path)[0][0]
        assert (layout.settings["table"]["header"], len(layout.items)) == (bool(header), 40)


def test_a_header_that_comes_back_where_files_were_put_together_is_one(tmp_path):
    layout, _ = table(tmp_path, f"file,label\n{ROWS}file,label\n")
    assert layout.settings["table"]["header"] is True


def test_a_sentence_about_classes_is_no_header(tmp_path):
    """As above Oxford-IIIT Pet's list.txt."""
    rows = "".join(f"{n} {'12'[n % 2]} 1 {n % 3}\n" for n in range(40))
    layout, _ = table(tmp_path, "#Image CLASS-ID SPECIES BREED ID\n#ID: 1:37 Class ids\n" + rows, label="1")
    assert (layout.settings["table"]["header"], layout.settings["table"]["label"]) == (False, 1)
    assert table(tmp_path / "unasked", "#ID: 1:37 Class ids\n" + rows)[0].sure is False


def test_tables_of_splits_of_the_same_images_are_said(tmp_path):
    rows = [f"{number} {'ab'[number % 2]} 1\n" for number in range(40)]
    (tmp_path / "trainval.txt").write_text("".join(rows[:20]))
    (tmp_path / "test.txt").write_text("".join(rows[20:]))
    images(tmp_path, [f"{number}.png" for number in range(40)])
    (tmp_path / "list.txt").write_text("".join(rows))
    layouts, _ = found(tmp_path, label="1")
    assert len(layouts) == 1 and layouts[0].settings["table"]["file"] == "list.txt"
    said = "trainval.txt and test.txt fix splits of these images, and are not read: --table trainval.txt,test.txt takes"
    assert said in layouts[0].notes


def test_a_header_that_is_a_comment_is_one(tmp_path):
    layout, _ = table(tmp_path, f"#file,label\n{ROWS}")
    assert (layout.settings["table"]["image"], layout.sure, len(layout.items)) == ("#file", True, 40)


@pytest.mark.parametrize("name", ["list_eval_partition.txt", "train_test_split.txt", "folds.csv"])
def test_the_numbers_of_splits_are_no_classes(tmp_path, name):
    """As CelebA and CUB have them."""
    images(tmp_path, [f"{number}.png" for number in range(40)])
    (tmp_path / name).write_text("".join(f"{number}.png {number % 3}\n" for number in range(40)))
    layouts, reasons = found(tmp_path)
    assert layouts == [] and "has the numbers of splits or folds" in str(reasons[0])
    (tmp_path / name).rename(tmp_path / "train_split.txt")
    assert len(found(tmp_path)[0][0].items) == 40


def test_a_table_of_all_images_may_tell_more_than_folders_of_one_kind(tmp_path):
    paths = [f"site{number % 3}/images/{number}.png" for number in range(40)]
    images(tmp_path, paths)
    rows = "".join(f"{number}.png,{'ab'[number % 2]},{number}\n" for number in range(40))
    (tmp_path / "t.csv").write_text("file,finding,age\n" + rows)
    (first, *others), _ = found(tmp_path)
    assert (first.settings["labels"], first.sure) == ("table", False)
    assert [other.settings.get("pattern") for other in others] == ["(.*/)?(?P<label>[^/]+)/(images)/[^/]+"]


def test_a_column_of_folds_is_no_label(tmp_path):
    rows = "".join(f"{number}.png,{number % 5},{'ab'[number % 2]}\n" for number in range(40))
    for name in ("kfold", "fold", "Fold_id", "cv_fold", "split 1"):
        layout, _ = table(tmp_path, f"file,{name},sort\n{rows}")
        assert layout.settings["table"]["label"] == "sort"


def test_columns_of_true_and_false_are_a_class_each(tmp_path):
    rows = "".join(f"{number}.png,{','.join(str(number % 3 == kind) for kind in range(3))}\n" for number in range(40))
    layout, _ = table(tmp_path, f"file,a,b,c\n{rows}")
    assert (layout.settings["table"]["label"], layout.counts) == (["a", "b", "c"], {"a": 14, "b": 13, "c": 13})


@pytest.mark.parametrize("name", ["choice", "Klasse", "category_name", "Label ID"])
def test_a_column_is_known_as_the_label_by_its_name(tmp_path, name):
    rows = "".join(f"{number}.png,{number // 20},{'ab'[number % 2]}\n" for number in range(40))
    layout, _ = table(tmp_path, f"file,annotator,{name}\n{rows}")
    assert (layout.settings["table"]["label"], layout.sure) == (name, True)


def test_a_column_without_a_name_is_known_by_its_number(tmp_path):
    """As pandas writes its index."""
    rows = "".join(f"{number},{number},{'ab'[number % 2]}\n" for number in range(40))
    layout, _ = table(tmp_path, ",id,label\n" + rows)
    assert (layout.settings["table"]["image"], layout.settings["table"]["label"]) == ("id", "label")
    layout, _ = table(tmp_path, ",label\n" + "".join(f"{number},{'ab'[number % 2]}\n" for number in range(40)))
    assert (layout.settings["table"]["image"], len(layout.items)) == (0, 40)


def test_rows_of_nothing_at_the_end_are_no_rows(tmp_path, capsys):
    rows = "".join(f"{number}.png;{'ab'[number % 2]};{number % 2};{1 - number % 2}\n" for number in range(40))
    layout, _ = table(tmp_path, "file;label;A;B\n" + rows + ";;;\n" * 60)
    assert (len(layout.items), [entry.path for entry in layout.left_out]) == (40, [])


def test_numbers_of_images_in_the_first_row_are_no_header(tmp_path):
    layout, _ = table(tmp_path, "".join(f"{number},{'ab'[number % 2]}\n" for number in range(40)))
    assert layout.settings["table"]["header"] is False and len(layout.items) == 40
    head = "image," + ",".join(map(str, range(3))) + "\n"
    rows = "".join(f"{number},{','.join('01'[number % 3 == kind] for kind in range(3))}\n" for number in range(40))
    layout, _ = table(tmp_path, head + rows)
    assert layout.settings["table"]["label"] == ["0", "1", "2"]
    layout, _ = table(tmp_path, head + rows, label="0,1,2", image="image")
    assert layout.counts == {"0": 14, "1": 13, "2": 13}


def test_numbers_with_a_zero_behind_the_point_are_those_of_images(tmp_path, capsys):
    layout, _ = table(tmp_path, "id,label\n" + "".join(f"{number}.0,{'ab'[number % 2]}\n" for number in range(40)))
    assert len(layout.items) == 40 and "40 rows of labels.csv name images by number" in layout.notes


def test_several_rows_for_an_image_are_said_to_be_the_reason(tmp_path):
    rows = "".join(f"{number}.png,{'ab'[box % 2]},{box}\n" for number in range(40) for box in range(4))
    assert table(tmp_path, "filename,class,xmin\n" + rows)[1][0] == (
        "labels.csv: names an image in several rows of the column filename, as for boxes in it: give it one row"
    )


def test_a_folder_in_a_column_of_its_own_is_said_to_be_the_reason(tmp_path):
    images(tmp_path, [f"s{place}/{number}.png" for place in range(4) for number in range(10)])
    rows = "".join(f"s{place},{number},{'ab'[number % 2]}\n" for place in range(4) for number in range(10))
    (tmp_path / "t.csv").write_text("site,file,label\n" + rows)
    assert str(found(tmp_path)[1][0]) == (
        "t.csv: has the folder of an image in the column site and its file in file: write both into one, as s0/0"
    )


def test_a_file_of_far_more_rows_than_images_is_not_read(tmp_path):
    assert "has 4,000 lines for 40 images, too many" in table(tmp_path, "1 2 3\n" * 4000)[1][0]


def test_a_probability_that_is_missing_is_no_traceback(tmp_path):
    rows = "".join(f"{number}.png,{'0.25,0.75' if number % 2 else '0.6,0.4'}\n" for number in range(39))
    layout, _ = table(tmp_path, "file,a,b\n" + rows + "39.png,N/A,N/A\n")
    assert layout is None or len(layout.items) == 39


def test_a_form_to_be_filled_in_is_passed_over(tmp_path, capsys):
    rows = "".join(f"{number}.png,{'ba'[number % 2]}\n" for number in range(15, 40))
    (tmp_path / "sample_submission.csv").write_text("file,label\n" + rows)
    layout, _ = table(tmp_path, "file,label\n" + "".join(f"{number}.png,{'ab'[number % 2]}\n" for number in range(15)))
    assert (layout.settings["table"]["file"], len(layout.items)) == ("labels.csv", 15)
    assert "sample_submission.csv is passed over" in capsys.readouterr().out


def test_tables_that_have_an_image_each_of_the_others_lack_are_said(tmp_path):
    (tmp_path / "val.csv").write_text("file,label\n" + "".join(f"{n}.png,{'ab'[n % 2]}\n" for n in range(34, 40)))
    layout, _ = table(tmp_path, "file,label\n" + "".join(f"{number}.png,{'ab'[number % 2]}\n" for number in range(34)))
    assert layout.notes == (
        "val.csv: labels of 6 other images, by the same columns. One table is read: to use all of them, put their rows "
        "into one.\n"
    )


def test_lists_of_splits_are_said(tmp_path, capsys):
    images(tmp_path, names(20))
    (tmp_path / "meta").mkdir()
    for split, part in (("train", names(20)[:30]), ("test", names(20)[30:])):
        (tmp_path / f"meta/{split}.txt").write_text("".join(f"{name.removesuffix('.png')}\n" for name in part))
    found(tmp_path)
    assert "Not read: meta/test.txt and meta/train.txt, which say the images' splits." in capsys.readouterr().out


def test_a_column_that_says_splits_is_none_of_labels_whatever_its_name(tmp_path):
    rows = "".join(f"{('TRAIN', 'TEST')[n % 4 == 0]},gs://b/{n}.png,{'ab'[n % 2]}\n" for n in range(40))
    layout, _ = table(tmp_path, rows)
    assert (layout.settings["table"]["label"], sniffing.split_columns(layout.columns)) == (2, [0])


def test_another_column_of_labels_is_known_where_it_says_something_else(tmp_path):
    rows = "".join(f"{n}.png,{'abc'[n % 3]},{n % 3},{int(n % 3 == 0)}\n" for n in range(40))
    layout, _ = table(tmp_path, "file,diagnosis,class_id,target\n" + rows)
    assert (layout.settings["table"]["label"], layout.other_labels()) == ("diagnosis", ["target"])


def test_spreadsheets_of_one_image_each_are_no_tables_of_all(tmp_path):
    images(tmp_path, names(20))
    for name in (*names(20), "~$labels.png"):
        (tmp_path / name.replace(".png", ".xlsx")).write_bytes(b"PK")
    assert not [reason for reason in found(tmp_path)[1] if reason.meant]
    (tmp_path / "labels.xlsx").write_bytes(b"PK")
    assert [str(reason) for reason in found(tmp_path)[1] if reason.meant] == [
        "labels.xlsx: a spreadsheet, which is not read: save it as CSV, in UTF-8"
    ]


def test_labels_in_a_file_that_is_not_read_are_named(tmp_path):
    images(tmp_path, [f"IMG_{number:04}.png" for number in range(20)])
    (tmp_path / "annotations.json").write_text("{}")
    layouts, reasons = found(tmp_path)
    assert layouts == [] and str(reasons[0]) == (
        "annotations.json: not read: write the labels in it as a CSV, a row for each image, and images in it as files "
        "of their own"
    )
    with pytest.raises(
        UserError, match=r"--table: annotations.json is no table in the source; takes a file that ends in .csv"
    ):
        found(tmp_path, table="annotations.json")


def test_archives_beside_images_are_said(tmp_path, capsys):
    images(tmp_path, names(20))
    (tmp_path / "birds.zip").write_bytes(b"")
    found(tmp_path)
    assert (
        capsys.readouterr().out == "Not looked into: 1 archive, such as birds.zip. What has images is to be unpacked.\n"
    )


def test_columns_that_say_which_split_an_image_is_in_are_no_classes(tmp_path):
    rows = "".join(f"{n}.png,{int(n % 4 > 0)},{int(n % 4 == 0)},{'ab'[n // 2 % 2]}\n" for n in range(40))
    layout, _ = table(tmp_path, "image,is_train,is_test,kind\n" + rows)
    assert layout.settings["table"]["label"] == "kind" and not layout.sure
