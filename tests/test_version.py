"""`python -m headstart`: the version and the commands, in a moment."""

import re
import subprocess
import sys
import tomllib

from conftest import ROOT

from headstart.__main__ import COMMANDS


def run(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-m", "headstart", *arguments], cwd=ROOT, capture_output=True, text=True)


def version() -> str:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def test_version_and_every_command_with_a_line_on_each():
    lines = run().stdout.splitlines()
    assert lines[0] == f"Headstart {version()}"
    listed = [re.match(r"python -m headstart\.(\w+)  +\w.*", line) for line in lines[1:-1]]
    assert all(listed)
    modules = {path.stem for path in (ROOT / "headstart").glob("*.py")} - {"__init__", "__main__"}
    assert {match[1] for match in listed} == modules


def test_version_alone():
    assert run("--version").stdout == f"Headstart {version()}\n"


def test_a_command_is_run_with_and_without_the_full_stop_and_others_are_refused(tmp_path):
    done = run("predict", str(tmp_path / "photo.jpg"), "--model", str(tmp_path))
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {tmp_path} holds no classifier.json: takes models/classifier.keras, or ")
    done = run("--verbose")
    assert done.returncode == 1
    assert done.stderr.startswith("error: got --verbose; takes one of start, params, ")


def test_nothing_slow_is_imported():
    script = "import sys; from headstart import __main__; __main__.main(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    modules = {name.removeprefix("headstart.") for name in done.stdout.splitlines()[-1].split()}
    assert "tomllib" in modules
    assert modules.isdisjoint({"tensorflow", "keras", "numpy", "dvc", "pydantic", "matplotlib", "rich", *COMMANDS})


def test_the_version_stands_in_one_place():
    assert not re.search(r"^version:", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.dev\d+)?", version())
