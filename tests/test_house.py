"""The contracts that hold the house up: dependencies, parameters, and which room holds what."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parent.parent
STAGES = YAML(typ="safe", pure=True).load(ROOT / "dvc.yaml")["stages"]

# Modules whose tests stand in the file of the one stage or module that they serve.
TESTED_IN = {
    "charts": "pipeline",
    "dataset": "split",
    "manifest": "split",
    "progress": "pipeline",
    "sources": "fetch",
    "splitting": "split",
}


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
    found, left = set(), [file]
    while left:
        file = left.pop()
        if file not in found:
            found.add(file)
            modules = [module for name in imports(file) for module in (name, name.partition(".")[0])]
            left += [known for known in map(local, modules) if known]
    return found


@pytest.fixture(scope="module")
def imported() -> dict[str, list[str]]:
    """What Python has imported of headstart/ after importing each stage's script."""
    script = """if True:
        import importlib, json, sys
        seen = {}
        for stage in sys.argv[1:]:
            for name in [name for name in sys.modules if name.partition(".")[0] in ("headstart", "stages")]:
                del sys.modules[name]
            importlib.import_module(f"stages.{stage}")
            seen[stage] = [name for name in sys.modules if name.partition(".")[0] == "headstart"]
        print(json.dumps(seen))
    """
    done = subprocess.run([sys.executable, "-c", script, *STAGES], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_lists_the_code_that_it_runs_and_no_other(stage, imported):
    listed = {Path(dep) for dep in STAGES[stage]["deps"] if dep.startswith(("stages/", "headstart/"))}
    run = {Path("stages", f"{stage}.py"), *map(local, imported[stage])}
    assert listed == run | closure(Path("stages", f"{stage}.py"))


def test_a_stage_is_run_from_its_own_script():
    assert {stage: entry["cmd"] for stage, entry in STAGES.items()} == {
        stage: f"python -m stages.{stage}" for stage in STAGES
    }
    assert {f"{stage}.py" for stage in STAGES} == {path.name for path in (ROOT / "stages").glob("*.py")}


def test_the_library_imports_nothing_from_stages():
    files = [path.relative_to(ROOT) for path in (ROOT / "headstart").rglob("*.py")]
    assert len(files) > 10
    assert [file for file in files if any(name.partition(".")[0] == "stages" for name in imports(file))] == []


def names(section: dict, prefix: str = "") -> Iterator[str]:
    for key, value in section.items():
        yield prefix + key
        if isinstance(value, dict):
            yield from names(value, f"{prefix}{key}.")


def test_every_parameter_is_declared_by_a_stage_and_every_declared_one_is_there():
    there = set(names(YAML(typ="safe", pure=True).load(ROOT / "params.yaml")))
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
    told = done.stderr.splitlines()[-1]
    assert told.startswith(f"error: stage {stage} touches {named}, which dvc.yaml does not declare for it: add it to")
    assert "Traceback" not in done.stderr


def test_every_module_has_its_tests():
    modules = [path.stem for room in ("headstart", "stages") for path in (ROOT / room).glob("*.py")]
    modules = sorted(name for name in modules if name != "__init__")
    files = {path.stem.removeprefix("test_") for path in (ROOT / "tests").glob("test_*.py")}
    assert [name for name in modules if TESTED_IN.get(name, name) not in files] == []
    assert [name for name in TESTED_IN if name not in modules or name in files] == [], "not needed in TESTED_IN"
