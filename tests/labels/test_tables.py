from types import SimpleNamespace

import pytest

from headstart.base.errors import UserError
from headstart.base.params import Table
from headstart.labels.tables import read_column, read_labels

FILE = "elpv/labels.csv"


def read(lines, images=range(4), **changes):
    """The labels that a table of these lines gives elpv/images/N.png, and why images are left out."""
    annotations, left_out = annotate(lines, images, **changes)
    return {path: annotation.label for path, annotation in annotations.items()}, left_out


def annotate(lines, images=range(4), classes=None, encoding="utf-8", **changes):
    files = {f"elpv/images/{number}.png": b"\x89PNG" for number in images}
    files |= {FILE: "\n".join(lines).encode(encoding), "elpv/utils.py": b""}
    source = SimpleNamespace(names=lambda: sorted(files), read=files.__getitem__)
    columns = {"delimiter": "whitespace", "header": False, "image": 0, "label": 1, "values": None}
    annotations, left_out = read_labels(source, Table(**columns | {"file": FILE} | changes), classes)
    return annotations, dict(left_out)


def test_images_are_named_relative_to_the_table_and_values_become_classes():
    lines = ["images/0.png   0.0  mono", "", "./images/1.png 1.0  poly", "../elpv/images/2.png 0.3 mono"]
    labels, left_out = read(lines, range(3), values={"0.0": "whole", "0.3": "whole", "1.0": "defective"})
    assert labels == {
        "elpv/images/0.png": "whole",
        "elpv/images/1.png": "defective",
        "elpv/images/2.png": "whole",
    }
    assert left_out == {}


def test_a_header_names_the_columns():
    lines = ["\ufeffkind;file", '"a;b"; images/0.png', "c;images/1.png"]
    labels, _ = read(lines, range(2), delimiter=";", header=True, image="file", label="kind")
    assert labels == {"elpv/images/0.png": "a;b", "elpv/images/1.png": "c"}


