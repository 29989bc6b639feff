"""What `make check`, and quickly `make repro`, find damaged in DVC's cache and in the workspace, and what they do."""

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import workshop
from conftest import Project

from headstart.team import checking, integrity, objects

DAMAGE: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: os.truncate(path, 0),
    "cut": lambda path: os.truncate(path, path.stat().st_size // 2),
    "longer": lambda path: os.truncate(path, path.stat().st_size + 9),
    "zeroed": lambda path: path.write_bytes(bytes(path.stat().st_size)),
}


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    return workshop.build(tmp_path_factory.mktemp("built"), size=4000)


@pytest.fixture
def project(built, tmp_path) -> Project:
    return workshop.copy(built, tmp_path / "project", tmp_path)


def cached(project: Project, name: str) -> Path:
    """Where DVC's cache has the content that a file has now."""
    digest = objects.digest(project.path / name)
    return project.path / ".dvc/cache/files/md5" / digest[:2] / digest[2:]


def damage(path: Path, how: str) -> None:
    """Damage a file and leave it read-only, as DVC leaves what it believes."""
    path.chmod(0o600)
    DAMAGE[how](path)
    path.chmod(0o444)


def lines(project: Project, **options) -> str:
    return "\n".join(checking.check(project.path, **options))


@pytest.mark.parametrize(("how", "quick"), [*((how, True) for how in DAMAGE), ("cut", False)])
def test_a_damaged_object_is_put_aside_and_mended_from_the_file(project, how, quick):
    assert lines(project, quick=quick) == ""
    for name in ("model", "raw/big"):
        object_, content = cached(project, name), (project.path / name).read_bytes()
        damage(object_, how)
        found = object_.read_bytes()
        line = lines(project, quick=quick)
        assert name in line and "damaged in DVC's cache; mended from the file here" in line
        (aside,) = (project.path / ".dvc/tmp/damaged").rglob(object_.name)
        assert str(aside.relative_to(project.path)) in line
        assert aside.read_bytes() == found
        assert object_.read_bytes() == content and mode(object_) == 0o444
    assert lines(project, quick=quick) == ""


@pytest.mark.parametrize("how", ["empty", "zeroed"])
def test_what_is_damaged_everywhere_is_made_anew_with_the_same_bytes(project, how):
    """As a power loss leaves it: the file in the cache and the one in its place."""
    before = workshop.digests(project)
    names = ["model", "plots/more/p.yaml", "features/all", "raw/big"]
    for path in {cached(project, name) for name in names} | {project.path / name for name in names}:
        damage(path, how)
    line = lines(project, quick=True)
    assert all(name in line for name in names) and "makes it anew" in line
    assert project.ran(project.repro()) == ["fetch", "train"]
    assert workshop.digests(project) == before
    assert lines(project) == ""


def test_dvc_brings_back_what_is_damaged_in_the_project(reproduced):
    """With hard links it would be the cache that is damaged, and believed."""
    outs = [
        path
        for folder in ("data/features", "data/manifest.csv", "models", "metrics")
        for path in [reproduced.path / folder, *sorted((reproduced.path / folder).rglob("*"))]
        if path.is_file() and path.name != ".gitignore"
    ]
    before = {path: path.read_bytes() for path in outs}
    assert len(before) > 15 and not any(path.stat().st_nlink > 1 for path in outs)
    lock = (reproduced.path / "dvc.lock").read_bytes()
    for path, how in zip(outs, itertools.cycle(DAMAGE.values())):
        how(path)
    assert reproduced.ran(reproduced.repro()) == []
    assert {path: path.read_bytes() for path in outs} == before
    assert (reproduced.path / "dvc.lock").read_bytes() == lock


def test_dvc_alone_believes_a_damaged_object(project):
    """When this fails, DVC looks at its cache itself, and `make check` is superfluous."""
    damage(cached(project, "model"), "empty")
    (project.path / "model").unlink()
    assert project.ran(project.repro()) == []
    assert (project.path / "model").read_bytes() == b""


