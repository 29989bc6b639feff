import time
import unicodedata

import pytest

from headstart.labels.matching import match

COMPOSED, DECOMPOSED = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
WINDOWS = "C:\\data\\img\\{}.png"


def find(images, names, table="t.csv"):
    """What the written paths mean, why files are left out, and the lines that say how paths differ."""
    files, left_out, ways = match(images, sorted(names), table)
    return files, dict(left_out), ways


@pytest.mark.parametrize(
    ("written", "file", "way"),
    [
        ("7", "images/7.jpg", "without folder and ending"),
        ("a.b", "images/a.b.jpg", "without folder and ending"),
        ("img\\1.png", "img/1.png", "with backslashes"),
        ("1.png", "x/y/1.png", "without folder"),
        ("y/1.png", "x/y/1.png", "without the folders above"),
        ("data/img/1.png", "img/1.png", "below other folders"),
        ("/home/x/img/1.png", "img/1.png", "by absolute paths"),
        (WINDOWS.format(1), "img/1.png", "by absolute paths"),
        (WINDOWS.format(1), "photos/1.png", "by absolute paths, in a folder of another name"),
        ("file:///home/x/my%20img/1.png", "my img/1.png", "by addresses"),
        ("https://example.org/img/1.png?size=2", "img/1.png", "by addresses"),
        ('"img/1.png"', "img/1.png", "in quotes"),
        ("img/1.JPG", "img/1.png", "with another ending"),
        ("IMG/A.PNG", "img/a.png", "in another case"),
        (f"img/{DECOMPOSED}.png", f"img/{COMPOSED}.png", "in another Unicode form"),
        (COMPOSED.upper(), f"img/{DECOMPOSED}.png", "without folder and ending, in another case"),
    ],
)
def test_a_path_that_is_written_otherwise_is_found_and_said(written, file, way):
    files, left_out, ways = find([written], [file, "t.csv", "img/other.txt"])
    assert (files, left_out) == ({written: file}, {})
    assert ways == [f"1 row of t.csv names images {way}: matched by what is alike ({written} is {file})"]


def test_a_path_from_the_tables_folder_or_above_it_is_the_files_own():
    files, _, ways = find(["./1.png", "../b/2.png"], ["a/1.png", "b/2.png"], "a/t.csv")
    assert (files, ways) == ({"./1.png": "a/1.png", "../b/2.png": "b/2.png"}, [])
    files, _, (way,) = find(["b/1.png"], ["b/1.png", "a/c/b/1.png"], "a/t.csv")
    assert files == {"b/1.png": "b/1.png"}
    assert way.startswith("1 row of a/t.csv names images from the source's top folder: ")


def test_of_an_image_and_its_mask_the_image_is_meant():
    """As Oxford's pets have them."""
    files, left_out, _ = find(
        ["a_1", "a_2"], [f"{place}/a_{n}.png" for place in ("notes/trimaps", "images") for n in (1, 2)]
    )
    assert (files, left_out) == ({"a_1": "images/a_1.png", "a_2": "images/a_2.png"}, {})
    files, _, _ = find(["trimaps/a_1.png"], ["notes/trimaps/a_1.png", "images/a_1.png"])
    assert files == {"trimaps/a_1.png": "notes/trimaps/a_1.png"}


@pytest.mark.parametrize(
    ("table", "written", "file"),
    [
        ("train.csv", "7.png", "train/7.png"),
        ("sets/test_labels.csv", "7", "test/images/7.png"),
        ("train/labels.csv", "7", "train/7.png"),
        ("test/images.csv", "7.png", "test/images/7.png"),
        ("train.csv", "107", "train/107.png"),
        ("train.csv", "test/images/7.png", "test/images/7.png"),
    ],
)
def test_of_splits_that_number_their_images_anew_a_table_means_its_own(table, written, file):
    names = ["train/7.png", "test/images/7.png", "train/107.png", "test/images/107.png"]
    files, left_out, _ = find([written], [*names, table], table)
    assert (files, left_out) == ({written: file}, {})


def test_a_number_means_an_image_of_the_tables_own_split():
    names = [f"{split}/img_{number:03}.png" for split in ("train", "test") for number in range(3)]
    assert find(["1", "2"], names, "test.csv")[0] == {"1": "test/img_001.png", "2": "test/img_002.png"}
    assert find(["1", "2"], names)[0] == {}


def test_the_longest_end_that_is_alike_counts():
    names = ["left/img/1.png", "right/img/1.png", "img/2.png", "old/img/2.png"]
    files, left_out, _ = find(["/x/right/img/1.png", "/x/img/2.png"], names)
    assert files == {"/x/right/img/1.png": "right/img/1.png", "/x/img/2.png": "img/2.png"}
    assert left_out == {}


def test_names_that_differ_in_case_alone_are_two():
    files, left_out, _ = find(["aB", "ab"], ["x/aB.png", "x/ab.png"])
    assert (files, left_out) == ({"aB": "x/aB.png", "ab": "x/ab.png"}, {})


