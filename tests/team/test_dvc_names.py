"""What the project takes of DVC beyond `dvc.api`, which is all that DVC documents of its Python.

A newer DVC may rename any of it, so requirements.in has an upper bound on dvc; raise the bound where these tests, and
those of the commands, pass with the newer version.
"""

import ast
import importlib
import importlib.metadata
import inspect
import re
import subprocess
from collections.abc import Iterator
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from dvc.repo import Repo
from packaging.requirements import Requirement

PACKAGES = ("dvc", "dvc_data", "dvc_objects", "scmrepo")
FILES = [*sorted((ROOT / "headstart/team").glob("*.py")), ROOT / "headstart/experiments.py"]

IMPORTED = {
    "dvc.config.Config",
    "dvc.config.ConfigError",
    "dvc.dependency.ParamsDependency",
    "dvc.dirs.site_cache_dir",
    "dvc.dvcfile.LOCK_FILE",
    "dvc.dvcfile.Lockfile",
    "dvc.exceptions.DvcException",
    "dvc.exceptions.NotDvcRepoError",
    "dvc.fs.FileSystem",
    "dvc.fs.RemoteMissingDepsError",
    "dvc.fs.generic",
    "dvc.fs.get_cloud_fs",
    "dvc.lock.LockError",
    "dvc.output.Output",
    "dvc.repo.Repo",
    "dvc.repo.lock_repo",
    "dvc.rwlock.RWLOCK_FILE",
    "dvc.rwlock._edit_rwlock",
    "dvc.scm.SCM",
    "dvc.scm.SCMError",
    "dvc.stage.cache._get_cache_hash",
    "dvc.utils.serialize.load_yaml",
    "dvc.utils.serialize.parse_yaml",
    "dvc_data.hashfile.db.HashFileDB",
    "dvc_data.hashfile.hash_info.HashInfo",
    "dvc_data.hashfile.tree.Tree",
    "dvc_objects.errors.ObjectFormatError",
    "scmrepo.exceptions.SCMError",
}

# Of a repository, as `dvc.repo.Repo` opens it.
REPO = [
    "cache.legacy.fs",
    "cache.legacy.makedirs",
    "cache.legacy.move",
    "cache.local.add",
    "cache.local.cache_types",
    "cache.local.exists",
    "cache.local.fs",
    "cache.local.oid_to_path",
    "cache.local.path",
    "cache.local.unprotect",
    "checkout",
    "cloud.get_remote_odb",
    "dvc_dir",
    "experiments.show",
    "fetch",
    "find_dvc_dir",
    "index.deps",
    "index.outs",
    "pull",
    "stage_cache.cache_dir",
    "stage_cache.pull",
    "state.get",
]

OUTPUT = ["can_push", "files", "hash_info", "persist", "use_cache", "workspace_status"]  # of what `index.outs` has

# Of classes.
ATTRIBUTES = {
    "dvc.config.Config": ["edit", "files", "load_one"],
    "dvc.fs.FileSystem": [
        "exists",
        "find",
        "info",
        "join",
        "ls",
        "parent",
        "parts",
        "put_file",
        "remove",
        "unstrip_protocol",
    ],
    "dvc.fs.generic": ["copy"],
    "dvc_data.hashfile.db.HashFileDB": ["add", "exists", "oid_to_path"],
    "dvc_data.hashfile.tree.Tree": ["load"],
    "scmrepo.git.Git": ["is_ignored"],
}

