"""A push sends nothing that is damaged here, and a pull mends what is, in the cache and in the workspace."""

from pathlib import Path

import pytest
import workshop
from conftest import Project
from workshop import Team, digests, kept, message

from headstart.team import checking, objects, sharing


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    return workshop.build(tmp_path_factory.mktemp("built"), size=4000)


@pytest.fixture
def team(built, tmp_path) -> Team:
    return workshop.in_folder(built, tmp_path)


def here(team: Team, at_remote: Path) -> Path:
    """Where the first member's cache has what is at a place of the remote."""
    return team.first.path / ".dvc/cache" / at_remote.relative_to(team.server.folder)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("name", ["model", "raw/big"])
@pytest.mark.parametrize("size", [0, 3, 9000])
def test_a_damaged_file_is_not_sent_over_the_one_at_the_remote(team, name, size):
    """DVC believes a read-only object of its cache (`LocalHashFileDB.check`), and would send it."""
    before = contents(team.server.folder)
    workshop.cut(here(team, kept(team, name)), size)
    line = message(sharing.push, team.first.path)
    assert line.startswith("damaged in DVC's cache, and not sent: ") and name in line and "run make check" in line
    assert contents(team.server.folder) == before


def test_a_file_that_the_remote_has_too_is_not_sent_where_it_is_damaged(team):
    before = contents(team.server.folder)
    workshop.zero(here(team, kept(team, "model")))
    assert sharing.push(team.first.path) == f"everything is on {team.server.url} already"
    assert contents(team.server.folder) == before


@pytest.mark.parametrize("mode", [0o444, 0o644])
def test_what_is_damaged_at_its_own_size_in_a_folder_is_sent_again(team, mode):
    before = contents(team.server.folder)
    (record,) = team.server.folder.glob("runs/*/*/*")
    for path in (kept(team, "raw/big"), workshop.folder_list(team), record):
        workshop.zero(path)
        path.chmod(mode)
    line = sharing.push(team.first.path)
    assert line.startswith(f"2 files and 1 run pushed to {team.server.url}; replaced there, where it was damaged: ")
    assert all(name in line for name in ("raw/big", "plots", "the record of a run"))
    assert contents(team.server.folder) == before
    assert sharing.push(team.first.path) == f"everything is on {team.server.url} already"


def test_what_is_a_link_elsewhere_in_a_folder_is_sent_again_and_nothing_is_written_there(team, tmp_path):
    path, other = kept(team, "raw/big"), tmp_path / "other"
    other.write_bytes(bytes(path.stat().st_size))
    path.unlink()
    path.symlink_to(other)
    assert "replaced there, where it was damaged: " in sharing.push(team.first.path)
    assert objects.digest(path) == objects.digest(team.first.path / "raw/big") and not any(other.read_bytes())


def another_run(project: Project) -> None:
    (project.path / "params.yaml").write_text("rate: 2\n")
    assert project.ran(project.repro()) == ["train"]


def test_what_names_a_damaged_file_is_not_sent_and_the_rest_is(team):
    another_run(team.first)
    workshop.zero(here(team, kept(team, "plots/more/p.yaml")))  # of the same content as the model
    line = message(sharing.push, team.first.path)
    assert "model" in line and "the rest is pushed" in line
    assert kept(team, "m.yaml").exists()
    assert len(list(team.server.folder.glob("runs/*/*/*"))) == 1  # the earlier run's
    names = [path.read_bytes() for path in team.server.folder.glob("files/md5/??/*.dir")]
    digest = objects.digest(team.first.path / "model").encode()
    assert not any(digest in content for content in names)
    assert workshop.damaged(team.server.folder) == []


def test_a_damaged_list_of_a_folder_is_not_sent(team):
    another_run(team.first)
    digest = objects.digest(team.first.path / "model").encode()
    (list_,) = [path for path in team.first.path.glob(".dvc/cache/files/md5/??/*.dir") if digest in path.read_bytes()]
    workshop.cut(list_, 20)
    assert message(sharing.push, team.first.path).startswith("damaged in DVC's cache, and not sent: plots;")
    assert len(list(team.server.folder.glob("files/md5/??/*.dir"))) == 3
    assert workshop.damaged(team.server.folder) == []


def test_a_pull_mends_the_cache_and_the_workspace(team):
    """By zeros that leave time and size as they were, which DVC takes for what it knows."""
    before = digests(team.first)
    for name in ("model", "plots/more/p.yaml", "features/all", "raw/big"):
        place = here(team, kept(team, name)) if name in ("model", "features/all") else None
        workshop.zero(team.first.path / name)
        if place:
            workshop.zero(place)
    line = sharing.pull(team.first.path)
    assert line.startswith(f"2 files fetched from {team.server.url}; ")
    for name in ("model", "features/all", "raw/big"):
        assert name in line
    assert digests(team.first) == before
    assert len(list((team.first.path / ".dvc/tmp/damaged/1").rglob("*"))) > 4
    assert sharing.pull(team.first.path) == f"0 files fetched from {team.server.url}"
    assert team.first.ran(team.first.repro()) == []


