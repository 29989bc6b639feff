"""What a user gives to make is text, letter by letter: it is neither make's code nor the shell's."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import ROOT

# Each would leave the file `acted`, did the shell or make take it for code.
HOSTILE = [
    "/mnt/anna's/x",
    "x'; touch acted; echo '",
    'x"; touch acted; echo "',
    "$(shell touch acted)",
    "$$(touch acted)",
    "$(touch acted)",
    "`touch acted`",
    "x; touch acted # y",
    "a  b\\ c",
    "two\nlines; touch acted",
    "--help",
    "$HOME ${HOME} $(HOME)",
    "s3://$(shell touch acted)/x",
]
# By the variable: the target, and the argument that it becomes.
ARGUMENTS = {
    "IMAGES": ("start", "{}"),
    "OPTIONS": ("start", "--options={}"),
    "URL": ("remote", "{}"),
    "LOGIN": ("remote", "--user={}"),
    "KEY": ("remote", "--keyfile={}"),
    "ENDPOINT": ("remote", "--endpoint={}"),
    "SIZES": ("learning-curve", "--sizes={}"),
    "SEEDS": ("learning-curve", "--seeds={}"),
    "JOBS": ("learning-curve", "{}"),
    "FOLDS": ("cross-validate", "--folds={}"),
    "NAMES": ("compare-backbones", "{}"),
    "WEIGHTS": ("compare-backbones", "--weights={}"),
    "REPO": ("publish", "{}"),
    "LICENSE": ("publish", "--license={}"),
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A project whose commands write down what they are given: calls, then their arguments, each with a NUL."""
    for part in ("Makefile", "pyproject.toml", ".dvc/config", *(path.name for path in ROOT.glob("requirements*.txt"))):
        (tmp_path / part).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / part, tmp_path / part)
    (tmp_path / ".venv/bin").mkdir(parents=True)
    for name in ("python", "dvc", "pip"):
        command = tmp_path / ".venv/bin" / name
        command.write_text('#!/bin/sh\nprintf "%s\\0" "$@" >> given\nprintf "%s\\0" "$PYTEST_ADDOPTS" >> addopts\n')
        command.chmod(0o755)
    for name in ("ready", "ready-for-tests", "ready-for-s3", "ready-for-ssh", "ready-for-webdav", "ready-for-hub"):
        (tmp_path / ".venv" / name).touch()
    monkeypatch.chdir(tmp_path)
    for name in [*ARGUMENTS, "TESTS", "REPLACE", "PUBLIC", "GPU", "PYTHON", "MAKEFLAGS", "PYTEST_ADDOPTS"]:
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def make(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(["make", *arguments], capture_output=True, text=True, env=os.environ | environment)


@pytest.mark.parametrize("name", ARGUMENTS)
def test_a_value_reaches_its_command_letter_by_letter(folder, name):
    target, form = ARGUMENTS[name]
    for value in HOSTILE:
        for by_environment in (False, True):
            Path("given").unlink(missing_ok=True)
            done = make(target, **{name: value}) if by_environment else make(target, f"{name}={value}")
            assert done.returncode == 0, done.stderr
            assert form.format(value) in Path("given").read_text().split("\0"), value
            assert not Path("acted").exists(), (value, by_environment)


@pytest.mark.parametrize(
    "name", [*ARGUMENTS, "TESTS", "PYTHON", "REPLACE", "PUBLIC", "GPU", "UPGRADE", "PYTHONS", "speaks", "GIVEN", "X"]
)
def test_nothing_acts_where_make_only_shows_what_it_would_do(folder, name):
    targets = ("start", "remote", "test", "pythons", "learning-curve", "cross-validate", "compare-backbones", "publish")
    for value in ("x'; touch acted; echo '", "$(shell touch acted)", 'x"; touch acted; echo "', "x; touch acted # y"):
        make("-n", *targets, f"{name}={value}")
        make("-n", *targets, **{name: value})
        assert not Path("acted").exists(), value


def test_the_tests_to_run_are_given_by_the_environment(folder):
    assert make("test", "TESTS=tests/a tests/b; touch acted $(shell touch acted)").returncode == 0
    assert Path("addopts").read_text().split("\0")[0].split()[:2] == ["tests/a", "tests/b;"]
    assert not Path("acted").exists()


def test_a_python_that_is_named_is_run_and_nothing_else(folder):
    shutil.rmtree(".venv")
    for value in HOSTILE:
        done = make(".venv/bin/python", f"PYTHON={value}")
        assert done.returncode != 0 and not Path("acted").exists()
        assert f"looked for {value}:" in done.stderr


@pytest.mark.parametrize(
    ("url", "kinds"),
    [("s3://b/x", "s3"), ("webdavs://h/x", "webdav"), ("webdav://h/x", "webdav"), ("ssh://h/x", "ssh"), ("/mnt/x", "")],
)
def test_what_speaks_to_the_remote_is_installed_by_its_address(folder, url, kinds):
    for path in Path(".venv").glob("ready-for-*"):
        path.unlink()
    assert make("remote", f"URL={url}").returncode == 0
    assert [path.name for path in Path(".venv").glob("ready-for-*")] == [f"ready-for-{kind}" for kind in kinds.split()]


@pytest.mark.parametrize(("value", "is_set"), [("0", False), ("", False), ("1", True)])
def test_a_switch_that_is_0_is_off(folder, value, is_set):
    assert make("remote", "URL=/mnt/x", f"REPLACE={value}").returncode == 0
    assert ("--replace" in Path("given").read_text().split("\0")) == is_set
    assert make("repro", GPU=value).returncode == 0
    assert Path(".venv/gpu").exists() == is_set


def test_a_project_that_was_moved_runs(folder):
    """The scripts in .venv/bin name the folder that it was made in."""
    for name in ("dvc", "pip"):
        Path(".venv/bin", name).write_text("#!/where/it/was/.venv/bin/python\n")
    Path(".venv/ready").unlink()
    for target in ("repro", "learning-curve", "cross-validate"):
        done = make(target)
        assert done.returncode == 0, done.stderr


def test_sizes_and_folds_are_looked_at_before_anything_runs(folder):
    """What computes for all of the runs is started by the command that reads them."""
    for target in ("learning-curve", "cross-validate"):
        Path("given").unlink(missing_ok=True)
        assert make(target).returncode == 0
        given = Path("given").read_text().split("\0")
        assert given[:2] == ["-m", "headstart.params"] and "repro" not in given


@pytest.mark.parametrize("target", ["learning-curve", "cross-validate"])
def test_the_number_of_jobs_is_looked_at_before_anything_runs(folder, target):
    assert make(target, "JOBS=a b").returncode == 0
    given = Path("given").read_text().split("\0")
    assert given.index("--jobs=a b") < given.index("dvc")


def test_nothing_is_installed_for_an_address_that_is_refused(folder):
    for path in Path(".venv").glob("ready-for-*"):
        path.unlink()
    Path(".venv/bin/python").write_text('#!/bin/sh\n[ "$3" != --check ]\n')
    assert make("--jobs", "4", "remote", "URL=ssh://h/x").returncode != 0
    assert not Path("given").exists() and list(Path(".venv").glob("ready-for-*")) == []