def test_a_damaged_list_of_a_folder_is_put_aside_and_made_anew(project):
    (list_,) = [path for path in project.path.glob(".dvc/cache/files/md5/??/*.dir") if b"p.yaml" in path.read_bytes()]
    workshop.cut(list_, 20)
    assert lines(project, quick=True).startswith("plots: damaged in DVC's cache; `dvc repro` makes it anew")
    assert project.ran(project.repro()) == ["train"]
    assert lines(project) == ""


def test_what_an_earlier_run_wrote_is_found_too_and_not_brought_back(project):
    earlier = cached(project, "model")
    (project.path / "params.yaml").write_text("rate: 2\n")
    project.repro()
    damage(earlier, "zeroed")
    assert lines(project, quick=True) == ""  # it is not dvc.lock's
    assert f"{earlier.parent.name}{earlier.name} of an earlier run: damaged in DVC's cache" in lines(project)
    (project.path / "params.yaml").write_text("rate: 1\n")
    assert project.ran(project.repro()) == ["train"]
    assert (project.path / "model").read_text() == "rate: 1\n"


def test_a_damaged_record_of_a_run_is_put_aside(project):
    (record,) = (project.path / ".dvc/cache/runs").glob("*/*/*")
    workshop.cut(record, 60)
    assert "the record of a run is damaged; it is now .dvc/tmp/damaged/1/runs/" in lines(project)
    assert not record.exists()
    assert lines(project) == ""


@pytest.fixture
def restart(project, tmp_path, monkeypatch) -> Callable[[], None]:
    """What makes the machine one that has been started again."""
    boot = tmp_path / "boot_id"
    boot.write_text("first\n")
    monkeypatch.setattr(integrity, "BOOT_ID", boot)
    return lambda: boot.write_text("second\n")


def test_after_a_start_of_the_machine_all_is_hashed_again(project, restart):
    assert lines(project, quick=True) == ""
    workshop.zero(cached(project, "model"))
    assert lines(project, quick=True) == ""
    restart()
    assert "model" in lines(project, quick=True)
    assert lines(project, quick=True) == ""


def test_after_a_start_of_the_machine_the_workspace_and_what_earlier_runs_wrote_are_hashed(project, restart):
    earlier = cached(project, "model")
    (project.path / "params.yaml").write_text("rate: 2\n")
    project.repro()
    assert lines(project, quick=True) == ""
    workshop.zero(earlier)
    workshop.zero(project.path / "model")
    restart()
    line = lines(project, quick=True)
    assert f"{earlier.parent.name}{earlier.name} of an earlier run: damaged" in line
    assert (
        "model: changed or damaged, and brought back from DVC's cache; what was there is now .dvc/tmp/damaged/1/model"
        in line
    )
    assert (project.path / "model").read_text() == "rate: 2\n"


@pytest.mark.parametrize(
    "content", ["", "[]", "{", '{"boot": 1, "intact": [3]}', "\0\0\0", "[" * 200_000], ids=range(6)
)
def test_a_damaged_list_of_what_is_known_is_not_believed(project, content):
    assert lines(project, quick=True) == ""
    workshop.zero(cached(project, "model"))
    (project.path / ".dvc/tmp/checked.json").write_text(content)
    assert "model" in lines(project, quick=True)
    assert json.loads((project.path / ".dvc/tmp/checked.json").read_text())["intact"]


def test_what_was_intact_is_not_hashed_again(project, monkeypatch):
    assert lines(project, quick=True) == ""
    monkeypatch.setattr(integrity.objects, "is_intact", lambda cache, oid: oid.endswith(".dir") or pytest.fail(oid))
    assert lines(project, quick=True) == ""


def test_a_changed_file_of_a_stage_is_put_aside_and_brought_back(project):
    before = workshop.digests(project)
    (project.path / "model").write_text("edited\n")
    (project.path / "m.yaml").write_text("edited: 1\n")  # a metric, which Git keeps
    (project.path / "features/more").write_text("more\n")
    printed = lines(project)
    assert "features/more: no stage wrote it; what was there is now .dvc/tmp/damaged/1/features/more" in printed
    assert workshop.digests(project) == before and not (project.path / "features/more").exists()
    assert (project.path / ".dvc/tmp/damaged/1/model").read_text() == "edited\n"
    assert (project.path / ".dvc/tmp/damaged/1/m.yaml").read_text() == "edited: 1\n"
    assert project.run("git", "status", "--short").stdout == ""


