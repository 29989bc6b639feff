"""Tables that predictions are written to: what is done is known, whatever ended the run before."""

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import colours
import pytest
from colours import photo
from conftest import ROOT

from headstart import predict
from headstart.base import cells, files
from headstart.base.errors import UserError
from headstart.delivery import tables

FORMS = ("csv", "jsonl", "parquet")
OWN = colours.SHA256[: tables.LETTERS]
# Of images, broken ones, and names that would be something else in a table.
NAMES = {
    "a.png": "red",
    "b.png": "blue",
    'both, or "neither".png': (120, 0, 120),
    "green.png": "green",
    "=1+1.png": "red",
    "two\nlines.png": "blue",
    'two\n"lines",3\n.png': "red",
    "\r.png": "red",
    "картинка 划痕.png": "blue",
    "half\udcff.png": "red",
    "z.png": None,
}


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(predict, "chosen", lambda runtime, model: colours.classifier())
    return tmp_path


@pytest.fixture
def photos(here):
    for name, colour in NAMES.items():
        if colour:
            photo(Path("photos", name), colour)
        else:
            Path("photos", name).write_bytes(b"\x89PNG\r\n\x1a\n and then")
    return here


def read(path):
    """The rows of a table, as any program reads them; None for what is empty."""
    if path.endswith(".csv"):
        with Path(path).open(encoding="utf-8", newline="") as lines:
            return [{name: value or None for name, value in row.items()} for row in csv.DictReader(lines)]
    if path.endswith(".jsonl"):
        with Path(path).open(encoding="utf-8") as lines:
            return [json.loads(line) for line in lines]
    return pytest.importorskip("pyarrow.parquet").read_table(path).to_pylist()


def into(path, *arguments):
    if path.endswith(".parquet"):
        pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install -r requirements-dev.txt")
    return predict.main(["--out", path, *map(str, arguments or ["photos"])])


