"""The classifier in a registry of models: versions and stages by GTO, fetched elsewhere by DVC (docs/delivery.md)."""

import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import ROOT, Project

from headstart.artifacts.results import CLASSIFIER
from headstart.base import yaml12


@pytest.fixture(scope="module")
def registry(_reproduced, tmp_path_factory) -> tuple[Project, str, dict[str, bytes]]:
    """A project with two versions, of which the first is in production; the address of its repository; their bytes."""
    folder = tmp_path_factory.mktemp("registry")
    project = Project(Path(shutil.copytree(_reproduced, folder / "project")))
    (project.path / ".dvc/.gitignore").write_text((ROOT / ".dvc/.gitignore").read_text() + "/site\n")
    project.run("git", "rm", "-rq", "--cached", ".dvc")
    project.dvc("remote", "add", "--default", "team", str(folder / "remote"))
    versions = {}
    for version, coverage in (("v0.0.1", 0.95), ("v0.0.2", 0.5)):
        project.set({"decision.coverage": coverage})
        project.repro("calibrate")
        project.commit(f"coverage {coverage}")
        project.dvc("push", "calibrate")
        done = project.run("gto", "register", "classifier")
        assert f"Created git tag 'classifier@{version}' that registers version" in done.stdout
        versions[version] = (project.path / CLASSIFIER).read_bytes()
    project.run("gto", "assign", "classifier", "--version", "v0.0.1", "--stage", "production")
    bare = folder / "team.git"
    subprocess.run(["git", "clone", "--quiet", "--bare", project.path, bare], check=True)
    return project, bare.as_uri(), versions


@pytest.fixture
def elsewhere(registry, tmp_path) -> Project:
    """A folder that is no repository, and knows nothing of the project's cache."""
    other = Project(tmp_path)
    other.environment["DVC_SITE_CACHE_DIR"] = str(tmp_path / "site")
    return other


def test_the_two_versions_differ_and_the_registry_lists_them(registry):
    project, _, versions = registry
    assert len(set(versions.values())) == 2
    shown = project.run("gto", "show", "classifier").stdout
    first, second = (next(line for line in shown.splitlines() if version in line) for version in versions)
    assert "production" in first and "production" not in second
    described = yaml12.read(project.path / "dvc.yaml")["artifacts"]["classifier"]
    assert described["type"] == "model" and described["path"] == str(CLASSIFIER)


@pytest.mark.parametrize(
    ("which", "version"),
    [
        (("--rev", "v0.0.1"), "v0.0.1"),
        (("--rev", "v0.0.2"), "v0.0.2"),
        (("--stage", "production"), "v0.0.1"),
        ((), "v0.0.2"),
    ],
)
def test_a_version_or_a_stage_is_fetched_from_elsewhere(registry, elsewhere, which, version):
    _, address, versions = registry
    elsewhere.dvc("artifacts", "get", address, "classifier", *which, "--out", "fetched.keras")
    assert (elsewhere.path / "fetched.keras").read_bytes() == versions[version]


def test_another_project_imports_it_and_takes_a_later_version(registry, elsewhere):
    _, address, versions = registry
    elsewhere.run("git", "init", "-q")
    elsewhere.dvc("init", "-q")
    elsewhere.dvc("import", "--rev", "classifier@v0.0.1", address, str(CLASSIFIER))
    assert (elsewhere.path / "classifier.keras").read_bytes() == versions["v0.0.1"]
    elsewhere.dvc("update", "--rev", "classifier@v0.0.2", "classifier.keras.dvc")
    assert (elsewhere.path / "classifier.keras").read_bytes() == versions["v0.0.2"]


def test_a_program_reads_it_without_a_copy(registry, elsewhere):
    _, address, versions = registry
    script = f"""if True:
        import dvc.api
        with dvc.api.open("models/classifier.keras", repo="{address}", rev="classifier@v0.0.2", mode="rb") as file:
            print(file.read()[:64].hex(), dvc.api.artifacts_show("classifier", repo="{address}", stage="production"))
    """
    shown = elsewhere.run("python", "-c", script).stdout
    assert shown.startswith(versions["v0.0.2"][:64].hex()) and "'path': 'models/classifier.keras'" in shown