def test_what_another_run_wrote_is_no_damage(project):
    (project.path / "params.yaml").write_text("rate: 2\n")
    project.repro()
    project.run("git", "checkout", "-q", "dvc.lock", "params.yaml")
    assert lines(project) == ""
    assert (project.path / "model").read_text() == "rate: 2\n"


def test_what_the_user_tracks_stays_as_it_is(project):
    (project.path / "mine").mkdir()
    (project.path / "mine/a").write_text("a")
    project.dvc("add", "mine")
    (project.path / "mine/a").write_text("another")
    (project.path / "mine/b").write_text("new")
    assert lines(project) == ""
    assert (project.path / "mine/a").read_text() == "another" and (project.path / "mine/b").exists()


def test_files_that_share_the_caches_content_become_copies(project):
    """As they are in a clone of before `cache.type` was `reflink,copy`."""
    project.dvc("config", "cache.type", "hardlink")
    project.dvc("checkout", "--relink")
    assert (project.path / "model").samefile(cached(project, "model"))
    assert "shared" not in lines(project)
    project.dvc("config", "cache.type", "reflink,copy")
    assert lines(project, quick=True) == "4 files shared with DVC's cache by hard links: now copies"
    assert not (project.path / "model").samefile(cached(project, "model"))
    (project.path / "model").write_text("")
    assert project.ran(project.repro()) == []
    assert (project.path / "model").read_text() == "rate: 1\n"


@pytest.mark.parametrize("content", ["", '{"read": ', "[]", '{"write": 1}', "\0\0\0", "\ufffe\0"])
def test_a_damaged_list_of_running_commands_is_put_aside(project, content):
    """DVC asks the user to remove .dvc/tmp/rwlock, in a line that each command ends with."""
    (project.path / ".dvc/tmp/rwlock").write_text(content, encoding="utf-16")
    assert lines(project, quick=True).startswith("DVC's list of running commands is damaged or out of date")
    assert project.ran(project.repro()) == []


@pytest.mark.parametrize("number", [10**19, 0, -1])
def test_a_number_that_no_process_has_blocks_nothing(project, number):
    entry = {"pid": number, "cmd": "dvc repro"}
    writes, reads = {"write": {str(project.path / "model"): entry}}, {"read": {str(project.path / "code"): [entry]}}
    for content in (json.dumps(writes), json.dumps(reads), "[" * 200_000):
        (project.path / ".dvc/tmp/rwlock").write_text(content)
        assert lines(project, quick=True).startswith("DVC's list of running commands is damaged or out of date")
    assert project.ran(project.repro()) == []


def test_a_process_of_before_a_start_of_the_machine_blocks_nothing(project, restart):
    assert lines(project, quick=True) == ""
    entry = {"pid": os.getpid(), "cmd": "dvc repro"}
    (project.path / ".dvc/tmp/rwlock").write_text(json.dumps({"write": {str(project.path / "model"): entry}}))
    assert f"another dvc command ({os.getpid()}: dvc repro)" in workshop.message(checking.check, project.path)
    restart()
    assert "out of date" in lines(project, quick=True)


def test_beside_a_run_nothing_is_touched(project):
    (project.path / "slow").write_text("4\n")
    (project.path / "params.yaml").write_text("rate: 5\n")
    running = subprocess.Popen(["python", "-m", "dvc", "repro"], cwd=project.path, env=project.environment)
    try:
        while not (project.path / ".dvc/tmp/rwlock").exists() or not checking_is_refused(project):
            assert running.poll() is None
            time.sleep(0.1)
        assert not (project.path / "model").exists()  # DVC has removed it, and the stage runs
    finally:
        assert running.wait() == 0
    assert (project.path / "model").read_text() == "rate: 5\n"
    assert lines(project) == ""


def checking_is_refused(project: Project) -> bool:
    try:
        checking.check(project.path)
    except checking.UserError as error:
        return "another dvc command" in str(error) and not (project.path / "model").exists()
    return False


def cut_in_a_hash(lock: bytes) -> bytes:
    return lock[: lock.rindex(b"md5: ") + 9]


