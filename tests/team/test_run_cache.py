"""The records that DVC keeps of runs: which are intact, what they name, and where the remote has them."""

from pathlib import Path

import pytest
import workshop
from dvc.fs import generic
from dvc.repo import Repo
from dvc.stage.cache import _get_cache_hash
from dvc.utils.serialize import dump_yaml, load_yaml

from headstart.team import checking, run_cache, sharing


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    return workshop.build(tmp_path_factory.mktemp("built"), size=4000)


@pytest.fixture
def team(built, tmp_path) -> workshop.Team:
    return workshop.in_folder(built, tmp_path)


def test_a_record_names_all_that_the_run_wrote(team):
    """`StageCache.get_used_objs` would name them, but `dvc push` does not ask it (see treeverse/dvc#10472)."""
    with Repo(str(team.first.path)) as repo:
        (record,) = run_cache.records(repo)
        places = run_cache.at_remote(repo, [record])[1]
    assert places == [str(path) for path in team.server.folder.glob("runs/*/*/*")]
    digests = workshop.digests(team.first)
    outputs = {path: oid for oid, path in run_cache.outputs(record)}
    assert sorted(outputs) == ["features", "m.yaml", "model", "plots", "result.yaml"]
    assert (outputs["model"], outputs["m.yaml"]) == (digests["model"], digests["m.yaml"])
    assert outputs["features"].endswith(".dir")


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:60],
        lambda text: text.replace("rate: 1", "rate: 7"),
        lambda text: "[",
        lambda text: "",
        lambda text: "[1, 2]",
        lambda text: "outs: [{md5: 0}]",
        lambda text: "\0" * len(text),
    ],
    ids=["short", "changed", "no YAML", "empty", "a list", "no path", "zeros"],
)
def test_a_damaged_record_is_told_by_its_name(team, damage):
    """`StageCache._load_cache` asks for a valid schema alone; no issue of DVC is known."""
    (record,) = (team.first.path / ".dvc/cache/runs").glob("*/*/*")
    assert run_cache.is_intact(record)
    text = record.read_text()
    assert damage(text) != text
    record.write_text(damage(text))
    assert not run_cache.is_intact(record)


def test_a_damaged_record_at_the_remote_is_named_and_the_one_here_stays(team):
    """`StageCache.transfer` writes it over an intact one; no issue of DVC is known."""
    (here,) = (team.first.path / ".dvc/cache/runs").glob("*/*/*")
    content = here.read_bytes()
    (record,) = team.server.folder.glob("runs/*/*/*")
    workshop.cut(record, 60)
    assert "file fetched" not in sharing.pull(team.first.path)
    assert here.read_bytes() == content
    here.unlink()
    line = workshop.message(sharing.pull, team.first.path)
    assert f"damaged on the remote, and not used: the record of a run ({record})" in line
    assert not here.exists()


def test_a_record_that_writes_elsewhere_than_its_stage_is_not_used(team):
    """DVC takes whichever record lies in the folder of what a stage reads, and checks out what it names."""
    (here,) = (team.first.path / ".dvc/cache/runs").glob("*/*/*")
    record = load_yaml(here)
    record["outs"][0]["path"] = ".git/hooks/post-commit"
    forged = team.server.folder / "runs" / here.parent.parent.name / here.parent.name / _get_cache_hash(record)
    dump_yaml(forged, record)
    assert str(forged) in workshop.message(sharing.pull, team.first.path)
    assert list((team.first.path / ".dvc/cache/runs").glob("*/*/*")) == [here]


def test_a_record_that_cannot_be_read_is_an_error(team, monkeypatch):
    """`StageCache.transfer` logs it, file by file, and goes on; no issue of DVC is known."""
    (record,) = (team.first.path / ".dvc/cache/runs").glob("*/*/*")
    record.unlink()
    monkeypatch.setattr(generic, "copy", workshop.broken)
    line = workshop.message(sharing.pull, team.first.path)
    assert line == f"{team.server.url}: [Errno 5] Input/output error: check the address, and that there is space left"


@pytest.mark.parametrize("quick", [True, False])
def test_a_run_without_its_record_is_run_again(team, quick):
    """`StageCache._load` fails on a folder without a record (`join() argument must be str`), as a kill leaves it."""
    (record,) = (team.first.path / ".dvc/cache/runs").glob("*/*/*")
    record.unlink()
    (team.first.path / "dvc.lock").unlink()
    done = team.first.repro(check=False)
    assert done.returncode != 0 and "join() argument must be str" in done.stderr, "DVC has mended it: this can go"
    checking.check(team.first.path, quick=quick)
    assert not record.parent.exists()
    assert "train" in team.first.ran(team.first.repro())