@pytest.mark.parametrize(
    "encoding", ["utf-8-sig", "utf-16", "utf-32", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"]
)
@pytest.mark.parametrize("end", ["", "\r"])
def test_letters_are_read_as_they_are_written_with_a_mark_at_the_start_or_without(encoding, end):
    lines = [f"file\tkind{end}", f"images/0.png\tKäse{end}", f"images/1.png\t猫{end}"]
    table = {"delimiter": "\t", "header": True, "image": "file", "label": "kind"}
    labels, _ = read(lines, range(2), encoding=encoding, **table)
    assert labels == {"elpv/images/0.png": "Käse", "elpv/images/1.png": "猫"}


def test_what_is_left_out_has_its_reason():
    lines = ["images/0.png,a", "images/0.png,b", "images/1.png,", "images/9.png,a", "images/2.png,a", "images/2.png,a"]
    labels, left_out = read(lines, delimiter=",")
    assert labels == {"elpv/images/2.png": "a"}
    assert left_out == {
        "elpv/images/0.png": f"listed in {FILE} under two classes",
        "elpv/images/1.png": f"listed in {FILE} without a label",
        "elpv/images/3.png": f"not listed in {FILE}",
        "elpv/images/9.png": f"listed in {FILE}, but missing in the source",
    }


def test_of_several_tables_each_image_has_the_split_of_its_own():
    files = {f"{name}.png": b"" for name in "abcdefg"}
    files |= {"train.csv": b"a,x,P1\nb,y,P2\nc,x,P1\ng,x,P3", "sets/val_2.csv": b"d,x,P4\nc,y,P1\nz,x,P5"}
    files |= {"valid/_labels.csv": b"e,y,P2\na,x,P1"}
    source = SimpleNamespace(names=lambda: sorted(files), read=files.__getitem__)
    names = ["train.csv", "sets/val_2.csv", "valid/_labels.csv"]
    table = Table(file=names, delimiter=",", header=False, image=0, label=1, values=None)
    annotations, left_out = read_labels(source, table)
    assert {path: (found.label, found.split) for path, found in annotations.items()} == {
        "b.png": ("y", "train"),
        "g.png": ("x", "train"),
        "d.png": ("x", "validation"),
        "e.png": ("y", "validation"),
    }
    listed = "listed in train.csv and sets/val_2.csv and valid/_labels.csv"
    assert dict(left_out) == {
        "a.png": f"{listed} in two splits",
        "c.png": f"{listed} under two classes",
        "f.png": f"not {listed}",
        "sets/z": "listed in sets/val_2.csv, but missing in the source",
    }
    assert ("d.png", "P4") in read_column(source, table, 2) and ("b.png", "P2") in read_column(source, table, 2)


def several(files, **changes):
    """What train.csv, val.csv and test.csv give the images 0.png to 8.png, and the section that says so."""
    files = {f"{number}.png": b"" for number in range(9)} | {name: text.encode() for name, text in files.items()}
    source = SimpleNamespace(names=lambda: sorted(files), read=files.__getitem__)
    named = [name for name in ("train.csv", "val.csv", "test.csv") if name in files]
    table = {"delimiter": ",", "header": True, "image": "file", "label": "kind", "values": None}
    return source, Table(file=named, **table | changes)


def test_of_several_tables_each_has_its_columns_where_it_names_them(capsys):
    files = {
        "train.csv": "file,kind,patient\n0,x,P1\n1,y,P2",
        "val.csv": "Drawn by us\n\nkind,age,FILE\nx,33,2\ny,34,3",
        "test.csv": "Kind;Patient;file\r\nx;P1;4\r\ny;;5\r\n",
    }
    source, table = several(files)
    annotations, _ = read_labels(source, table)
    assert {path: tuple(found)[::3] for path, found in annotations.items()} == {
        "0.png": ("x", "train"),
        "1.png": ("y", "train"),
        "2.png": ("x", "validation"),
        "3.png": ("y", "validation"),
        "4.png": ("x", "test"),
        "5.png": ("y", "test"),
    }
    assert "test.csv: read with ';' between its columns\n" in capsys.readouterr().out
    assert read_column(source, table, "patient") == [("0.png", "P1"), ("1.png", "P2"), ("4.png", "P1")]
    with pytest.raises(UserError, match=r"dataset\.group\.column: train\.csv has no column 'doctor'"):
        read_column(source, table, "doctor")


@pytest.mark.parametrize("test", ["file\n4\n5\n", "file;age\r\n4;1\r\n5;2\r\n"])
def test_a_table_without_labels_beside_others_has_unlabelled_images(test, capsys):
    source, table = several({"train.csv": "file,kind\n0,x\n1,y", "test.csv": test})
    annotations, left_out = read_labels(source, table)
    assert {path: (found.label, found.split) for path, found in annotations.items()} == {
        "0.png": ("x", "train"),
        "1.png": ("y", "train"),
    }
    assert dict(left_out)["5.png"] == "listed in train.csv and test.csv without a label"
    assert "test.csv has no labels, so that what it lists is left out\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("test", "changes", "message"),
    [
        ("image,kind\n4,x", {}, r"dataset\.table\.image: test\.csv has no column 'file'"),
        ("file,Kind,KIND\n4,x,y", {}, None),
        ("file,kind\n4,x", {"label": "sort"}, r"dataset\.table\.label: train\.csv has no column 'sort'"),
        ("file,kind\n4,x", {"weight": "weight"}, r"dataset\.table\.weight: test\.csv has no column 'weight'"),
        ("file,a\n4,1", {"label": ["a", "b"]}, r"dataset\.table\.label: test\.csv has no column 'b'"),
    ],
)
def test_a_column_that_one_of_several_tables_must_have_is_named(test, changes, message, capsys):
    source, table = several({"train.csv": "file,kind,weight,a,b\n0,x,1,0,1\n1,y,1,1,0", "test.csv": test}, **changes)
    if message is None:
        assert read_labels(source, table)[0].keys() == {"0.png", "1.png"}
        assert "test.csv has no labels" in capsys.readouterr().out, "either of two columns may be meant"
    else:
        with pytest.raises(UserError, match=message):
            read_labels(source, table)


def test_of_several_tables_one_may_have_a_column_of_splits():
    files = {"train.csv": "file,kind,set\n0,x,train\n1,y,val\n2,y,", "test.csv": "file,kind\n4,x\n5,y"}
    annotations, _ = read_labels(*several(files, split="set"))
    assert [found.split for found in annotations.values()] == ["train", "validation", "train", "test", "test"]


