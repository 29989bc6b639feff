"""Predictions into a folder of Parquet files, here and on a cluster."""

import os
import signal
from functools import partial
from pathlib import Path

import colours
import pytest
from colours import photo

from headstart import predict
from headstart.base.errors import UserError
from headstart.cluster import spreading, where
from headstart.delivery import batch, parts, spread
from headstart.images.archive import Unreachable

parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed: pip install -r requirements-dev.txt")
COLOURS = {"a.png": "red", "b.png": "blue", "c.png": "green", "d.png": "red"}


@pytest.fixture
def photos(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(predict, "chosen", lambda runtime, model: colours.classifier())
    monkeypatch.setattr(parts, "ROWS", 2)
    for name, colour in COLOURS.items():
        photo(Path("photos", name), colour)
    Path("photos/e.png").write_bytes(b"no image")
    return tmp_path


def rows(folder="out"):
    return parquet.read_table(folder).to_pylist()


def files(folder="out"):
    return sorted(path.name for path in Path(folder).glob("*.parquet"))


def test_a_folder_is_filled_part_by_part_and_goes_on(photos, capsys):
    predict.main(["photos", "--out", "one.parquet"])
    assert predict.main(["photos/a.png", "photos/b.png", "photos/c.png", "--out", "out/"]) == 0
    assert files() == ["part-000001.parquet"]
    assert predict.main(["photos", "--out", "out"]) == 1
    assert files() == ["part-000001.parquet", "part-000002.parquet"]
    by_path = {row["path"]: row for row in rows()}
    assert by_path == {row["path"]: row for row in parquet.read_table("one.parquet").to_pylist()} and len(rows()) == 5
    assert "out: 2 images predicted, 3 were there before; 1 could not be read" in capsys.readouterr().err


@pytest.mark.parametrize(("kind", "kept"), [(KeyboardInterrupt, 3), (Unreachable, 3), (OSError, 2)])
def test_what_is_predicted_when_a_run_ends_early_is_kept(photos, monkeypatch, kind, kept):
    """Ctrl-C, or a store that stays away. Of a disk that is full nothing more is asked."""

    def ends(*_):
        for name in ("a", "b", "c"):
            yield [{"path": f"{name}.png", "class": "red", "probability": 1.0}]
        raise kind("and here it ends")

    monkeypatch.setattr(batch, "_batches", ends)
    with pytest.raises((kind, UserError)):
        predict.main(["photos", "--out", "out/"])
    assert [row["path"] for row in rows()] == ["a.png", "b.png", "c.png"][:kept]


def test_what_a_kill_left_of_a_part_is_written_anew(photos):
    predict.main(["photos/a.png", "photos/b.png", "--out", "out/"])
    Path("out/part-000002.parquet.part").write_bytes(b"PAR1 and no more")
    predict.main(["photos", "--out", "out/"])
    assert sorted(path.name for path in Path("out").iterdir()) == [
        ".lock",
        "part-000001.parquet",
        "part-000002.parquet",
    ]
    assert len(rows()) == 5


def test_what_is_no_such_folder_is_left_as_it_is(photos):
    with pytest.raises(UserError, match=r"^--out: photos holds something else, a\.png: takes a folder of its own"):
        predict.main(["photos", "--out", "photos/"])
    Path("file").write_text("")
    with pytest.raises(UserError, match="^--out: file is no folder"):
        predict.main(["photos", "--out", "file/"])
    predict.main(["photos", "--out", "out/"])
    Path("out", files()[0]).write_bytes(b"PAR1 and no more")
    with pytest.raises(UserError, match="is no table that --out writes"):
        predict.main(["photos", "--out", "out/"])


def deadly(path, engine):
    """A classifier's stand-in in the processes of a cluster; of one image they die."""
    found = colours.classifier()
    outcomes = found.outcomes

    def watched(reads, threads, depths):
        def checked(read):
            data = read()
            return os.kill(os.getpid(), signal.SIGKILL) if data.endswith(b"deadly") else data

        return outcomes((partial(checked, read) for read in reads), threads, depths)

    found.outcomes = watched
    return found


class Worker(spread.Worker):
    def __init__(self, files, main, engine, cores):
        spread.Classifier.load = staticmethod(deadly)
        super().__init__({}, "", engine, cores)


def test_a_cluster_gives_the_same_rows_and_names_what_its_processes_die_of(photos, monkeypatch, capfd):
    pytest.importorskip("ray", reason="Ray is not installed: pip install -r requirements-ray.txt")
    predict.main(["photos", "--out", "here/"])
    Path("colours.keras").write_bytes(b"")  # the file that is sent to the processes
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    monkeypatch.setenv(where.RAY, where.LOCAL)
    monkeypatch.setenv(where.CORES, "1")
    monkeypatch.setattr(spread, "SIZES", (3, 1))
    monkeypatch.setattr(spreading, "TRIES", 2)
    monkeypatch.setattr(spread, "Worker", Worker)
    bomb = Path("photos/bomb.png")
    bomb.write_bytes(Path("photos/a.png").read_bytes() + b"deadly")
    capfd.readouterr()
    assert predict.main(["photos", "missing", "--out", "there/"]) == 1
    by_path = {row["path"]: row for row in rows("there")}
    assert by_path.pop("photos/bomb.png")["error"] == "2 processes died of it"
    assert by_path.pop("missing")["error"] == "No such file or directory"
    assert by_path == {row["path"]: row for row in rows("here")}
    printed = capfd.readouterr()
    assert "3 could not be read" in printed.err and "ray" not in printed.err.lower() + printed.out.lower()
