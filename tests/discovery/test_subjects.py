"""What belongs together is found by the names of columns, folders and files; what names it but cannot be, is said."""

import re

import pytest

from headstart.discovery import levels, subjects
from headstart.discovery.reading import Layout
from headstart.images import finding
from headstart.labels.layouts import Item

PATHS = [f"images/{number:03}.png" for number in range(40)]


def layout(paths, columns=None, labels="table", classes=2):
    """Images of so many classes in turn, and a table's columns, each a list of a cell for every image."""
    items = [Item(path, "abcdef"[number % classes], None) for number, path in enumerate(paths)]
    columns = {name: dict(zip(paths, cells, strict=True)) for name, cells in (columns or {}).items()}
    return Layout({"labels": labels}, "", items, [], True, columns, "")


def taken(found):
    return [subject.group for subject in found if subject.sure]


WRITTEN = "patient_id PatientID patient.id Patient-ID PATIENT pid PID mrn MRN StudyInstanceUID SeriesInstanceUID"


@pytest.mark.parametrize(
    "name", [*WRITTEN.split(), "Patient ID", "Patient Number", "patient code", "subject no.", "study_instance_uid"]
)
def test_a_column_that_names_a_subject_is_found_however_it_is_written(name):
    numbers = [str(number // 4) for number in range(40)]
    assert taken(subjects.find_subjects(layout(PATHS, {name: numbers}))) == [{"column": name}]


@pytest.mark.parametrize("name", ["parties", "caseless", "Patient Age", "Finding", "outpatient no", "y"])
def test_a_column_of_numbers_with_another_name_is_no_subject(name):
    numbers = [str(number // 4) for number in range(40)]
    assert subjects.find_subjects(layout(PATHS, {name: numbers})) == []


def test_a_column_that_names_a_subject_counts_even_where_few_images_share_one():
    few = ["L0", "L0", *(f"L{number}" for number in range(2, 40))]
    assert taken(subjects.find_subjects(layout(PATHS, {"lesion_id": few}))) == [{"column": "lesion_id"}]
    assert subjects.find_subjects(layout(PATHS, {"whatever": few})) == []
    assert subjects.find_subjects(layout(PATHS, {"lesion_id": PATHS})) == [], "each image has its own"


def test_ways_to_write_a_subject_are_one_as_split_takes_them():
    cells = [f"{'Pp'[number % 2]}{number // 2}" for number in range(40)]
    (found,) = subjects.find_subjects(layout(PATHS, {"patient": cells}, classes=4))
    assert (found.count, found.sure) == (20, True)


def test_of_several_columns_the_person_comes_first():
    columns = {"SeriesInstanceUID": [f"1.{n // 2}" for n in range(40)], "Patient ID": [str(n // 4) for n in range(40)]}
    assert taken(subjects.find_subjects(layout(PATHS, columns)))[0] == {"column": "Patient ID"}


def test_images_without_a_subject_are_their_own():
    cells = {path: f"P{number // 8}" for number, path in enumerate(PATHS) if number % 2}
    images = layout(PATHS)._replace(columns={"patient": cells})
    assert taken(subjects.find_subjects(images)) == [{"column": "patient"}]


def test_a_row_without_a_label_is_no_matter():
    images = layout(PATHS)
    cells = {"images/unlabelled.png": "P0"} | {path: f"P{number // 4}" for number, path in enumerate(PATHS)}
    assert taken(subjects.find_subjects(images._replace(columns={"patient": cells}))) == [{"column": "patient"}]


def test_a_named_column_with_too_few_subjects_of_a_class_is_no_candidate_but_says_why():
    (subject,) = subjects.find_subjects(layout(PATHS, {"patient": [f"P{number % 4}" for number in range(40)]}))
    assert not subject.sure and subject.lacks == (
        "class a has 2 of them, and takes 3, one each for train, validation and test"
    )
    assert not subject.dealt
    (subject,) = subjects.find_subjects(layout(PATHS, {"patient": [f"P{number % 3}" for number in range(40)]}))
    assert (subject.lacks, subject.dealt) == ("2 classes take 4 of them at least", True)
    assert subjects.find_subjects(layout(PATHS, {"animal": ["a", "b"] * 20})) == [], "it is the class itself"


@pytest.mark.parametrize("column", ["patient", "clinic"])
def test_a_class_that_is_one_subject_is_said_whatever_that_is_called(column):
    cells = ["A" if number % 2 else f"B{number // 8}" for number in range(40)]
    (subject,) = subjects.find_subjects(layout(PATHS, {column: cells}))
    told = "class b is of one of them alone, so that no split can hold it in training and in test"
    assert (subject.count, subject.sure, subject.lacks) == (6, False, told)
    for others in (["A" if number % 2 else "B" for number in range(40)], ["A", *cells[1:]]):  # a class, and a crossing
        assert subjects.find_subjects(layout(PATHS, {"clinic": others})) == []


def test_a_class_of_one_subject_by_its_files_names_is_said():
    paths = [f"{'b/P9' if n % 2 else f'a/P{n // 8}'}_{n}.png" for n in range(40)]
    (subject,) = subjects.find_subjects(layout(paths, labels="folders"))
    assert not subject.sure and subject.lacks.startswith("class b is of one of them alone")


FOLDERS = {
    "CheXpert's": ([f"train/patient{n // 4:05}/study{n % 4 // 2}/view{n % 2}.jpg" for n in range(80)], [1]),
    "a folder each": ([f"images/patient_{n // 4:02}/view_{n % 4}.png" for n in range(80)], [1]),
    "in two splits": ([f"{('train', 'valid')[n % 2]}/Patient{n // 4}/{n}.png" for n in range(80)], [1]),
    "of other depths": ([f"x/{'y/' * (n // 4 % 2)}Subject-{n // 4}/{n}.png" for n in range(80)], [-1]),
    "studies of numbers": ([f"{n // 8:03}/study{n % 8 // 2}/{n}.png" for n in range(160)], []),
    "words": ([f"{('participation', 'caseless', 'other')[n % 3]}{'x' * (n // 8)}/{n}.png" for n in range(80)], []),
}


@pytest.mark.parametrize(("paths", "levels"), FOLDERS.values(), ids=FOLDERS)
@pytest.mark.parametrize("labels", ["table", "pattern", "prefix"])
def test_folders_that_are_named_as_subjects_keep_their_images_together(paths, levels, labels):
    found = subjects.find_subjects(layout(paths, labels=labels))
    assert [group["folder"] for group in taken(found) if "folder" in group] == levels


def test_numbered_folders_are_offered_and_not_taken():
    found = subjects.find_subjects(layout([f"{n // 8:03}/study{n % 8 // 2}/{n}.png" for n in range(160)]))
    assert [subject.group for subject in found] == [{"folder": 0}] and not taken(found)
    assert found[0].count == 20


@pytest.mark.parametrize("ending", [*finding.ENDINGS, ".JP2"])
def test_the_number_in_an_ending_is_none_of_the_shot(ending):
    shots = [
        f"{'cats' if number % 2 else 'dogs'}/P{number:03}_{shot}{ending}" for number in range(20) for shot in range(6)
    ]
    (found,) = subjects.find_subjects(layout(shots, labels="folders"))
    assert (found.count, found.example, found.sure) == (20, "P000", True)
    assert not re.search(found.group["pattern"], f"cats/P012{ending}")
    sized = [f"{name}/a{number:02}_1920x1080{ending}" for number in range(10) for name in "ab"]
    assert subjects.find_subjects(layout(sized, labels="folders")) == []


@pytest.mark.parametrize(
    ("names", "count"),
    [
        (["cats/1{}.png", "cats/1{}_aug3.png", "cats/1{}-aug-12.png"], 20),
        (
            [
                "cats/1{}_png.rf.0123456789abcdef0123456789abcdef.jpg",
                "cats/1{}_png.rf.f123456789abcdef0123456789abcdef.jpg",
            ],
            20,
        ),
        (["cats/{}/a.png", "cats/{}/a_augmented.png"], 20),
        (["cats/{}\n.png", "cats/{}\n_aug1.png"], 20),
        (["cats/Laugh{}.png", "cats/{}_Aug_2020.png", "cats/05aug{}.png"], 0),
        (["cats/1.2.840.{}.1", "cats/1.2.840.{}.2"], 0),
    ],
)
def test_copies_made_for_augmentation_are_a_subject_with_their_image(names, count):
    found = subjects.find_subjects(layout([name.format(n) for n in range(20) for name in names], labels="folders"))
    assert [subject.count for subject in found if subject.group == {"pattern": subjects.COPIED}] == [count] * bool(
        count
    )


def test_names_that_come_in_several_published_splits_are_no_subjects_unasked():
    """As the angles in the names of Fruits-360."""
    paths = [f"{split}/{name}/{n}_100.jpg" for split in ("train", "test") for name in "ab" for n in range(20)]
    images = layout(paths, labels="folders")
    images = images._replace(items=[Item(path, *path.split("/")[1::-1]) for path in paths])
    (found,) = subjects.find_subjects(images)
    assert (found.count, found.sure) == (20, False)


# Images, and the pattern by which folders are classes whatever other folders are in them.
BETWEEN = {
    "plain": (["a/1.png", "b/1.png"], None),
    "kinds of files": (["a/images/1.png", "b/Images/1.png"], "(.*/)?(?P<label>[^/]+)/(Images|images)/[^/]+"),
    "a root and splits": (
        ["x/train/a/images/1.png", "x/train/b/images/1.png"],
        "(.*/)?(?P<label>[^/]+)/(images)/[^/]+",
    ),
    "in some classes only": (["a/images/1.png", "b/1.png"], "(.*/)?(?!(images)/)(?P<label>[^/]+)(/(images))*/[^/]+"),
    "masks beside": (["a/1.png", "b/1.png", "masks/1.png"], "(?!(.*/)?(masks)/)(.*/)?(?P<label>[^/]+)/[^/]+"),
    "kinds that may be classes": (["a/photos/1.png", "a/pictures/1.png", "b/photos/1.png"], None),
    "images beside classes": (["a/images/1.png", "b/images/1.png", "1.png"], None),
    "two levels": (["x/a/images/1.png", "y/b/images/1.png"], None),
    "a class named as a split": (["bus/images/1.png", "car/images/1.png", "train/images/1.png"], None),
    "splits without labels": (
        ["train/a/images/1.png", "train/b/images/1.png", "val/images/1.png"],
        "(.*/)?(?!(images|val)/)(?P<label>[^/]+)/(images)/[^/]+",
    ),
    "parts of a download": (["images_001/images/1.png", "images_002/images/2.png"], None),
    "one class": (["a/images/1.png", "a/images/2.png"], None),
    "no class": (["train/images/1.png", "val/images/1.png"], None),
    "no folder": (["1.png"], None),
}


NESTED = {
    "copies": (["x/a/1.png", "x/b/1.png", "x/x/a/1.png", "x/x/b/1.png"], "(.*/)?(?P<label>[^/]+)/[^/]+"),
    "splits": (
        ["x_train/a/1.png", "x_train/b/1.png", "x_test/a/1.png", "x_test/b/1.png", "c/1.png"],
        "(.*/)?(?!(c)/)(?P<label>[^/]+)/[^/]+",
    ),
    "times of day": (["a/day/1.png", "a/night/1.png", "b/day/1.png", "b/night/1.png"], None),
    "kinds": (["x/images/1.png", "x/labels/1.png", "x/x/images/1.png", "x/x/labels/1.png"], None),
    "splits in the classes": (["a/train/1.png", "a/test/1.png", "a/a/train/1.png", "a/a/test/1.png"], None),
    "one": (["x/a/1.png", "x/x/a/1.png"], None),
    "plain": (["a/1.png", "b/1.png"], None),
    "no folder": (["1.png"], None),
}


@pytest.mark.parametrize(("images", "pattern"), NESTED.values(), ids=NESTED)
def test_inner_folders_are_classes_where_the_same_ones_come_in_splits_or_twice(images, pattern):
    assert levels.nested(images) == pattern


@pytest.mark.parametrize(("images", "pattern"), BETWEEN.values(), ids=BETWEEN)
def test_a_pattern_tells_the_classes_whatever_folders_are_in_them(images, pattern):
    found = levels.between(images)
    assert (found and found.pattern) == pattern
