import json
import os
import shutil
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest

from headstart.artifacts import arrays, features, manifest
from headstart.artifacts.manifest import Manifest
from headstart.base import saved
from headstart.base.errors import UserError

PLACES = {
    "read_bottleneck": features.BOTTLENECK / "plain.npy",
    "read_cut": features.CUT / "plain.npy",
    "read_cut_views": features.CUT / "views.npy",
    "read_bottleneck_views": features.BOTTLENECK / "views.npy",
}
SHAPES = {"bottleneck/plain": (4, 2), "cut/plain": (4, 3), "cut/views": (2, 5, 3), "bottleneck/views": (2, 5, 2)}
TABLE = Manifest(["a", "b"], list("1234"), np.arange(4) % 2, np.array(["train"] * 2 + ["test"] * 2), list("abcd"))
EXPECTED = {name: np.arange(np.prod(shape), dtype="float16").reshape(shape) for name, shape in SHAPES.items()}


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    manifest.write(TABLE)


# Of each block, which images of the four and which views of the ten are its own.
BLOCKS = [(range(0, 2), range(0, 3)), (range(2, 3), range(3, 3)), (range(3, 4), range(3, 10))]


def block(number, names=SHAPES, of=EXPECTED):
    """A block of the arrays as the writer takes it: each view is a row; where there are none, it has no such array."""
    images, views = BLOCKS[number]
    parts = {name: images if name.endswith("plain") else views for name in names}
    flat = {name: of[name] if name.endswith("plain") else of[name].reshape(10, -1) for name in names}
    return {name: (part.start, flat[name][part.start : part.stop]) for name, part in parts.items() if part}


def begun(blocks=(0,), folder="work"):
    """A writer that has written so much, and its work folder."""
    writer = features.Writer(Path(folder), SHAPES, TABLE)
    for number in blocks:
        writer.write(number, block(number))
    return writer


def ended(writer):
    """Write the rest, the last block first, and put all in its place."""
    for number in (2, 1, 0):
        if number not in writer.done:
            writer.write(number, block(number))
    writer.publish()


def assert_published():
    for read, name in zip(PLACES, SHAPES, strict=True):
        np.testing.assert_array_equal(getattr(features, read)(table=TABLE), EXPECTED[name])
    assert {path.name for path in features.CUT.iterdir()} == {"plain.npy", "views.npy", "arrays.json"}


@pytest.mark.parametrize("name", PLACES)
@pytest.mark.parametrize("largest", [2**30, 8])
def test_of_arrays_what_is_taken_is_read(name, largest, monkeypatch):
    """In one file, and in several, of two images each or of one."""
    monkeypatch.setattr(arrays, "LARGEST", largest)
    read, place = getattr(features, name), PLACES[name]
    expected = EXPECTED[f"{place.parent.name}/{place.stem}"]
    with pytest.raises(UserError, match=rf"no .*{place}: run `dvc repro extract`"):
        read()
    ended(features.Writer(Path("work"), SHAPES, TABLE))
    files = 1 if largest > 8 else 4 if name == "read_cut" else 2
    assert len(list(place.parent.glob(f"{place.stem}*.npy"))) == files
    array = read(Path(), TABLE)
    assert array.shape == expected.shape and array.dtype == expected.dtype and len(array) == len(expected)
    np.testing.assert_array_equal(array, expected)
    backwards, one = np.arange(len(expected))[::-1], np.arange(len(expected)) == 1
    for key in (
        1,
        -1,
        slice(1, None),
        backwards,
        one,
        np.array([1, 1, 0]),
        (slice(None), 1),
        (1, 1),
        np.array([], int),
    ):
        np.testing.assert_array_equal(array[key], expected[key])
    np.testing.assert_array_equal(array.at(1, 1), expected[1, 1])
    with pytest.raises(IndexError):
        array[len(expected)]


def test_what_was_marked_is_gone_on_from_and_what_was_not_is_written_again(capsys, monkeypatch):
    writer = begun([2])
    with monkeypatch.context() as killed:
        killed.setattr("headstart.base.saved.write", lambda *arguments: None)
        writer.write(0, block(0, of={name: -array for name, array in EXPECTED.items()}))  # killed before its mark
    writer = features.Writer(Path("work"), SHAPES, TABLE)
    assert writer.done == {2} and "damaged" not in capsys.readouterr().out
    ended(writer)
    assert_published()
    for name in SHAPES:  # the bytes that NumPy writes
        np.save("expected.npy", EXPECTED[name])
        assert (features.FEATURES / f"{name}.npy").read_bytes() == Path("expected.npy").read_bytes()


