"""The records that DVC keeps of runs: which are intact, what they name, and where the remote has them."""

import hashlib
import json
from pathlib import Path

import pytest
import workshop
from dvc.fs import generic
from dvc.repo import Repo
from dvc.stage.cache import _get_cache_hash
from dvc.utils.serialize import dump_yaml, load_yaml

from headstart.team import checking, objects, run_cache, sharing


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


def forge(folder: Path, template: Path, change) -> Path:
    """Write a record with right hashes, as anybody can, who may push, into a cache or a remote's folder."""
    record = load_yaml(template)
    change({out["path"]: out for out in record["outs"]})
    forged = folder / "runs" / template.parent.parent.name / template.parent.name / _get_cache_hash(record)
    forged.parent.mkdir(parents=True, exist_ok=True)
    dump_yaml(forged, record)
    return forged


def listing(folder: Path, content: str) -> str:
    """Put the list of a folder into a cache or a remote's folder, under its right name."""
    digest = hashlib.md5(content.encode()).hexdigest()
    path = folder / "files/md5" / digest[:2] / f"{digest[2:]}.dir"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    path.chmod(0o444)
    return digest + ".dir"


MD5 = "0" * 32
STRANGE = [
    *(json.dumps([{"md5": MD5, "relpath": path}]) for path in ("../../evil", "/tmp/evil", "", "a/../../b", "a//b")),
    *(json.dumps([{"md5": MD5, "relpath": path}]) for path in ("C:\\evil", "..\\evil", "\\evil", "a\0b", ".", 3)),
    *(json.dumps([{"md5": digest, "relpath": "a"}]) for digest in ("../../../../evil", MD5 + ".dir", None)),
    *('{"md5": 1}', "[1]", '[{"relpath": "a"}]', "[" * 200_000, ""),
]


@pytest.mark.parametrize("content", STRANGE, ids=range(len(STRANGE)))
def test_what_lists_no_folder_is_no_list(tmp_path, content):
    (tmp_path / "list").write_text(content)
    assert not objects.is_list(tmp_path / "list")


def test_a_list_of_a_folder_is_one(tmp_path):
    names = ["a", "b/c d", "..a/b..", "a\\b", "c:d", "ä"]
    (tmp_path / "list").write_text(json.dumps([{"md5": MD5, "relpath": name} for name in names]))
    assert objects.is_list(tmp_path / "list")


def test_a_record_whose_folder_leads_out_of_the_project_is_not_used(team, tmp_path):
    """DVC writes each file of a folder to wherever the folder's list says; no issue of DVC is known.

    `dvc repro --pull` fetches the records once more by itself, and takes this one: docs/team.md says so.
    """
    (here,) = (team.first.path / ".dvc/cache/runs").glob("*/*/*")
    entry = {"md5": workshop.digests(team.first)["model"], "relpath": "../../evil.txt"}
    oid = listing(team.server.folder, json.dumps([entry]))
    forged = forge(team.server.folder, here, lambda outs: outs["features"].update(md5=oid))
    second = workshop.clone(team.first, tmp_path / "second")
    lock = load_yaml(second.path / "dvc.lock")
    del lock["stages"]["train"]
    dump_yaml(second.path / "dvc.lock", lock)
    (tmp_path / "evil.txt").write_text("mine")
    assert f"and not used: the record of a run ({forged})" in workshop.message(sharing.pull, second.path)
    assert (tmp_path / "evil.txt").read_text() == "mine"
    assert not (second.path / ".dvc/cache/files/md5" / oid[:2] / oid[2:]).exists()
    assert not list((second.path / ".dvc/cache/runs").glob(f"*/*/{forged.name}"))


@pytest.mark.parametrize("quick", [True, False])
def test_a_folder_that_leads_out_of_the_project_is_put_aside_with_its_record(team, quick):
    project = team.first
    (here,) = (project.path / ".dvc/cache/runs").glob("*/*/*")
    oid = listing(project.path / ".dvc/cache", json.dumps([{"md5": MD5, "relpath": "../../evil.txt"}]))
    forged = forge(project.path / ".dvc/cache", here, lambda outs: outs["features"].update(md5=oid))
    lock = load_yaml(project.path / "dvc.lock")
    {out["path"]: out for out in lock["stages"]["train"]["outs"]}["features"]["md5"] = oid
    dump_yaml(project.path / "dvc.lock", lock)
    lines = "; ".join(checking.check(project.path, quick=quick))
    assert "features: damaged in DVC's cache" in lines and "the record of a run is damaged" in lines
    assert not forged.exists() and here.exists()


@pytest.mark.parametrize(
    "change",
    [
        lambda outs: outs["model"].update(md5="../../../../evil"),
        lambda outs: outs["features"].update(files=[{"md5": MD5, "relpath": "../../evil"}]),
        lambda outs: outs["model"].update(hash="sha256"),
    ],
    ids=["md5", "files", "hash"],
)
def test_a_record_that_names_more_than_objects_is_damaged(team, change):
    (here,) = (team.first.path / ".dvc/cache/runs").glob("*/*/*")
    assert not run_cache.is_intact(forge(team.first.path / ".dvc/cache", here, change))


def test_a_record_that_is_a_folder_is_put_aside(team):
    (here,) = (team.first.path / ".dvc/cache/runs").glob("*/*/*")
    content = here.read_bytes()
    for function in (checking.check, sharing.pull):
        here.unlink()
        (here / "more").mkdir(parents=True)
        assert "the record of a run is damaged" in str(function(team.first.path))
        sharing.pull(team.first.path)
        assert here.read_bytes() == content


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
