"""The contracts that hold the house up: dependencies, parameters, sizes, and which room holds what."""

import ast
import collections
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT
from ruamel.yaml import YAML

from headstart.base import yaml12

STAGES = yaml12.read(ROOT / "dvc.yaml")["stages"]
PACKAGES = sorted(path.parent.name for path in (ROOT / "headstart").glob("*/__init__.py"))
COMMANDS = sorted(path.stem for path in (ROOT / "headstart").glob("*.py") if not path.stem.startswith("__"))


def local(name: str) -> Path | None:
    """The file of a module of headstart/ or stages/, relative to the project; None for another module."""
    path = Path(*name.split("."))
    for file in (path.with_suffix(".py"), path / "__init__.py"):
        if path.parts[0] in ("headstart", "stages") and (ROOT / file).is_file():
            return file
    return None


def imports(file: Path) -> Iterator[str]:
    """Every module that the text of `file` imports, inside functions too."""
    for node in ast.walk(ast.parse((ROOT / file).read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} imports by a relative name, which these tests do not follow"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def closure(file: Path) -> set[Path]:
    """`file`, and the files of headstart/ and stages/ that it imports, directly or not."""
    files, left = set(), [file]
    while left:
        file = left.pop()
        if file not in files:
            files.add(file)
            left += [known for known in map(local, imports(file)) if known]
    return files


def room(file: Path) -> str:
    """The package of a module of headstart/, or the module itself at the top."""
    return file.parts[1].removesuffix(".py")


@pytest.fixture(scope="module")
def imported() -> dict[str, list[str]]:
    """What Python has imported of headstart/ after importing each stage's script."""
    script = """if True:
        import importlib, json, sys
        modules = {}
        for stage in sys.argv[1:]:
            for name in [name for name in sys.modules if name.partition(".")[0] in ("headstart", "stages")]:
                del sys.modules[name]
            importlib.import_module(f"stages.{stage}")
            modules[stage] = [name for name in sys.modules if name.partition(".")[0] == "headstart"]
        print(json.dumps(modules))
    """
    done = subprocess.run([sys.executable, "-c", script, *STAGES], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_lists_its_script_and_just_the_packages_that_it_imports(stage, imported):
    script = Path("stages", f"{stage}.py")
    listed = {dep for dep in STAGES[stage]["deps"] if dep.startswith(("stages/", "headstart/"))}
    files = closure(script) | {local(name) for name in imported[stage]}
    packages = {f"headstart/{room(file)}" for file in files if file.parts[0] == "headstart"} - {"headstart/__init__"}
    assert listed == packages | {str(script)}


def test_nothing_that_is_run_lies_outside_of_a_package():
    tree = ast.parse((ROOT / "headstart/__init__.py").read_text())
    functions = [node.name for node in tree.body if not isinstance(node, ast.Expr | ast.Import | ast.ImportFrom)]
    assert functions == ["__getattr__"], "no stage lists headstart/__init__.py: it hands on what programs ask for"


def test_a_stage_is_run_from_its_own_script():
    assert {stage: entry["cmd"] for stage, entry in STAGES.items()} == {
        stage: f"python -m stages.{stage}" for stage in STAGES
    }
    assert {f"{stage}.py" for stage in STAGES} == {path.name for path in (ROOT / "stages").glob("*.py")}


def test_the_library_imports_no_stage_and_its_packages_no_command():
    files = [path.relative_to(ROOT) for path in (ROOT / "headstart").rglob("*.py")]
    assert len(files) > 40
    assert [file for file in files if any(name.partition(".")[0] == "stages" for name in imports(file))] == []
    commands = {Path("headstart", f"{name}.py") for name in COMMANDS}
    inside = [*(file for file in files if len(file.parts) > 2), *(Path("stages", f"{stage}.py") for stage in STAGES)]
    assert [file for file in inside if commands & set(map(local, imports(file)))] == []


def arrows() -> set[tuple[str, str]]:
    """Which package or top-level module of headstart/ imports from which other one."""
    pairs = set()
    for path in (ROOT / "headstart").rglob("*.py"):
        file = path.relative_to(ROOT)
        targets = {target for target in map(local, imports(file)) if target and target.parts[0] == "headstart"}
        pairs |= {(room(file), room(target)) for target in targets}
    return {(here, there) for here, there in pairs if here != there and there != "__init__"}


def test_packages_import_each_other_in_one_direction_and_sparingly():
    left = arrows()
    assert 20 < len(left) <= 90, sorted(left)
    rooms = {*PACKAGES, *COMMANDS}
    while rooms:
        ground = {name for name in rooms if not any(here == name and there in rooms for here, there in left)}
        assert ground, f"these import each other in a circle: {sorted(rooms)}"
        rooms -= ground


def test_what_is_read_is_short():
    assert len((ROOT / "dvc.yaml").read_text().splitlines()) <= 230
    for path in (ROOT / "stages").glob("*.py"):
        assert len(path.read_text().splitlines()) <= 90, path
    for folder in ("headstart", "stages", "benchmarks"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.FunctionDef):
                    assert node.end_lineno - node.lineno + 1 <= 50, f"{path}: {node.name}"


def names(section: dict, prefix: str = "") -> Iterator[str]:
    for key, value in section.items():
        yield prefix + key
        if isinstance(value, dict):
            yield from names(value, f"{prefix}{key}.")


def test_every_parameter_is_declared_by_a_stage_and_every_declared_one_is_there():
    there = set(names(yaml12.read(ROOT / "params.yaml")))
    declared = {name for stage in STAGES.values() for name in stage["params"]}
    covered = {name for name in there if any(name == entry or name.startswith(entry + ".") for entry in declared)}
    sections = {name for name in there if any(entry.startswith(name + ".") for entry in declared)}
    assert there - covered - sections == set()
    # Of a table that is null, in this preset, the parameters are not in the file.
    assert {name for name in declared - there if not name.startswith("dataset.table.")} == set()


# Each stage, with a declaration that it loses: alone, the last of its section, a part of its section.
LOST = [
    ("fetch", "dataset.sha256", "dataset.sha256"),
    ("fetch", "image.size", "image"),
    ("split", "split", "split"),
    ("split", "dataset.classes", "dataset.classes"),
    ("train_head", "head", "head"),
    ("evaluate", "seed", "seed"),
]


@pytest.mark.parametrize(("stage", "lost", "named"), LOST)
def test_a_stage_that_touches_an_undeclared_parameter_fails(project, stage, lost, named):
    yaml, path = YAML(), project.path / "dvc.yaml"
    pipeline = yaml.load(path)
    pipeline["stages"][stage]["params"].remove(lost)
    yaml.dump(pipeline, path)
    done = project.stage(stage)
    assert done.returncode == 1
    message = done.stderr.splitlines()[-1]
    assert message.startswith(f"error: stage {stage} touches {named}, which dvc.yaml does not declare for it: add it")
    assert "Traceback" not in done.stderr


def test_every_package_and_stage_has_its_tests():
    files = {path.relative_to(ROOT / "tests") for path in (ROOT / "tests").rglob("test_*.py")}
    assert {file.parts[0] for file in files if len(file.parts) > 1} >= {*PACKAGES, "stages"} - {"labels", "sources"}
    assert {Path("stages", f"test_{stage}.py") for stage in STAGES} <= files
    assert {Path(f"test_{name}.py") for name in COMMANDS} - {
        Path("test_params.py"),  # base/test_params.py
        Path("test_check.py"),  # team/test_check.py
        Path("test_remote.py"),  # team/test_remote.py
        Path("test_report.py"),  # test_report_command.py; stages/test_report.py is the page's
        Path("test_sharing.py"),
    } <= files


def test_no_two_test_files_have_one_name():
    """Pytest imports each by its bare name and refuses the second, but only where both are collected."""
    names = collections.Counter(path.name for path in (ROOT / "tests").rglob("test_*.py"))
    assert [name for name, count in names.items() if count > 1] == []