COLUMNS = {  # of splits, with cells and what they stand for
    "set": {"Training": "train", "VAL": "validation", "test1": "test", "dev": "validation", "": None, "NaN": None},
    "fold": {"trainval": "train", "Validation Set": "validation", "testing": "test"},
    "is_train": {"1": "train", "0": "test", "True": "train", "no": "test"},
    "is_training_image": {"1.0": "train", "0.0": "test", "": None},
    "isTest": {"1": "test", "0": "train", "FALSE": "train"},
    "is_valid": {"true": "validation", "false": "train"},
}


@pytest.mark.parametrize(("column", "cells"), COLUMNS.items(), ids=COLUMNS)
@pytest.mark.parametrize("end", ["", "\r"])
def test_a_column_says_the_split_of_each_image(column, cells, end):
    rows = [f"images/{number}.png,a,2,{cell}{end}" for number, cell in enumerate(cells)]
    table = {"delimiter": ",", "header": True, "image": "file", "label": "kind", "weight": "weight", "split": column}
    annotations, left_out = annotate([f"file,kind,weight,{column}{end}", *rows], range(len(cells)), **table)
    assert [annotations[f"elpv/images/{number}.png"].split for number in range(len(cells))] == list(cells.values())
    assert {found.weight for found in annotations.values()} == {2.0} and left_out == {}


@pytest.mark.parametrize(
    ("column", "cell"), [("fold", "3"), ("split", "1"), ("is_train", "maybe"), (2, "0"), ("Usage", "PublicTest")]
)
def test_a_value_that_is_no_split_is_refused(column, cell):
    table = {"delimiter": ",", "split": column}
    if named := isinstance(column, str):
        table |= {"header": True, "image": "file", "label": "kind"}
    lines = [f"file,kind,{column}"] * named + ["images/0.png,a,train", f"images/1.png,b,{cell}"]
    message = f"line {2 + named}: got '{cell}' in the column {column} .dataset.table.split.; takes train, validation or"
    with pytest.raises(UserError, match=message):
        annotate(lines, range(2), **table)


def test_an_image_in_two_splits_of_a_column_is_left_out_and_rows_without_a_label_need_none():
    lines = ["images/0.png,a,train", "images/0.png,a,test", "images/1.png,b,train", "images/2.png,,unknown"]
    annotations, left_out = annotate(lines, range(3), delimiter=",", split=2)
    assert list(annotations) == ["elpv/images/1.png"]
    assert left_out["elpv/images/0.png"] == f"listed in {FILE} in two splits"
    assert left_out["elpv/images/2.png"] == f"listed in {FILE} without a label"


def test_a_label_counts_where_another_row_has_none():
    assert read(["images/0.png,", "images/0.png,a"], range(1), delimiter=",") == ({"elpv/images/0.png": "a"}, {})


def test_what_programs_write_for_no_value_is_no_label(capsys):
    lines = ["images/0.png,a", "images/1.png,NaN", "images/2.png,N/A", "images/3.png,none", "images/4.png,NaN"]
    labels, left_out = read(lines, range(5), delimiter=",")
    assert labels == {"elpv/images/0.png": "a", "elpv/images/3.png": "none"}
    assert set(left_out.values()) == {f"listed in {FILE} without a label"}
    assert f"2 rows of {FILE} have the label NaN, which is read as none: if it is a class" in capsys.readouterr().out
    named, _ = annotate(lines, range(5), ["a", "NaN", "none"], delimiter=",")
    assert named["elpv/images/4.png"].label == "NaN" and "elpv/images/2.png" not in named
    assert read(lines[:2], range(2), delimiter=",", values={"a": "x", "NaN": "y"})[0]["elpv/images/1.png"] == "y"


def test_no_value_is_no_group():
    files = {"1.png": b"", "2.png": b"", "3.png": b"", "t.csv": b"1.png,a,P1\n2.png,a,NaN\n3.png,b,null\n"}
    source = SimpleNamespace(names=lambda: sorted(files), read=files.__getitem__)
    table = Table(file="t.csv", delimiter=",", header=False, image=0, label=1, values=None)
    assert read_column(source, table, 2) == [("1.png", "P1")]