def test_of_many_blocks_the_mark_is_not_written_with_each_and_little_is_at_risk(monkeypatch):
    count, sizes, write = 1000, [], saved.write
    table = Manifest(["a"], list(map(str, range(count))), np.zeros(count, int), np.full(count, "test"), ["x"] * count)
    rows = np.arange(count, dtype="float16")[:, None]
    writer = features.Writer(Path("work"), {"bottleneck/plain": (count, 1)}, table)
    monkeypatch.setattr("headstart.base.saved.write", lambda *given: sizes.append(len(given[1])) or write(*given))
    for number in range(count):
        writer.write(number, {"bottleneck/plain": (number, rows[number : number + 1])})
        assert number + 1 - sizes[-1] < 1 + (number + 1) / features.AT_RISK
    assert sizes[:64] == list(range(1, 65)) and len(sizes) < 300
    writer.publish()
    assert sizes[-1] == count
    assert features.Writer(Path("work"), {"bottleneck/plain": (count, 1)}, table).done == set(range(count))
    np.testing.assert_array_equal(features.read_bottleneck(table=table)[:], rows)


def zeroed(path):
    path.write_bytes(bytes(path.stat().st_size))


def one_bit(path):
    content = bytearray(path.read_bytes())
    content[-30 if path.suffix == ".npy" else len(content) // 2] ^= 1
    path.write_bytes(content)


def marked(path, entry):
    saved.write(path, {"0": dict.fromkeys(SHAPES, entry)})


DAMAGES = {
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-7]),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"x"),
    "zeroed": zeroed,
    "one bit": one_bit,
    "not text": lambda path: path.write_bytes(b"\xff\xfe" * 50),
    "null": lambda path: path.write_text("null"),
    "a list": lambda path: path.write_text("[2, 3]"),
    "deep": lambda path: path.write_text("[" * 100_000),
    "other names": lambda path: path.write_text(json.dumps({"folder": "work", "a": [1, "b"]})),
    "other kinds": lambda path: marked(path, ("2", None, 3)),
    "too many": lambda path: marked(path, (0, 10**12, "a")),
    "fewer": lambda path: marked(path, (-1, 1, "a")),
    "of another block": lambda path: path.write_text(path.read_text().replace('"1"', '"4"')),
    "of another run": lambda path: path.write_text(path.read_text().replace('"work"', '"extract-0"')),
}


OF_ARRAYS = ["empty", "cut", "longer", "zeroed", "one bit"]


@pytest.mark.parametrize(
    ("file", "damage"),
    [("done.json", damage) for damage in DAMAGES]
    + [(f"features/{name}.npy", damage) for name in SHAPES for damage in OF_ARRAYS],
)
def test_unfinished_work_that_is_damaged_is_thrown_away_in_one_line_and_done_anew(file, damage, capsys):
    begun(range(3))
    DAMAGES[damage](Path("work", file))
    capsys.readouterr()
    writer = features.Writer(Path("work"), SHAPES, TABLE)
    assert writer.done == set()
    _, line = capsys.readouterr().out.splitlines()
    assert line.startswith("work/done.json is damaged (") and line.endswith("thrown away, and its work is done anew")
    ended(writer)
    assert_published()


def test_work_done_anew_leaves_what_is_in_its_place_alone():
    """The arrays of a finished run are in their place, and in DVC's cache, by links to the same content."""
    ended(features.Writer(Path("work"), SHAPES, TABLE))
    Path("work/done.json").write_text("")
    writer = features.Writer(Path("work"), SHAPES, TABLE)
    writer.write(0, block(0, of={name: -array for name, array in EXPECTED.items()}))
    assert_published()


def test_an_array_that_is_cut_while_it_is_written_does_not_get_into_its_place():
    writer = begun(range(3))
    with Path("work/features/cut/views.npy").open("r+b") as file:
        file.truncate(100)
    with pytest.raises(UserError, match=r"^work/features/cut/views\.npy was changed while it was written"):
        writer.publish()
    assert not features.FEATURES.exists()


def test_an_array_that_is_not_full_does_not_get_into_its_place():
    for blocks, message in (([0, 1], "3 of 4 rows"), ([0, 2], "row 2 is not written")):
        with pytest.raises(AssertionError, match=message):
            begun(blocks, f"work{blocks}").publish()
    assert not features.FEATURES.exists()