def command(*arguments, **environment):
    """Start the command in a process of its own."""
    return subprocess.Popen(
        [sys.executable, str(Path(colours.__file__)), *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("form", FORMS)
def test_each_form_has_a_row_for_each_image(photos, form, capsys):
    assert into(f"predictions.{form}") == 1
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.splitlines()[-1] == (
        f"predictions.{form}: 11 images predicted, 0 were there before; 1 could not be read, and the column error says "
        "why"
    )
    rows = {row["path"]: row for row in read(f"predictions.{form}")}
    names = sorted(f"photos/{name}".encode(errors="backslashreplace").decode() for name in NAMES)
    shown = "photos/=1+1.png"
    assert sorted(rows) == names and shown in names  # with a folder before it, it is no formula
    assert {row["classifier"] for row in rows.values()} == {OWN}
    row, unsure, far, broken = (rows[f"photos/{name}"] for name in ("a.png", *list(NAMES)[2:4], "z.png"))
    assert row["class"] == "red" and float(row["probability"]) == pytest.approx(0.982014, abs=1e-6)
    assert broken["error"] == "damaged: a PNG by its first bytes, and no more" and broken.get("class") is None
    if form == "csv":
        assert (row["possible"], unsure["possible"]) == (None, '["red", "blue"]')
        assert (row["unlike"], far["unlike"], broken["unlike"]) == ("0", "1" if far["unlike"] == "1" else "0", None)
    else:
        assert (row["possible"], unsure["possible"]) == (["red"], ["red", "blue"])
        assert row["probabilities"] == pytest.approx({"blue": 0.017986, "red": 0.982014}, abs=1e-6)
        assert row["unlike"] is False


def test_no_cell_of_the_table_is_a_formula(here):
    photo("=1+1.png", "red")
    assert into("p.csv", "=1+1.png") == 0
    assert read("p.csv")[0]["path"] == "'=1+1.png"
    assert cells.read(Path("p.csv").read_text())[1][0] == "=1+1.png"
    before = Path("p.csv").read_bytes()
    assert into("p.csv", "=1+1.png") == 0
    assert Path("p.csv").read_bytes() == before


@pytest.mark.parametrize("form", FORMS)
def test_what_has_a_row_is_not_predicted_again_and_new_images_come_behind(photos, form, capsys):
    into(f"p.{form}")
    rows = read(f"p.{form}")
    before = Path(f"p.{form}").read_bytes()
    capsys.readouterr()
    assert into(f"p.{form}") == 1  # an image could not be read, as the table says
    assert "p." + form + ": 0 images predicted, 11 were there before; 1 could" in capsys.readouterr().err
    assert Path(f"p.{form}").read_bytes() == before
    photo("photos/0 new.png", "blue")
    assert into(f"p.{form}", "photos/0 new.png", "photos", "./photos/0 new.png") == 1
    assert ": 1 image predicted, 11 were there before" in capsys.readouterr().err
    assert read(f"p.{form}")[: len(rows)] == rows
    assert [row["path"] for row in read(f"p.{form}")[len(rows) :]] == ["photos/0 new.png"]
    assert into(f"p.{form}", "photos/a.png") == 0
    assert sorted(map(str, Path().iterdir())) == [f"p.{form}", "photos"]


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_a_last_row_that_is_torn_at_any_byte_is_cut_off_and_written_again(photos, form, capsys):
    path = Path(f"p.{form}")
    into(path.name)
    before = path.stat().st_size
    photo('photos/a\n"last",\n.png', (120, 0, 120))
    into(path.name)
    whole = path.read_bytes()
    assert len(whole) - before > 60 and b"last" in whole[before:]
    for length in range(before, len(whole)):
        path.write_bytes(whole[:length])
        capsys.readouterr()
        into(path.name)
        assert path.read_bytes() == whole, length
        said = f"p.{form}: cut off {length - before} bytes of a row that an earlier run did not finish"
        assert (said in capsys.readouterr().err) == (length > before)


def test_a_header_that_is_torn_is_written_again(photos):
    into("p.csv")
    whole = Path("p.csv").read_bytes()
    for length in range(len(tables.CSV.header)):
        Path("p.csv").write_bytes(whole[:length])
        into("p.csv")
        assert Path("p.csv").read_bytes() == whole


@pytest.mark.parametrize("form", FORMS)
def test_killed_in_the_middle_until_done_it_has_the_rows_of_an_undisturbed_run(photos, form):
    for number in range(170):
        (photos / f"photos/{number:03}.png").hardlink_to("photos/a.png")
    into(f"whole.{form}")
    grows = Path(f"p.{form}" + (".jsonl" if form == "parquet" else ""))
    random.seed(form)
    kills = 0
    while True:
        process = command("--out", f"p.{form}", "photos", PAUSE="0.1")
        size = grows.stat().st_size if grows.exists() else 100
        while process.poll() is None and not (grows.exists() and grows.stat().st_size > size):
            time.sleep(0.01)
        time.sleep(random.uniform(0, 0.15))
        process.kill()
        _, messages = process.communicate()
        if process.returncode != -signal.SIGKILL:
            break
        kills += 1
    assert process.returncode == 1, messages
    assert kills >= 2
    assert Path(f"p.{form}").read_bytes() == Path(f"whole.{form}").read_bytes()
    assert len(read(f"p.{form}")) == len({row["path"] for row in read(f"p.{form}")}) == 181
    assert not Path("p.parquet.jsonl").exists()


def test_parquet_that_was_killed_before_its_journal_was_removed_has_no_row_twice(photos):
    into("p.parquet")
    rows = read("p.parquet")
    entries = ({name: value for name, value in row.items() if value is not None} for row in rows)
    photo("photos/zz.png", "red")
    Path("p.parquet.jsonl").write_text("".join(map(tables.JSON.line, entries)))
    assert into("p.parquet") == 1
    assert read("p.parquet")[:-1] == rows and read("p.parquet")[-1]["path"] == "photos/zz.png"
    assert not Path("p.parquet.jsonl").exists()


@pytest.mark.parametrize("form", FORMS)
def test_a_table_of_another_classifier_is_refused_and_stays(photos, form, monkeypatch):
    into(f"p.{form}")
    before = Path(f"p.{form}").read_bytes()
    other = colours.classifier("f" * 64, ["cat", "dog"])
    monkeypatch.setattr(predict, "chosen", lambda runtime, model: other)
    with pytest.raises(UserError, match=rf"p\.{form} holds predictions of another classifier \({OWN}; this one is f"):
        into(f"p.{form}")
    assert Path(f"p.{form}").read_bytes() == before


HEADER = tables.CSV.header.decode()
ROW = f"a.png,red,1,,,,{OWN}\n"
# Of each form: what a user may have in a file of that name.
STRANGE = [
    ("csv", "path,label\na.png,red\n"),
    ("csv", "x"),
    ("csv", "\n"),
    ("csv", "a" * 3000),
    ("csv", "\ufeff" + HEADER),
    ("csv", HEADER.replace("\n", "\r\n")),
    ("csv", HEADER + "a,b\n"),
    ("csv", HEADER + "a.png,red,1,,,,nobody\n"),
    ("csv", HEADER + '"' + ROW + ROW),  # a quotation mark too many: what follows is not torn
    ("csv", HEADER + ROW + "a" * 2**21),
    ("jsonl", "[]\n"),
    ("jsonl", "{}\n"),
    ("jsonl", "x"),
    ("jsonl", '{"path": 3}\n'),
    ("jsonl", '{"path": "a.png", "label": 1}\n'),
    ("jsonl", '{"path": "a.png", "label": 1}'),
    ("jsonl", '{"name": "x"}'),
    ("jsonl", "[" * 100_000 + "\n"),
    ("jsonl", f'{{"path": "a", "classifier": ["{OWN}"]}}\n'),
    ("parquet", "PAR1 and so on"),
    ("parquet", "path,label\n"),
]


@pytest.mark.parametrize(("form", "text"), STRANGE, ids=range(len(STRANGE)))
def test_a_file_that_is_no_such_table_is_refused_and_stays(photos, form, text):
    path = Path(f"notes.{form}")
    path.write_bytes(text.encode())
    with pytest.raises(
        UserError, match=rf"^notes\.{form} is no table that --out writes, and is left as it is \("
    ) as error:
        into(path.name)
    assert path.read_bytes() == text.encode() and not list(Path().glob(f"{path}.*"))
    assert "\n" not in str(error.value) and len(str(error.value)) < 500


def test_parquet_of_other_columns_or_types_is_refused(photos):
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    parquet.write_table(arrow.table({"path": ["a.png"], "label": ["red"]}), "notes.parquet")
    with pytest.raises(UserError, match=r"is no table .* \(its columns are path, label\)"):
        into("notes.parquet")
    into("p.parquet")
    table = parquet.read_table("p.parquet")
    parquet.write_table(table.set_column(2, "probability", table["class"]), "p.parquet")
    with pytest.raises(UserError, match=r"is no table .* \(its columns hold something else\)"):
        into("p.parquet")
    assert not list(Path().glob("*.part")) and not list(Path().glob("*.jsonl"))


@pytest.mark.parametrize("name", ["p.txt", "p", "p.csv.gz", ".csv"])
def test_an_ending_that_says_nothing_is_refused_before_anything_is_loaded(here, name, monkeypatch):
    monkeypatch.setattr(predict, "chosen", None)
    with pytest.raises(UserError, match=r"takes a name that ends in \.csv, \.jsonl, \.parquet"):
        into(name)


def test_parquet_without_its_library_is_one_line(here, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UserError, match=r"p\.parquet needs pyarrow: pip install -r requirements-parquet\.txt"):
        predict.main(["--out", "p.parquet", "photos"])


@pytest.mark.parametrize("form", FORMS)
def test_a_second_run_on_the_same_file_is_refused(photos, form):
    if form == "parquet":
        pytest.importorskip("pyarrow")
    held = Path(f"p.{form}" + (".jsonl" if form == "parquet" else ""))
    with held.open("w") as file:
        assert files.lock(file.fileno())
        with pytest.raises(UserError, match=rf"another run is writing to p\.{form}"):
            into(f"p.{form}")
    assert into(f"p.{form}") == 1


def test_what_is_no_file_or_cannot_be_made_is_one_line(photos):
    Path("folder.csv").mkdir()
    os.mkfifo("pipe.jsonl")
    for name in ("folder.csv", "pipe.jsonl", "/dev/full"):
        Path("link.csv").unlink(missing_ok=True)
        Path("link.csv").symlink_to(name)
        with pytest.raises(UserError, match="is no file"):
            into("link.csv" if name == "/dev/full" else name)
    Path("text").write_text("")
    process = command("--out", "text/p.csv", "photos")
    _, messages = process.communicate()
    assert (process.returncode, messages.splitlines()[-1][:26]) == (1, "error: text is in the way "[:26])
    assert into("new/folder/p.csv") == 1
    assert len(read("new/folder/p.csv")) == 11


@contextmanager
def mounted(folder, options):
    """A file system in memory at `folder`; where none can be mounted, the test is skipped."""
    Path(folder).mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


def test_a_folder_that_may_not_be_written_to_is_one_line(photos):
    with mounted("closed", "ro"):
        process = command("--out", "closed/p.csv", "photos")
        _, messages = process.communicate()
    assert process.returncode == 1
    assert messages.splitlines() == ["error: no permission for closed/p.csv: Read-only file system; change its owner "
                                     "or its mode"]  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_a_disk_that_is_full_is_one_line_and_the_next_run_goes_on(photos, form, tmp_path):
    if form == "parquet":
        pytest.importorskip("pyarrow")
    for number in range(400):
        (photos / f"photos/{number:03}.png").hardlink_to("photos/a.png")
    with mounted("small", "size=16k"):
        process = command("--out", f"small/p.{form}", "photos")
        _, messages = process.communicate()
        assert process.returncode == 1
        assert messages.splitlines()[-1].startswith("error: the disk is full (")
        assert "Traceback" not in messages
        subprocess.run(["mount", "-o", "remount,size=8m", "small"], check=True)
        assert into(f"small/p.{form}") == 1
        into(f"whole.{form}")
        assert read(f"small/p.{form}") == read(f"whole.{form}")


def test_letters_that_would_act_on_a_terminal_are_escapes_in_json(here):
    photo("\x9b31m\u202egnp.png", "red")
    assert into("p.jsonl", "\x9b31m\u202egnp.png") == 0
    assert read("p.jsonl")[0]["path"] == "\x9b31m\u202egnp.png"
    assert not {"\x9b", "\u202e"} & set(Path("p.jsonl").read_text(encoding="utf-8"))
    before = Path("p.jsonl").read_bytes()
    assert into("p.jsonl", "\x9b31m\u202egnp.png") == 0
    assert Path("p.jsonl").read_bytes() == before


def test_images_given_twice_have_one_row(photos, capsys):
    assert into("p.csv", "photos/a.png", "photos", "./photos/a.png", "photos/", "photos/../photos/a.png") == 1
    assert "p.csv: 12 images predicted" in capsys.readouterr().err  # another path is another image
    assert len({row["path"] for row in read("p.csv")}) == len(read("p.csv")) == 12


def test_a_link_stays_one(photos):
    Path("far").mkdir()
    for form in ("csv", "parquet"):
        Path(f"p.{form}").symlink_to(f"far/p.{form}")
        into(f"p.{form}")
        assert Path(f"p.{form}").is_symlink() and len(read(f"far/p.{form}")) == 11


def test_interrupted_it_says_so_and_keeps_what_is_done(photos):
    for number in range(400):
        (photos / f"photos/{number:03}.png").hardlink_to("photos/a.png")
    process = command("--out", "p.csv", "photos", PAUSE="0.2")
    deadline = time.monotonic() + 30
    while not (Path("p.csv").exists() and Path("p.csv").stat().st_size > 1000) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, messages = process.communicate()
    assert (process.returncode, messages.splitlines()[-1]) == (130, "error: interrupted")
    assert 0 < len(read("p.csv")) < 411
    assert into("p.csv") == 1
    assert len(read("p.csv")) == 411