@pytest.mark.parametrize(
    ("cells", "several"),
    [
        (["a|b", "a", "b|c", "none"], ["a|b", "b|c"]),
        (["a;b", "a", "b"], ["a;b"]),
        (["red, large", "red, small", "blue, large", "blue, small"], None),
        (["Paris, France", "Lyon, France"], []),
        (["Pepper,_bell", "Potato"], []),
        (["a|b", "c|d"], []),
        (["a;", "a"], []),
    ],
)
def test_a_cell_of_several_labels_is_no_class(cells, several):
    lines = ["file\tlabel", *(f"images/{number}.png\t{cell}" for number, cell in enumerate(cells))]
    table = {"delimiter": "\t", "header": True, "image": "file", "label": "label"}
    labels, left_out = read(lines, range(len(cells)), **table)
    several = cells if several is None else several
    assert sorted(labels.values()) == sorted(set(cells) - set(several))
    assert [reason.split(" in ")[0] for reason in left_out.values()] == ["of several classes at once"] * len(several)
    named, _ = annotate(lines, range(len(cells)), cells, **table)
    assert [annotation.label for annotation in named.values()] == cells


def test_several_label_columns_of_zeros_and_ones_are_one_label():
    lines = [
        "file,A,B,C",
        "images/0.png,1.0,0.0,0.0",
        "images/1.png,0,True,",
        "images/2.png,0,1,1",
        "images/3.png,0,0,0",
    ]
    several = {"delimiter": ",", "header": True, "image": "file"}
    labels, left_out = read(lines, label=["A", "B", "C"], **several)
    assert labels == {"elpv/images/0.png": "A", "elpv/images/1.png": "B"}
    assert left_out == {
        "elpv/images/2.png": f"of several classes at once in {FILE} (B, C), where an image has one",
        "elpv/images/3.png": f"of none of the classes in {FILE}",
    }
    values = {"A": "one", "B": "two", "C": "two"}
    assert read(lines, label=[1, "B", "C"], values=values, **several)[0]["elpv/images/1.png"] == "two"
    with pytest.raises(
        UserError, match=r"line 2: got '0\.7' in the column B; a list of columns as dataset\.table\.label"
    ):
        read(["file,A,B", "images/0.png,0,0.7"], label=["A", "B"], **several)


def test_without_a_header_the_numbers_of_label_columns_are_the_classes():
    assert read(["images/0.png 0 1"], range(1), label=[1, 2])[0] == {"elpv/images/0.png": "2"}


def test_what_excel_writes_for_itself_is_no_row():
    labels, _ = read(
        ["sep=;", "file;kind", "images/0.png;a"], range(1), header=True, image="file", label="kind", delimiter=","
    )
    assert labels == {"elpv/images/0.png": "a"}


def test_a_row_of_more_cells_than_the_header_is_said(capsys):
    lines = ["file,name,kind", "images/0.png,Smith, John,a", "images/1.png,Mary,b", "images/2.png,Ann,b,"]
    read(lines, range(3), header=True, image="file", label="kind", delimiter=",")
    assert f"1 row of {FILE} with more cells than its first line, such as {FILE}, line 2" in capsys.readouterr().out


def test_labels_that_are_read_as_several_are_said(capsys):
    kinds = ["Men|Shoes", "Men|Shirts", "Women|Shoes", "Men"]
    read([f"images/{number}.png,{kind}" for number, kind in enumerate(kinds)], delimiter=",")
    said = "read as several classes at once: if it is one class, name all in dataset.classes"
    assert f"3 rows of {FILE} with a label such as 'Men|Shoes' (1), {said}" in capsys.readouterr().out


def test_a_cell_may_be_very_long():
    labels, _ = read(["images/0.png,a," + "1 " * 100_000], range(1), delimiter=",")
    assert labels == {"elpv/images/0.png": "a"}