# Arguments that are given by their names. One that a function takes as `**kwargs` cannot be seen here.
ARGUMENTS = {
    "dvc.config.Config": ["validate"],
    "dvc.config.Config.edit": ["validate"],
    "dvc.data_cloud.DataCloud.get_remote_odb": ["hash_name"],
    "dvc.fs.FileSystem.info": ["return_exceptions"],
    "dvc.fs.FileSystem.put_file": ["size"],
    "dvc.repo.Repo": ["remote", "remote_config"],
    "dvc.repo.Repo.checkout": ["allow_missing"],
    "dvc.rwlock._edit_rwlock": ["hardlink"],
    "dvc.repo.experiments.serialize.ExpRange": ["revs"],
    "dvc.repo.experiments.serialize.ExpState": ["data", "experiments", "name", "rev"],
    "dvc.repo.experiments.show.show": ["hide_workspace", "revs"],
    "dvc_data.hashfile.db.HashFileDB.add": ["callback", "check_exists", "on_error"],
}


def imports(file: Path) -> Iterator[str]:
    """The dotted names that a file imports of DVC's packages, `dvc.api` left out."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (name for name in names if name.partition(".")[0] in PACKAGES and name != "dvc.api")


def resolve(name: str) -> Any:
    """What a dotted name means in the installed versions."""
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        try:
            module = importlib.import_module(".".join(parts[:count]))
        except ModuleNotFoundError:
            continue
        return attrgetter(".".join(parts[count:]))(module) if parts[count:] else module
    raise AssertionError(f"no module of {name}")


def test_the_table_has_what_is_imported_and_nothing_else():
    assert {name for file in FILES for name in imports(file)} == IMPORTED


def test_nothing_else_imports_dvc():
    others = {file for folder in ("headstart", "stages") for file in (ROOT / folder).rglob("*.py")} - set(FILES)
    assert {str(file.relative_to(ROOT)) for file in others if list(imports(file))} == set()


@pytest.mark.parametrize("name", sorted(IMPORTED))
def test_what_is_imported_is_there(name):
    assert resolve(name) is not None


def test_what_is_used_of_a_repository_is_there(tmp_path, monkeypatch):
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / "dvc.yaml").write_text("stages: {a: {cmd: echo > b, outs: [b]}}")
    with Repo.init(str(tmp_path)) as repo:
        # An attribute that is not there raises AttributeError.
        assert [name for name in REPO if attrgetter(name)(repo) is None] == []
        (out,) = repo.index.outs
        assert [name for name in OUTPUT if not hasattr(out, name)] == []
        assert repo.config.files.keys() >= {"repo", "local"}


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_what_is_used_of_a_class_is_there(name):
    owner = resolve(name)
    assert [attribute for attribute in ATTRIBUTES[name] if not hasattr(owner, attribute)] == []


@pytest.mark.parametrize("name", ARGUMENTS)
def test_arguments_that_are_given_by_name_are_there(name):
    parameters = inspect.signature(resolve(name)).parameters
    assert [argument for argument in ARGUMENTS[name] if argument not in parameters] == []


def test_the_tables_have_nothing_that_is_not_used():
    words = set(re.findall(r"\w+", "\n".join(file.read_text() for file in FILES)))
    tables = [REPO, OUTPUT, *ATTRIBUTES.values(), *ARGUMENTS.values()]
    listed = [name for table in tables for name in table]
    assert [name for name in listed if not set(name.split(".")) <= words] == []


def test_dvc_has_an_upper_bound():
    """DVC itself bounds dvc-data and scmrepo, and dvc-data bounds dvc-objects."""

    def bounded(lines: list[str], name: str) -> bool:
        (requirement,) = [entry for entry in map(Requirement, lines) if entry.name == name]
        return any(specifier.operator in ("<", "<=", "==", "~=") for specifier in requirement.specifier)

    ours = [line for line in (ROOT / "requirements.in").read_text().splitlines() if line and line[0] not in "#-"]
    assert bounded(ours, "dvc"), "requirements.in: give dvc an upper bound"
    assert bounded(importlib.metadata.requires("dvc"), "dvc-data")
    assert bounded(importlib.metadata.requires("dvc"), "scmrepo")
    of_data = [line for line in importlib.metadata.requires("dvc-data") if "extra" not in line]
    assert bounded(of_data, "dvc-objects")
