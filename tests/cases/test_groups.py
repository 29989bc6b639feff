"""What belongs together in sources as people have them: what `split` makes of it."""

import subprocess
import sys
from collections import defaultdict

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image
from ruamel.yaml import YAML

from headstart.artifacts import dataset, manifest
from headstart.images import archive, decoding
from headstart.labels import near_duplicates
from headstart.labels.groups import sets
from stages import split

pytestmark = pytest.mark.real


@pytest.fixture
def split_case(shared, tmp_path, monkeypatch):
    """Make a case of that name, split it by these parameters of the dataset, and return manifest and summary."""
    cases = shared / "cases"

    def split_case(name, **parameters):
        if not (cases / name).is_dir():
            pytest.skip(f"no case {name} in {cases}")
        if not (tmp_path / "images").exists():
            subprocess.run([sys.executable, cases / name / "make.py", tmp_path / "images"], check=True)
        monkeypatch.chdir(tmp_path)
        yaml = YAML()
        values = yaml.load(ROOT / "params.yaml")
        values["dataset"].update(path="images", labels="folders", classes=None, table=None)
        values["dataset"].update(parameters)
        values["split"].update(train=None, validation=0.1, test=0.25)
        yaml.dump(values, tmp_path / "params.yaml")
        pipeline = yaml.load(ROOT / "dvc.yaml")
        yaml.dump({"stages": {"split": pipeline["stages"]["split"]}}, tmp_path / "dvc.yaml")
        split.main()
        return manifest.read(), dataset.read()

    return split_case


def test_three_copies_of_a_photo_lie_in_one_split(split_case, capsys):
    dealt, summary = split_case("08-near-duplicates")
    splits = defaultdict(list)
    for path, name in zip(dealt.paths, dealt.splits.tolist(), strict=True):
        splits[path[:7]].append(name)
    assert len(splits) == 40 and all(len(names) == 3 and len(set(names)) == 1 for names in splits.values())
    assert len(summary["near_duplicates"]) + len(summary["duplicates"]) >= 40
    assert summary["suspicious"] == [] and summary["test_copies"] == 0
    assert "40 sets of near-duplicates (the list is in metrics/dataset.json, pictures in" in capsys.readouterr().out
    with Image.open(dataset.NEAR_DUPLICATES) as sheet:
        assert sheet.height > 40 * 96


def test_ignored_copies_are_dealt_out_and_the_test_images_that_have_one_are_counted(split_case):
    dealt, summary = split_case("08-near-duplicates", near_duplicates="ignore")
    trained = {path[:7] for path, name in zip(dealt.paths, dealt.splits, strict=True) if name == "train"}
    tested = [path[:7] for path, name in zip(dealt.paths, dealt.splits, strict=True) if name == "test"]
    assert summary["test_copies"] == sum(photo in trained for photo in tested) > 10


def test_a_pattern_keeps_the_shots_of_a_subject_in_one_split(split_case, capsys):
    dealt, summary = split_case("09-patients", group={"pattern": r"(?P<group>[BM]\d+)_"})
    assert summary["groups"] == len(set(dealt.groups)) == 20
    assert all(len(set(dealt.splits[dealt.groups == name])) == 1 for name in set(dealt.groups))
    assert [len(dealt.rows(name)) for name in manifest.SPLITS] == [168, 24, 48]
    output = capsys.readouterr().out
    assert "the images are of 20 groups (dataset.group)" in output and "groups stay whole: class benign" in output


@pytest.mark.parametrize(
    ("archive_name", "sets_of_copies"), [("trashnet_2527.zip", range(25, 36)), ("cats_dogs_4000.zip", range(2, 4))]
)
def test_of_real_photos_only_copies_are_found(shared, archive_name, sets_of_copies):
    """As many as are there to the eye: shots of one object from one place (trashnet), photos uploaded twice (cats)."""
    with archive.open_source(shared / "data" / archive_name) as source:
        pixels = {name: decoding.decode(source.read(name)) for name in source.names() if name.endswith("jpg")}
    unique = {decoding.pixel_hash(image): name for name, image in pixels.items()}
    pairs = near_duplicates.find({name: decoding.thumbnail(pixels[name]) for name in unique.values()})
    assert len(sets(pairs)) in sets_of_copies
    assert len({label for pair in pairs for label in [pair[0].split("/")[-1][:3], pair[1].split("/")[-1][:3]]}) <= 6


def test_copies_of_real_photos_are_found(shared):
    with archive.open_source(shared / "data/cats_dogs_4000.zip") as source:
        names = [name for name in source.names() if name.endswith("jpg")][::8]
        pixels = {name: decoding.decode(source.read(name)) for name in names}
    copied, rng = names[::5], np.random.default_rng(0)
    thumbnails = {name: decoding.thumbnail(image) for name, image in pixels.items()}
    for name in copied:
        height, width, _ = pixels[name].shape
        (top, left), (bottom, right) = rng.integers(0, 3, (2, 2))  # per cent
        image = pixels[name][height * top // 100 : height - height * bottom // 100]
        image = image[:, width * left // 100 : width - width * right // 100]
        small = Image.fromarray(image).resize((image.shape[1] * 3 // 4, image.shape[0] * 3 // 4))
        thumbnails[f"{name}-copy"] = decoding.thumbnail(np.clip(np.asarray(small) * 1.1, 0, 255).astype(np.uint8))
    pairs = near_duplicates.find(thumbnails)
    assert all(second == f"{first}-copy" for first, second in pairs)
    assert len(pairs) > 0.93 * len(copied)