def test_a_pull_puts_a_folder_aside_that_is_in_the_place_of_a_file(team):
    (team.first.path / "model").unlink()
    (team.first.path / "model").mkdir()
    (team.first.path / "model/mine").write_text("mine")
    line = sharing.pull(team.first.path)
    assert "model: no file, as dvc.lock has it; what was there is now .dvc/tmp/damaged/1/model" in line
    assert (team.first.path / ".dvc/tmp/damaged/1/model/mine").read_text() == "mine"
    assert (team.first.path / "model").read_text() == "rate: 1\n"


@pytest.mark.parametrize("content", [b"", b"edited\n"])
def test_a_pull_brings_back_what_was_changed_and_keeps_the_change(team, content):
    before = digests(team.first)
    for name in ("model", "m.yaml", "raw/big"):
        (team.first.path / name).write_bytes(content)
    (team.first.path / "features/more").write_bytes(content)
    line = sharing.pull(team.first.path)
    assert "features/more: no stage wrote it" in line and "model: changed or damaged, and brought back" in line
    assert digests(team.first) == before
    aside = team.first.path / ".dvc/tmp/damaged/1"
    assert {str(path.relative_to(aside)) for path in aside.rglob("*") if path.is_file()} == {
        "features/more",
        "m.yaml",
        "model",
        "raw/big",
    }
    assert (aside / "model").read_bytes() == content


def test_a_pull_takes_the_versions_of_another_commit_without_a_word(team):
    before = team.first.run("git", "rev-parse", "HEAD").stdout.strip()
    another_run(team.first)
    team.first.commit("Another rate")
    team.first.run("git", "checkout", "-q", before, "--", "dvc.lock", "params.yaml", "m.yaml", "result.yaml")
    assert sharing.pull(team.first.path) == f"0 files fetched from {team.server.url}"
    assert (team.first.path / "model").read_text() == "rate: 1\n"
    assert not (team.first.path / ".dvc/tmp/damaged").exists()


def test_a_pull_leaves_what_the_user_tracks_and_has_changed(team):
    mine = team.first.path / "mine"
    mine.mkdir()
    for name in ("a", "b"):
        (mine / name).write_text(name)
    team.first.dvc("add", "mine")
    sharing.push(team.first.path)
    (mine / "a").write_text("another")
    (mine / "c").write_text("new")
    (team.first.path / "model").write_text("damaged")
    line = sharing.pull(team.first.path)
    assert "mine.dvc: changed here since `dvc add`, and left as it is" in line
    assert {path.name: path.read_text() for path in mine.iterdir()} == {"a": "another", "b": "b", "c": "new"}
    assert (team.first.path / "model").read_text() == "rate: 1\n"


def test_a_pull_leaves_what_git_keeps_and_the_cache_has_not(team, tmp_path):
    second = workshop.clone(team.first, tmp_path / "second")
    (second.path / "m.yaml").write_text("edited: 1\n")
    line = sharing.pull(second.path)
    assert "m.yaml: not as dvc.lock has it, and left as it is" in line
    assert (second.path / "m.yaml").read_text() == "edited: 1\n"
    assert digests(second).items() >= {("model", digests(team.first)["model"])}


def test_what_the_user_tracks_comes_from_the_remote_alone(team):
    (team.first.path / "mine").mkdir()
    (team.first.path / "mine/a").write_text("mine")
    team.first.dvc("add", "mine")
    sharing.push(team.first.path)
    workshop.cut(here(team, kept(team, "mine/a")), 0)
    (team.first.path / "mine/a").write_text("")
    line = "; ".join(checking.check(team.first.path, quick=True))
    assert "mine/a: damaged in DVC's cache; `make pull` brings it, if it was pushed; no stage can make it" in line
    (team.first.path / "mine/a").unlink()
    assert sharing.pull(team.first.path).startswith("1 file fetched")
    assert (team.first.path / "mine/a").read_text() == "mine"


def test_damage_on_both_sides_is_named_and_nothing_more_is_lost(team):
    for place in (kept(team, "model"), here(team, kept(team, "model"))):
        workshop.zero(place)
    for name in ("model", "plots/more/p.yaml"):
        (team.first.path / name).write_text("")
    others = {name: (team.first.path / name).read_bytes() for name in ("raw/big", "features/all", "m.yaml")}
    line = message(sharing.pull, team.first.path)
    assert "damaged on the remote, and not used: model" in line
    assert "what was there is now .dvc/tmp/damaged/1/model" in line
    assert {name: (team.first.path / name).read_bytes() for name in others} == others
    assert team.first.ran(team.first.repro()) == ["train"]
    assert (team.first.path / "model").read_text() == "rate: 1\n"


def test_with_a_damaged_dvc_lock_nothing_is_pushed_and_a_pull_mends_it(team):
    lock = team.first.path / "dvc.lock"
    committed = lock.read_bytes()
    lock.write_bytes(committed[:-9])
    line = workshop.message(sharing.push, team.first.path)
    assert line == "dvc.lock: cut short or damaged: run make check, which mends it, then `dvc repro`"
    assert "dvc.lock: cut short or damaged; what Git has of it is here again" in sharing.pull(team.first.path)
    assert lock.read_bytes() == committed and team.first.ran(team.first.repro()) == []
    assert sharing.push(team.first.path).endswith(" already")
