import itertools
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from headstart import params, preset
from headstart.errors import UserError

ROOT = Path(__file__).parent.parent
REAL = sorted(path.stem for path in (ROOT / "presets").glob("*.yaml"))


# What the tests below change; the project's own params.yaml may be at any preset.
START = """\
seed: 1
dataset:
  source: pypi:elpv-dataset==1.0.0.post1
  sha256: 85e31c1126ee9b48e62d3a0232c58f58b2d189b0814a45c13642fa0415af4a4c
  path: data/raw/elpv-dataset.zip
  labels: table
  classes: [functional, defective]
  table:
    values:
      "0.0": functional
      "0.3333333333333333": functional
      "0.6666666666666666": defective
      "1.0": defective
split:
  train: null
head:
  hidden: []
  dropout: 0.2
  learning_rate: 0.001
  early_stopping: null
fine_tune:
  views: live
  cut: 0
"""


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "params.yaml", tmp_path)
    Path("presets").mkdir()
    write("start", START)
    preset.apply("start")
    Path("presets/start.yaml").unlink()


def write(name: str, text: str) -> None:
    Path(f"presets/{name}.yaml").write_text(text)


def read() -> dict:
    return YAML(typ="safe", pure=True).load(Path("params.yaml"))


def comments() -> list[str]:
    return [line.partition("# ")[2] for line in Path("params.yaml").read_text().splitlines() if "# " in line]


OTHER = """\
# Everything of another kind: null for text, a list for a list, a mapping for null.
dataset:
  source: null
  sha256: null
  path: photos
  labels: folders
  classes: null
  table:
    values: null
split:
  train: 500
head:
  hidden:
    - 64
    - 32
  learning_rate: 1e-4
  early_stopping: 5
fine_tune:
  views: 16
  cut: mixed6
"""


def test_values_change_and_every_comment_stays_where_it_was():
    before, said = Path("params.yaml").read_text().splitlines(), comments()
    write("other", OTHER)
    changes = preset.apply("other")
    assert comments() == said
    values = read()
    assert values["dataset"]["source"] is None
    assert values["dataset"]["classes"] is None
    assert values["dataset"]["table"]["values"] is None
    assert (values["head"]["hidden"], values["head"]["learning_rate"]) == ([64, 32], 0.0001)
    assert (values["fine_tune"]["views"], values["fine_tune"]["cut"]) == (16, "mixed6")
    assert "head.hidden: [] -> [64, 32]" in changes
    assert "split.train: null -> 500" in changes
    assert "dataset.source: pypi:elpv-dataset==1.0.0.post1 -> null" in changes
    after = Path("params.yaml").read_text().splitlines()
    assert "  train: 500                # null: all that validation and test leave" in after
    assert "  hidden: [64, 32]          # units of each hidden layer" in after
    assert "    values: null            # value in the table: class; null: the value is the class" in after
    assert "  learning_rate: 1e-4" in after
    # The four rows of `values` are gone, 11 other lines differ, and nothing else.
    assert len(after) == len(before) - 4
    assert len(set(after) - set(before)) == len(changes) == 12


def test_there_and_back_gives_the_same_bytes():
    before = Path("params.yaml").read_bytes()
    write("default", Path("params.yaml").read_text())
    write("other", OTHER)
    assert preset.apply("default") == []
    preset.apply("other")
    assert Path("params.yaml").read_bytes() != before
    preset.apply("default")
    assert Path("params.yaml").read_bytes() == before


def test_the_values_of_a_table_are_replaced_whole_and_keep_their_quotes():
    write("two", 'dataset:\n  table:\n    values: # a comment\n      "1": defective\n      "0": functional\n')
    preset.apply("two")
    assert read()["dataset"]["table"]["values"] == {"1": "defective", "0": "functional"}
    text = Path("params.yaml").read_text()
    assert '\n      "1": defective\n      "0": functional\n\nsplit:  ' in text


def test_where_nothing_changes_the_file_is_not_touched():
    write("same", "seed: 1\nhead: {dropout: 0.2}\n")
    Path("params.yaml").chmod(0o444)
    before = Path("params.yaml").stat()
    assert preset.apply("same") == []
    after = Path("params.yaml").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_file_without_comments_or_last_line_end_is_merged_too():
    values = read()
    with Path("params.yaml").open("w") as file:
        YAML(typ="safe", pure=True).dump(values, file)
    Path("params.yaml").write_text(Path("params.yaml").read_text().rstrip("\n"))
    write("other", OTHER)
    preset.apply("other")
    assert read()["head"] == values["head"] | {"hidden": [64, 32], "learning_rate": 0.0001, "early_stopping": 5}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("head:\n  dropuot: 0.5\n", "no parameter is named head.dropuot; did you mean head.dropout"),
        ("head:\n  dropout: 2.5\n", "head.dropout: got 2.5"),
        ("head: 3\n", "head is a section; got 3: list its parameters"),
        ("dataset:\n  table: null\n", "dataset.table is a section; got null"),
        ("head: [", "is not valid YAML"),
        ("- 1\n", "holds no parameters"),
        ("dataset:\n  path: |\n    photos\n", "write each value plainly"),
    ],
)
def test_a_preset_that_does_not_fit_changes_nothing(text, told):
    before = Path("params.yaml").read_bytes()
    write("wrong", text)
    with pytest.raises(UserError, match="wrong.*" + told.replace(".", r"\.")):
        preset.apply("wrong")
    assert Path("params.yaml").read_bytes() == before
    assert not Path("params.yaml.part").exists()


def test_the_command_lists_applies_and_says_what_there_is():
    write("article", "# The article's head.\nhead:\n  dropout: 0.5\n")
    write("cats", "head:\n  dropout: 0.2\n")

    def run(*arguments):
        command = [sys.executable, "-m", "headstart.preset", *arguments]
        return subprocess.run(command, cwd=".", env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)

    listed = run()
    assert [line.split(maxsplit=1) for line in listed.stdout.splitlines()] == [
        ["article", "The article's head."],
        ["cats"],
    ]
    assert run("article").stdout == "head.dropout: 0.2 -> 0.5\n"
    assert run("article").stdout == "nothing to change\n"
    wrong = run("artcle")
    assert wrong.returncode == 1
    assert wrong.stderr == "error: no preset is named artcle; did you mean article? There are: article, cats\n"
    assert run("../params").returncode == 1


def parameters(values: dict, section: str = "") -> set[str]:
    names = set()
    for key, value in values.items():
        path = f"{section}{key}"
        names |= parameters(value, path + ".") if isinstance(value, dict) and path != preset.WHOLE else {path}
    return names


def test_the_projects_presets_do_not_depend_on_what_was_applied_before(monkeypatch):
    assert len(REAL) >= 2
    monkeypatch.setattr(preset, "PRESETS", ROOT / "presets")
    listed = {name: parameters(YAML(typ="safe", pure=True).load(ROOT / f"presets/{name}.yaml")) for name in REAL}
    assert all(names == listed[REAL[0]] for names in listed.values())
    start, alone = Path("params.yaml").read_bytes(), {}
    for name in REAL:
        Path("params.yaml").write_bytes(start)
        preset.apply(name)
        params.load()
        alone[name] = read()
    for first, last in itertools.permutations(REAL, 2):
        preset.apply(first)
        preset.apply(last)
        assert read() == alone[last], f"{last} after {first}"