def test_a_delimiter_that_the_table_rather_has_is_named():
    lines = ["file;kind", "images/0.png;a"]
    with pytest.raises(UserError, match=r"no column 'file'; .*; its first line, 'file;kind', looks as if .* were ';'"):
        read(lines, delimiter=",", header=True, image="file", label="kind")
    with pytest.raises(UserError, match=r"line 1: 1 column, too few .*; the line is file;kind; its first line, "):
        read(lines)


ROWS = ["images/0.png,a", "images/1.png,b"]
AROUND = {
    "a title": ["Survey 2021", "", "file,kind", *ROWS],
    "a title as Excel writes it": ["Survey,", "by me,2021", "file,kind", *ROWS],
    "comments": ["# by me, 2021", "#", "# version 3", "file,kind", *ROWS, "# end"],
    "a footer": ["file,kind", *ROWS, "", "2 images"],
}


@pytest.mark.parametrize("lines", AROUND.values(), ids=AROUND)
def test_what_stands_above_the_header_and_below_the_rows_is_passed_over_and_said(lines, capsys):
    labels, left_out = read(lines, range(2), delimiter=",", header=True, image="file", label="kind")
    assert (labels, left_out) == ({"elpv/images/0.png": "a", "elpv/images/1.png": "b"}, {})
    aside = [line for line in lines if line and line not in ("file,kind", *ROWS)]
    assert f"{FILE}: {len(aside)} line" in (printed := capsys.readouterr().out) and "passed over, such as" in printed


def test_comments_above_rows_without_a_header_are_passed_over():
    lines = ["#Image CLASS-ID", "#ID: 1:37 Class ids", "images/0.png a", "images/1.png b", "Total 2"]
    labels, left_out = read(lines, range(2))
    assert labels == {"elpv/images/0.png": "a", "elpv/images/1.png": "b"}
    assert left_out == {"elpv/Total": f"listed in {FILE}, but missing in the source"}


def test_a_row_at_the_end_that_is_cut_off_is_no_footer():
    for last in ("images/2.png", "2", r"images\2.png"):
        with pytest.raises(UserError, match="line 3: 1 column, too few"):
            read([*ROWS, last], delimiter=",")


def test_numbers_are_the_values_that_they_equal():
    labels, _ = read(["images/0.png 1", "images/1.png 0.0"], range(2), values={0: 7, "1.0": 8})
    assert labels == {"elpv/images/0.png": "8", "elpv/images/1.png": "7"}


def test_a_class_without_an_image_and_a_value_that_does_not_occur_are_said(capsys):
    lines = ["images/0.png 0", "images/1.png 1", "images/8.png 2", "images/9.png 2"]
    read(lines, range(2), values={"0": "a", "1": "b", "2": "c", "3": "d"})
    assert capsys.readouterr().out == (
        f"class c has no image: what 2 rows of {FILE} name is left out\n"
        f"{FILE} has no label '3', which dataset.table gives a meaning\n"
    )


def test_weights_are_a_column_or_given_by_value():
    lines = ["images/0.png a 0.5", "images/1.png b 2", "images/2.png b 0"]
    annotations, left_out = annotate(lines, range(3), weight=2)
    assert {path: annotation.weight for path, annotation in annotations.items()} == {
        "elpv/images/0.png": 0.5,
        "elpv/images/1.png": 2.0,
    }
    assert left_out == {"elpv/images/2.png": f"of weight 0 in {FILE}"}
    annotations, _ = annotate(lines, range(2), weight={"b": 0.25})
    assert [annotation.weight for annotation in annotations.values()] == [1.0, 0.25]
    assert annotate(lines, range(1))[0]["elpv/images/0.png"].weight is None
    for wrong in ("-1", "nan", "inf", "much"):
        with pytest.raises(
            UserError, match=rf"line 1: got '{wrong}' in the column 2 \(dataset\.table\.weight\); takes a n"
        ):
            annotate([f"images/0.png a {wrong}"], weight=2)