@pytest.mark.parametrize("name", PLACES)
@pytest.mark.parametrize("damage", OF_ARRAYS)
def test_an_array_is_not_believed_because_it_is_there(name, damage):
    ended(features.Writer(Path("work"), SHAPES, TABLE))
    DAMAGES[damage](PLACES[name])
    why = "holds something else than was written" if damage in ("zeroed", "one bit") else r"has \d+ bytes, \d+ were"
    with pytest.raises(UserError, match=rf"^{PLACES[name]} is damaged \(it {why}.*`make check`.*`dvc repro") as error:
        getattr(features, name)(table=TABLE)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("damage", ["empty", "cut", "zeroed", "not text", "null", "a list", "deep", "other names"])
def test_an_array_without_its_record_is_not_believed(damage):
    ended(features.Writer(Path("work"), SHAPES, TABLE))
    DAMAGES[damage](features.CUT / "arrays.json")
    with pytest.raises(UserError, match="arrays.json does not say what is in it"):
        features.read_cut(table=TABLE)
    (features.CUT / "arrays.json").unlink()
    with pytest.raises(UserError, match="arrays.json does not say what is in it"):
        features.read_cut(table=TABLE)


def test_of_several_backbones_the_record_says_how_wide_each_part_is():
    ended(features.Writer(Path("work"), SHAPES, TABLE))
    record = json.loads((features.BOTTLENECK / "arrays.json").read_text())
    assert features.widths() == [] and {*record["plain.npy"]} == {"size", "sha256", "images"}
    ended(features.Writer(Path("again"), SHAPES, TABLE, [1, 1]))
    assert features.widths() == [1, 1]
    assert_published()
    for wrong in ([1], [2, 1], [3, -1], [1.0, 1.0], "1", None):
        record["plain.npy"]["widths"] = wrong
        (features.BOTTLENECK / "arrays.json").write_text(json.dumps(record))
        with pytest.raises(
            UserError, match=r"plain\.npy is damaged \(.*arrays\.json does not say how wide its parts are"
        ):
            features.widths()


def test_an_array_of_other_images_is_not_believed():
    ended(features.Writer(Path("work"), SHAPES, TABLE))
    shuffled = Manifest(TABLE.classes, TABLE.paths, TABLE.labels, TABLE.splits, list("bacd"))
    with pytest.raises(UserError, match=r"it is of other images than data/manifest\.csv"):
        features.read_bottleneck(table=shuffled)
    dealt = Manifest(TABLE.classes, TABLE.paths, TABLE.labels, TABLE.splits[::-1], TABLE.sha256)
    features.read_bottleneck(table=dealt)
    with pytest.raises(UserError, match=r"it is of other images than data/manifest\.csv"):
        features.read_cut_views(table=dealt)


def test_arrays_are_on_the_disk_before_the_mark_that_vouches_for_them(monkeypatch):
    synced, replace = {}, Path.replace

    def sync(descriptor):
        status = os.fstat(descriptor)
        synced[status.st_ino] = Path(f"/dev/fd/{descriptor}").stat().st_mtime_ns

    def replaced(part, target):
        if target.name == "done.json":
            for path in [part, *Path("work/features").rglob("*.npy")]:
                assert synced.get(path.stat().st_ino) == path.stat().st_mtime_ns, f"{path} is not synced"
        return replace(part, target)

    monkeypatch.setattr("os.fsync", sync)
    monkeypatch.setattr(Path, "replace", replaced)
    begun()
    ended(features.Writer(Path("work"), SHAPES, TABLE))
    assert Path("work").stat().st_ino in synced, "the folder in which the mark is renamed"


def test_what_an_earlier_run_published_is_replaced():
    for number, shapes in enumerate((SHAPES, {"bottleneck/plain": (4, 2)})):
        writer = features.Writer(Path(f"work{number}"), shapes, TABLE)
        for which in range(3):
            full = {name: np.full_like(EXPECTED[name], number) for name in shapes}
            writer.write(which, block(which, shapes, full))
        writer.publish()
    assert features.read_bottleneck(table=TABLE)[:].max() == 1
    assert list(features.CUT.iterdir()) == []
    assert sorted(path.name for path in features.BOTTLENECK.iterdir()) == ["arrays.json", "plain.npy"]


def test_arrays_that_are_not_filled_yet_still_need_their_space(tmp_path, monkeypatch):
    shapes = {"bottleneck/plain": (100, 10_000)}
    features.Writer(tmp_path, shapes, TABLE)
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 10**9 - 10**6, 10**6))
    with pytest.raises(UserError, match="the features take 2 MB"):
        features.Writer(tmp_path, shapes, TABLE)
    np.save(tmp_path / "features/bottleneck/plain.npy", np.ones((100, 10_000), np.float16))
    features.Writer(tmp_path, shapes, TABLE)