def test_what_could_be_two_files_is_left_out_with_both():
    files, left_out, _ = find(["1.png", "2"], ["a/1.png", "b/1.png", "2.jpg", "2.png"])
    assert files == {}
    assert left_out == {
        "a/1.png": "1.png in t.csv could mean a/1.png, b/1.png",
        "b/1.png": "1.png in t.csv could mean a/1.png, b/1.png",
        "2.jpg": "2 in t.csv could mean 2.jpg, 2.png",
        "2.png": "2 in t.csv could mean 2.jpg, 2.png",
    }


def test_a_file_is_what_its_own_path_says_and_nothing_else():
    files, left_out, ways = find(["1.png", "1.jpg", "test/2.png", "train/2.png"], ["1.png", "train/2.png"])
    assert (files, ways) == ({"1.png": "1.png", "train/2.png": "train/2.png"}, [])
    missing = "listed in t.csv, but missing in the source"
    assert left_out == {"1.jpg": missing, "test/2.png": missing}


def test_a_folder_has_another_name_for_all_images_or_for_none():
    files, left_out, _ = find(["cat/1.png", "dog/2.png"], ["dog/1.png", "dog/2.png"])
    assert files == {"dog/2.png": "dog/2.png"}
    assert left_out == {"cat/1.png": "listed in t.csv, but missing in the source; did you mean dog/1.png?"}
    assert find(["cat/1.png", "dog/2.png"], ["a/1.png", "a/2.png"])[0] == {}
    assert len(find(["cat/1.png", "cat/2.png"], ["a/1.png", "a/2.png"])[0]) == 2


def test_a_missing_image_comes_with_the_nearest_name_that_has_its_numbers():
    _, left_out, _ = find(["Train_1", "Train_2", "x/9.png"], ["i/train_001.jpg", "i/3.png", "i/train-2.jpg"])
    missing = "listed in t.csv, but missing in the source"
    assert left_out == {
        "Train_1": f"{missing}; did you mean i/train_001.jpg?",
        "Train_2": f"{missing}; did you mean i/train-2.jpg?",
        "x/9.png": missing,
    }


@pytest.mark.parametrize(
    ("written", "names"),
    [
        (["0", "1", "12"], ["siteA/000.png", "siteA/001.png", "siteB/012.PNG", "siteB/013.png"]),
        (["7", "8"], ["a/2019_scan_07.png", "b/2019_scan_08.png"]),
        (["P-1.jpg", "P-2.jpg"], ["p_001.png", "p_002.png"]),
    ],
)
def test_where_no_path_is_alike_all_are_matched_by_their_numbers(written, names):
    files, left_out, ways = find(written, names)
    assert (files, left_out) == (dict(zip(written, names, strict=False)), {})
    number = f"{len(written)} rows of t.csv name images by number: matched by what is alike "
    assert ways == [f"{number}({written[0]} is {names[0]})"]


@pytest.mark.parametrize(
    ("written", "names"),
    [
        (["0", "1"], ["a/000.png", "b/000.png", "b/001.png"]),
        (["0", "1", "2"], ["000.png", "001.png"]),
        (["0", "00"], ["000.png", "001.png"]),
        (["scan0", "scan1"], ["000.png", "001.png"]),
        (["a", "b"], ["000.png", "001.png"]),
        (["000.png", "1"], ["000.png", "001.png"]),
    ],
)
def test_numbers_that_do_not_tell_all_images_apart_tell_none(written, names):
    assert find(written, names)[0].keys() <= {"000.png"}


def test_ids_that_a_spreadsheet_took_the_zeros_from_are_matched_by_number():
    names = [f"scans/{number:03}.png" for number in range(1, 201)]
    written = [str(number) for number in range(1, 201)]
    files, left_out, ways = find(written, names)
    assert (files, left_out) == (dict(zip(written, names, strict=True)), {})
    assert [way.partition(":")[0] for way in ways] == [
        "101 rows of t.csv name images without folder and ending",
        "99 rows of t.csv name images by number",
    ]


def test_an_address_that_is_none_is_a_path_like_any_other():
    assert find(["https://[bucket]/1.png", "http://[1.png"], ["1.png"])[0] == {"https://[bucket]/1.png": "1.png"}


def test_the_one_file_with_the_numbers_is_near():
    _, left_out, _ = find(["scan0000", "x"], ["img/000.PNG", "img/001.PNG", "y.png"])
    missing = "listed in t.csv, but missing in the source"
    assert left_out == {"scan0000": f"{missing}; did you mean img/000.PNG?", "x": missing}


@pytest.mark.parametrize("written", ["{}", "img\\{}.png", WINDOWS, "no{}.png", "{}/image.png"])
def test_the_time_grows_with_the_rows_and_not_with_their_square(written):
    def seconds(count):
        names = [f"img/{number}{'/image' * ('/' in written)}.png" for number in range(count)]
        images = [written.format(number) for number in range(count)]
        start = time.process_time()
        files, left_out, _ = match(images, names, "t.csv")
        assert len(files) + len(left_out) == count
        return time.process_time() - start

    seconds(100)
    # Sixteen times the rows; their square would take 256 times as long.
    assert seconds(16_000) < 100 * max(seconds(1000), 0.01)