def test_one_column_of_probabilities_is_that_of_the_second_class():
    lines = ["images/0.png 0.0", "images/1.png 0.5", "images/2.png 0.3333333333333333"]
    annotations, _ = annotate(lines, range(3), ["sound", "broken"], probabilities=True)
    assert [annotation.label for annotation in annotations.values()] == ["sound", "broken", "sound"]
    third = annotations["elpv/images/2.png"].probabilities
    assert third == {"sound": pytest.approx(2 / 3), "broken": pytest.approx(1 / 3)}
    with pytest.raises(
        UserError, match=r"^dataset\.classes: got null; takes two names where dataset\.table\.probabilities"
    ):
        annotate(lines, probabilities=True)
    with pytest.raises(UserError, match=r"^dataset\.table\.values: got VALUE: CLASS lines; takes null where"):
        annotate(lines, classes=["a", "b"], probabilities=True, values={"0": "a"})
    with pytest.raises(UserError, match="line 1: got '1.5' in the column 1; takes a probability from 0 to 1"):
        annotate(["images/0.png 1.5"], classes=["a", "b"], probabilities=True)


def test_a_column_of_probabilities_for_each_class():
    table = {"delimiter": ",", "header": True, "image": "file", "label": ["A", "B", "C"], "probabilities": True}
    lines = ["file,A,B,C", "images/0.png,0.2,0.5,0.3", "images/1.png,0.4,0.4,0.201", "images/2.png,,,"]
    annotations, left_out = annotate(lines, range(3), **table)
    assert {path: annotation.label for path, annotation in annotations.items()} == {
        "elpv/images/0.png": "B",
        "elpv/images/1.png": "A",  # of equal ones the first
    }
    assert sum(annotations["elpv/images/1.png"].probabilities.values()) == pytest.approx(1)
    assert left_out == {"elpv/images/2.png": f"listed in {FILE} without a label"}
    merged, _ = annotate(lines, range(1), values={"A": "x", "B": "y", "C": "x"}, **table)
    assert merged["elpv/images/0.png"].probabilities == {"x": 0.5, "y": 0.5}
    with pytest.raises(UserError, match=r"line 2: the probabilities add up to 0\.8; take 1: list all classes"):
        annotate(["file,A,B,C", "images/0.png,0.2,0.3,0.3"], **table)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"file": "elpv/label.csv"},
            r"^dataset\.table\.file: elpv/label\.csv is not in the source; did you mean elpv/labels\.csv\? name a file",
        ),
        ({"file": "zzz"}, r"zzz is not in the source; name a file inside it"),
        (
            {"values": {"a": "x", "bb": "y"}},
            r"line 3: the label 'b' is not in dataset\.table\.values \('a', 'bb'\); did you mean bb\? add it there",
        ),
        ({"label": 7}, r"line 1: 2 columns, too few for dataset\.table\.image: 0 and dataset\.table\.label: 7; check"),
        ({"label": "kind"}, r"^dataset\.table\.label: got 'kind', but dataset\.table\.header is false: give the col"),
        (
            {"label": "A", "header": True},
            r"^dataset\.table\.label: elpv/labels\.csv has no column 'A'; with dataset\.table\.delimiter 'whitespace' "
            r"it has images/0\.png \| a$",
        ),
        ({"image": "image/0.png", "header": True}, r"no column 'image/0\.png'; did you mean images/0\.png\? with"),
        ({"delimiter": "::"}, r"^dataset\.table\.delimiter: got '::'; takes one character, or whitespace"),
        ({"file": "elpv/images/1.png"}, r"^elpv/images/1\.png cannot be read as a table \(.*save it as plain UTF-8"),
    ],
)
def test_a_table_that_is_not_as_described(changes, message):
    with pytest.raises(UserError, match=message):
        read(["images/0.png a", "", "images/1.png b"], **changes)


def test_an_empty_table_has_no_columns():
    with pytest.raises(UserError, match="has no column 'kind'; with .* it has no columns"):
        read([], header=True, image="kind")


def test_a_list_of_several_labels_is_several_and_one_of_one_is_that(capsys):
    kinds = ["['cat']", '["dog"]', "['cat', 'dog']", "{dog}"]
    labels, left_out = read([f"images/{number}.png;{kind}" for number, kind in enumerate(kinds)], delimiter=";")
    assert labels == {"elpv/images/0.png": "cat", "elpv/images/1.png": "dog", "elpv/images/3.png": "dog"}
    assert left_out["elpv/images/2.png"].startswith(f"of several classes at once in {FILE} (cat, dog)")
