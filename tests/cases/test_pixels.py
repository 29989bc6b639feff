"""Inputs after public bug reports: what is in the files of a source, and how they are named."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from ruamel.yaml import YAML
from sklearn.linear_model import LogisticRegression

from headstart.artifacts import dataset, manifest
from headstart.artifacts import value_range as artifact
from headstart.images import decoding, ranges
from headstart.images.decoding import Square
from stages import split

pytestmark = pytest.mark.real


@pytest.fixture
def split_case(shared, tmp_path, monkeypatch):
    """Make a case and split it: the manifest, metrics/dataset.json, and where the images are."""
    monkeypatch.chdir(tmp_path)

    def run(case, *words, path="images"):
        script = shared / "cases" / case / "make.py"
        if not script.exists():
            pytest.skip(f"no {script}")
        subprocess.run([sys.executable, script, path, *words], check=True)
        yaml = YAML()
        values = yaml.load(ROOT / "params.yaml")
        values["dataset"].update(source=None, path=path, labels="folders", classes=None, table=None)
        yaml.dump(values, Path("params.yaml"))
        Path("dvc.yaml").write_text((ROOT / "dvc.yaml").read_text())
        split.main()
        return manifest.read(), dataset.read(), Path(path)

    return run


def slopes(pixels):
    """How much neighbours differ, up and down and across: stripes do not, up and down; without contrast none does."""
    grey = pixels[..., 0].astype(float)
    return [np.abs(np.diff(grey, axis=axis)).mean() for axis in (0, 1)]


@pytest.mark.parametrize("words", [[], ["16"], ["ct"]])
def test_the_same_pictures_in_12_and_16_bits_and_in_hounsfield_units_are_learnt(split_case, words, capsys):
    table, summary, images = split_case("07-12-bit", *words)
    assert (len(table.paths), summary["left_out"], summary["duplicates"]) == (120, [], [])
    output = capsys.readouterr().out
    assert "120 grey images have more than 8 bits: values" in output and "(image.range)" in output
    value_range = ranges.of_fields(artifact.read())
    seen = np.array(
        [slopes(decoding.read((images / path).read_bytes(), Square(64), value_range)) for path in table.paths]
    )
    train, test = table.rows("train"), table.rows("test")
    # Rounded to two grey levels, as noise in an encoder or a network would: 12 bits read as 16 have no more.
    model = LogisticRegression(C=100).fit(np.round(seen[train] / 2), table.labels[train])
    assert model.score(np.round(seen[test] / 2), table.labels[test]) >= 0.97


def test_a_photo_of_108_megapixels_is_used(split_case):
    table, summary, _ = split_case("14-large-photo")
    assert summary["left_out"] == []
    assert {"dogs/phone0.jpg", "dogs/phone1.jpg"} <= set(table.paths)


def test_hollow_heic_files_are_named_and_files_without_an_ending_are_used(split_case):
    with pytest.raises(Exception, match=r"class birds: none of its images can be used \(birds/IMG_0000\.HEIC: damaged"):
        split_case("15-heic")
    for path in Path("images/birds").iterdir():
        path.unlink()
    Path("images/dogs/notes").write_text("Taken in May.")
    split.main()
    table, summary = manifest.read(), dataset.read()
    assert sum(path.startswith("dogs/n") for path in table.paths) == 16
    assert [entry["path"] for entry in summary["left_out"]] == ["dogs/notes"]
    assert "no image by its first bytes" in summary["left_out"][0]["reason"]


def test_a_zip_packed_by_windows_in_chinese(split_case, capsys):
    table, _, path = split_case("19-gbk-zip", path="images.zip")
    assert table.classes == ["划痕", "合格"]
    assert Counter(path.split("/")[0] for path in table.paths) == {"划痕": 20, "合格": 20}
    assert f"{path} does not say what encoding its names are in: they are read as gb18030" in capsys.readouterr().out