LOCKS = {
    "empty": lambda lock: b"",
    "cut": lambda lock: lock[: len(lock) // 2],
    "cut in a hash": cut_in_a_hash,
    "zeroed": lambda lock: bytes(len(lock)),
    "zeroed from the middle on": lambda lock: lock[: len(lock) // 2] + bytes(len(lock) // 2),
    "another form": lambda lock: b"[]\n",
    "no text": lambda lock: b"\xff\xfe\n",
}


@pytest.mark.parametrize("in_git", [True, False])
@pytest.mark.parametrize(("how", "quick"), [*((how, True) for how in LOCKS), ("cut", False)])
def test_a_damaged_dvc_lock_is_put_aside_and_what_has_run_does_not_run_again(project, how, quick, in_git):
    if not in_git:
        project.run("git", "rm", "-q", "--cached", "dvc.lock")
    committed = (project.path / "dvc.lock").read_bytes()
    (project.path / "params.yaml").write_text("rate: 2\n")
    assert project.ran(project.repro()) == ["train"]
    before, lock = workshop.digests(project), (project.path / "dvc.lock").read_bytes()
    damaged = LOCKS[how](lock)
    (project.path / "dvc.lock").write_bytes(damaged)
    line = lines(project, quick=quick)
    assert line.startswith("dvc.lock: cut short or damaged; ") and "\n" not in line
    assert line.endswith("the damaged file is now .dvc/tmp/damaged/1/dvc.lock")
    assert (project.path / ".dvc/tmp/damaged/1/dvc.lock").read_bytes() == damaged
    assert (project.path / "dvc.lock").exists() == in_git == ("what Git has of it is here again" in line)
    assert not in_git or (project.path / "dvc.lock").read_bytes() == committed
    # Of a stage whose output stays (`persist`) DVC keeps no record.
    assert project.ran(project.repro()) == ([] if in_git else ["fetch"])
    assert workshop.digests(project) == before and (project.path / "dvc.lock").read_bytes() == lock
    assert lines(project) == ""


def test_a_dvc_lock_that_git_has_damaged_too_is_one_line(project):
    (project.path / "dvc.lock").write_text("[]\n")
    project.run("git", "add", "dvc.lock")
    (project.path / "dvc.lock").write_text("")
    line = workshop.message(checking.check, project.path)
    assert "dvc.lock" in line and "`git checkout` brings it back" in line
    assert not (project.path / ".dvc/tmp/damaged").exists()


def test_the_two_sides_of_a_merge_stay_for_the_user_to_settle(project):
    project.run("git", "checkout", "-q", "-b", "other")
    for branch, rate in (("other", 2), ("master", 3)):
        project.run("git", "checkout", "-q", *(["-B", "master", "HEAD~1"] if branch == "master" else []))
        (project.path / "params.yaml").write_text(f"rate: {rate}\n")
        project.repro()
        project.commit(f"Rate {rate}")
    project.run("git", "merge", "other", check=False)
    conflict = (project.path / "dvc.lock").read_text()
    line = workshop.message(checking.check, project.path)
    assert line.startswith(
        "dvc.lock: got both sides of a merge; takes one: `git checkout --ours dvc.lock` or `--theirs`"
    )
    assert "<<<<<<< " in conflict and (project.path / "dvc.lock").read_text() == conflict
    project.run("git", "checkout", "--ours", ".")
    project.run("git", "add", ".")
    assert project.ran(project.repro()) == [] and lines(project) == ""


@pytest.mark.parametrize("quick", [True, False])
@pytest.mark.parametrize("digest", ["1234", "../../../../etc/passwd"])
def test_what_is_no_md5_in_dvc_lock_is_one_line(project, digest, quick):
    lock, old = project.path / "dvc.lock", objects.digest(project.path / "model")
    before, found, after = lock.read_text().partition("path: model\n")
    assert found and old in after
    lock.write_text(before + found + after.replace(old, digest, 1))
    line = workshop.message(checking.check, project.path, quick=quick)
    assert line.startswith("dvc.lock: got ") and digest in line and "model; takes" in line
    assert "`git checkout dvc.lock` brings it back" in line


@pytest.mark.parametrize("name", ["dvc.yaml", "dvc.lock"])
def test_what_is_nested_too_deeply_is_one_line(project, name):
    (project.path / name).write_text("a: " + "[" * 5000)
    assert "nested too deeply" in workshop.message(checking.check, project.path)


@pytest.mark.parametrize("content", ["", "stages: {}\n", "plots: []\n"])
def test_a_dvc_yaml_without_stages_is_one_line(project, content):
    (project.path / "dvc.yaml").write_text(content)
    assert workshop.message(checking.check, project.path).startswith("dvc.yaml: got no stages")


@pytest.mark.parametrize("target", ["/nowhere", None, ""], ids=["a link to nothing", "a link to itself", "a folder"])
@pytest.mark.parametrize("quick", [True, False])
def test_an_object_that_is_no_file_is_put_aside(project, target, quick):
    path = cached(project, "model")
    content = path.read_bytes()
    path.unlink()
    if target == "":
        path.mkdir()
    else:
        path.symlink_to(target or path.name)
    assert "model, plots/more/p.yaml: damaged in DVC's cache; mended from" in lines(project, quick=quick)
    assert path.read_bytes() == content and not path.is_symlink()


def test_what_is_neither_here_nor_in_the_cache_is_named(project):
    shutil.rmtree(project.path / ".dvc/cache/files")
    assert lines(project) == ""  # all of it is in the project
    (project.path / "model").write_text("edited\n")
    shutil.rmtree(project.path / "plots")
    (project.path / "m.yaml").write_text("edited: 1\n")
    printed = lines(project).splitlines()
    assert sorted(line.partition(":")[0] for line in printed) == ["m.yaml", "model", "plots"]
    help = "neither here nor in DVC's cache; `dvc repro` makes it anew, or `make pull` brings it"
    assert all(help in line for line in printed)


def test_a_cache_that_is_a_file_is_one_line(project):
    shutil.rmtree(project.path / ".dvc/cache")
    (project.path / ".dvc/cache").write_text("")
    line = workshop.message(checking.check, project.path)
    assert line.startswith(f"{project.path / '.dvc/cache'} is no folder") and "move it elsewhere" in line


OBSTACLES: dict[str, Callable[[Path], object]] = {
    "a folder": lambda path: (path.mkdir(), (path / "mine").write_text("mine")),
    "a link to itself": lambda path: path.symlink_to(path.name),
    "a link to nothing": lambda path: path.symlink_to("nothing"),
}


@pytest.mark.parametrize("how", OBSTACLES)
@pytest.mark.parametrize("quick", [True, False])
def test_what_is_in_the_place_of_a_file_is_put_aside(project, how, quick):
    before = workshop.digests(project)
    for name in ("model", "features/all"):
        (project.path / name).unlink()
        OBSTACLES[how](project.path / name)
    printed = lines(project, quick=quick)
    for name in ("model", "features/all"):
        aside = f".dvc/tmp/damaged/1/{name}"
        assert f"{name}: no file, as dvc.lock has it; what was there is now {aside}" in printed
        assert os.path.lexists(project.path / aside)
        assert how != "a folder" or (project.path / aside / "mine").read_text() == "mine"
    assert workshop.digests(project) == before


def test_a_file_in_the_place_of_a_folder_is_put_aside(project):
    shutil.rmtree(project.path / "plots")
    (project.path / "plots").write_text("mine")
    assert "plots: no folder, as dvc.lock has it; what was there is now .dvc/tmp/damaged/1/plots" in lines(project)
    assert (project.path / ".dvc/tmp/damaged/1/plots").read_text() == "mine"
    assert (project.path / "plots/more/p.yaml").read_text() == "rate: 1\n"


def test_a_link_out_of_the_project_is_named_and_nothing_there_is_touched(project, tmp_path):
    (project.path / "plots").rename(tmp_path / "elsewhere")
    (tmp_path / "elsewhere/mine").write_text("mine")
    (project.path / "plots").symlink_to(tmp_path / "elsewhere")
    assert lines(project).startswith(f"plots: a link out of the project, to {tmp_path / 'elsewhere'}")
    assert (tmp_path / "elsewhere/mine").read_text() == "mine"


@pytest.mark.parametrize("in_cache", [True, False])
def test_before_a_run_what_was_edited_is_put_aside(project, in_cache):
    """DVC removes what a stage wrote before it runs it again."""
    assert lines(project, quick=True) == ""
    if not in_cache:
        cached(project, "model").unlink()
    (project.path / "model").write_text("edited\n")
    (project.path / "plots/more/mine").write_text("mine\n")
    (project.path / "raw/mine").write_text("mine\n")  # `persist`: it stays
    printed = lines(project, quick=True)
    for name in ("model", "plots/more/mine"):
        assert f"what was there is now .dvc/tmp/damaged/1/{name}" in printed
    assert (project.path / ".dvc/tmp/damaged/1/model").read_text() == "edited\n"
    assert (project.path / ".dvc/tmp/damaged/1/plots/more/mine").read_text() == "mine\n"
    assert (project.path / "raw/mine").exists()
    project.repro()
    assert (project.path / "model").read_text() == "rate: 1\n"


def test_a_damaged_database_of_dvcs_is_one_line(project, tmp_path):
    """DVC ends every command with "unexpected error - file is not a database"."""
    project.dvc("config", "core.site_cache_dir", str(tmp_path / "site"))
    assert lines(project) == ""
    for database in (tmp_path / "site").rglob("cache.db"):
        database.write_bytes(bytes(database.stat().st_size))
    line = workshop.message(checking.check, project.path)
    assert line.startswith("DVC's database of hashes is damaged") and f"remove {tmp_path / 'site/repo'}," in line
    shutil.rmtree(tmp_path / "site/repo")
    assert lines(project) == ""


def test_a_clock_that_is_set_back_changes_nothing(project):
    """All that was written before is of the next hour."""
    lines(project)
    for path in [project.path, *project.path.rglob("*")]:
        os.utime(path, (time.time() + 3600, time.time() + 3600), follow_symlinks=False)
    assert lines(project, quick=True) == ""
    assert project.ran(project.repro()) == []
    (project.path / "params.yaml").write_text("rate: 2\n")
    assert project.ran(project.repro()) == ["train"]
    damage(cached(project, "model"), "zeroed")
    assert "model" in lines(project, quick=True)
    (project.path / "params.yaml").write_text("rate: 1\n")
    assert project.ran(project.repro()) == []
    assert (project.path / "model").read_text() == "rate: 1\n"
    assert lines(project) == ""


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_credentials_that_an_experiment_left_behind_are_the_users_alone(project):
    """DVC copies .dvc/config.local with the mode of any file, and what is killed leaves it."""
    config = project.path / ".dvc/config.local"
    config.write_text("['remote \"team\"']\n    password = opensesame\n")
    config.chmod(0o600)
    (project.path / "slow").write_text("60\n")
    project.dvc("remote", "add", "team", "webdav://127.0.0.1:1/results")
    command = ["sh", "-c", f"umask 022; exec {sys.executable} -m dvc exp run --temp -S rate=7"]
    running = subprocess.Popen(command, cwd=project.path, env=project.environment, start_new_session=True)
    try:
        while not (copies := list(project.path.glob(".dvc/tmp/exps/**/config.local"))) or not config_of(copies[0]):
            assert running.poll() is None
            time.sleep(0.1)
    finally:
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()
    (copy,) = copies
    assert mode(copy) == 0o644  # once DVC takes care of it, `remote.protect` can go
    assert f"{copy}: others could read the credentials in it; now only you can" in lines(project, quick=True)
    assert mode(copy) == 0o600 and config_of(copy)
    config.chmod(0o644)
    assert f"{config}: others could read the credentials" in lines(project, quick=True)
    assert mode(config) == 0o600
    assert lines(project, quick=True) == ""


def config_of(file: Path) -> bool:
    return b"opensesame" in file.read_bytes()


def test_what_was_downloaded_without_git_is_one_line_that_says_what_to_do(project):
    shutil.rmtree(project.path / ".git")
    line = workshop.message(checking.check, project.path, quick=True)
    assert line.startswith(f"{project.path} is not a git repository, and DVC takes one: clone the project (git clone)")


def test_the_command_is_silent_when_quick_and_all_is_well(project):
    assert workshop.command(project, "check", "--quick").stdout == ""
    assert workshop.command(project, "check").stdout == "all that DVC keeps here is intact\n"
    damage(cached(project, "model"), "cut")
    assert "damaged in DVC's cache" in workshop.command(project, "check", "--quick").stdout
