"""The stage inspect, on features that tell two classes apart, and on images that are drawn."""

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import put_array
from PIL import Image
from threadpoolctl import threadpool_info

from headstart.artifacts import dataset, features, inspection, manifest, value_range
from headstart.artifacts.manifest import Manifest
from headstart.base.errors import UserError
from headstart.inspection import shift, summary
from stages import inspect

EACH = 60  # images of a class


@pytest.fixture
def prepared(project, monkeypatch):
    """120 images of two classes, some labels flipped, as the working directory."""
    monkeypatch.chdir(project.path)
    rng = np.random.default_rng(1)
    kinds = np.arange(2 * EACH) % 2
    splits = np.array((["train"] * 6 + ["validation"] * 2 + ["test"] * 2) * (EACH // 5))
    names = [f"{kind}/{number:03}.png" for number, kind in enumerate(kinds)]
    for name in names:
        path = Path("data/my_images", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(60, 190, (40, 50, 3), dtype=np.uint8)).save(path)
    vectors = rng.normal(0, 0.3, (len(kinds), 2, 2, 16)) + 1.0
    vectors[..., :4] += 2 * kinds[:, None, None, None]
    write(names, kinds, splits, vectors)
    return project


def write(names, labels, splits, vectors, published=(), groups=None, **noted):
    table = Manifest(["a", "b"], names, labels, splits, names, groups)
    manifest.write(table)
    value_range.write(None)
    facts = {"near_duplicates": [], "suspicious": []}
    dataset.write(dataset.summarize(table, len(names), 0, [], [], published, **facts))
    features.BOTTLENECK.mkdir(parents=True, exist_ok=True)
    put_array(features.BOTTLENECK / "plain.npy", vectors.astype("float16"), **noted)


def state():
    table = manifest.read()
    return table.paths, table.labels.copy(), table.splits.copy(), np.array(features.read_bottleneck(), "float32")


def found() -> dict:
    inspect.main()
    return inspection.read()


def test_where_all_is_well_nothing_is_found(prepared, capsys):
    seen = found()
    assert seen["warnings"] == [] and set(seen["counts"].values()) == {0}
    assert "nothing odd about the images and their labels" in capsys.readouterr().out


def test_flipped_labels_are_suspects_and_those_of_test_images_are_not_looked_at(prepared, capsys):
    names, labels, splits, vectors = state()
    flipped = [*np.flatnonzero(splits == "train")[:4], *np.flatnonzero(splits == "validation")[:2]]
    hidden = np.flatnonzero(splits == "test")[:3]
    for row in [*flipped, *hidden]:
        labels[row] = 1 - labels[row]
    write(names, labels, splits, vectors)
    suspects = found()["suspects"]
    assert sorted(suspect["path"] for suspect in suspects) == sorted(names[row] for row in flipped)
    for suspect in suspects:
        assert {suspect["label"], suspect["looks_like"]} == {"a", "b"}
        assert suspect["own_probability"] < 0.5 < suspect["probability"]
    own = [suspect["own_probability"] for suspect in suspects]
    assert own == sorted(own)
    assert "6 labels may be wrong, such as that of" in capsys.readouterr().out


def test_an_image_unlike_all_others_is_an_outlier(prepared):
    names, labels, splits, vectors = state()
    vectors[7] = -vectors[7][..., ::-1]
    write(names, labels, splits, vectors)
    (outlier,) = found()["outliers"]
    assert outlier["path"] == names[7] and outlier["times"] > 3


def test_nearly_the_same_image_in_two_splits_is_a_warning_but_not_where_the_split_knew(prepared):
    names, labels, splits, vectors = state()
    first, second = np.flatnonzero(splits == "train")[3], np.flatnonzero(splits == "test")[3]
    vectors[second] = vectors[first] * 1.01
    write(names, labels, splits, vectors)
    seen = found()
    assert seen["alike"] == [{"paths": sorted([names[first], names[second]]), "splits": ["train", "test"]}]
    assert seen["warnings"][0].startswith("1 pair of nearly the same image lie")
    assert seen["warnings"][0].endswith(
        ": with 1 of 24 test images in them, they make accuracy too high by 0.0417 at most"
    )
    groups = np.array(names)
    groups[[first, second]] = "one"
    write(names, labels, splits, vectors, groups=groups)
    assert found()["alike"] == []


def test_of_several_backbones_each_counts_the_same_whatever_its_values(prepared):
    names, labels, splits, vectors = state()
    first, second = vectors, np.random.default_rng(2).normal(1.0, 0.3, (len(names), 2, 2, 24))
    first[7], second[31] = -first[7][..., ::-1], -second[31]  # each is an outlier to one of the two backbones
    train, test = np.flatnonzero(splits == "train")[3], np.flatnonzero(splits == "test")[3]
    first[test], second[test] = first[train] * 1.01, second[train] * 1.02
    seen = []
    for scale in (1, 100):
        both = np.concatenate([first, scale * second], axis=-1)
        write(names, labels, splits, both, widths=[first.shape[-1], second.shape[-1]])
        seen.append(found())
    same, scaled = seen
    assert {entry["path"] for entry in same["outliers"]} >= {names[7], names[31]}
    assert [entry["path"] for entry in scaled["outliers"]] == [entry["path"] for entry in same["outliers"]]
    assert scaled["alike"] == same["alike"] and len(same["alike"]) == 1
    assert scaled["suspects"] == same["suspects"] and scaled["warnings"] == same["warnings"]
    write(names, labels, splits, np.concatenate([first, 1e-6 * second], axis=-1), widths=[first.shape[-1], 24])
    assert any("holds next to nothing of them" in line for line in found()["warnings"]), "one of the two is lost"


def test_copies_that_split_left_in_training_and_test_are_not_counted_again(prepared):
    """As of `dataset.near_duplicates: ignore`; of validation it has said nothing."""
    names, labels, splits, vectors = state()
    train, validation, test = (np.flatnonzero(splits == split)[3] for split in manifest.SPLITS)
    vectors[test] = vectors[train] * 1.01
    other = np.flatnonzero(splits == "train")[8]
    vectors[validation] = vectors[other] * 1.01
    write(names, labels, splits, vectors)
    assert found()["counts"]["alike"] == 2
    known = [sorted([names[train], names[test]]), sorted([names[other], names[validation]])]
    dataset.write(dataset.read() | {"near_duplicates": known})
    (pair,) = found()["alike"]
    assert sorted(pair["splits"]) == ["train", "validation"]


def test_how_much_near_copies_can_be_worth_is_said(prepared):
    table, nothing = manifest.read(), {kind: [] for kind in inspection.LOOKS}
    train, validation, test = (table.rows(split)[:3].tolist() for split in manifest.SPLITS)

    def warning(pairs):
        (said,) = summary.of(table, [], [], [(*pair, 0.1) for pair in pairs], nothing, {})["warnings"]
        return said

    # A test image counts once, however many copies it has.
    pairs = [(train[0], test[0]), (train[1], test[0]), (validation[0], test[1]), (train[2], validation[1])]
    assert "with 2 of 24 test images in them, they make accuracy too high by 0.0833 at most" in warning(pairs)
    assert "none of them is a test image, so that the scores hold" in warning(pairs[3:])


def test_an_image_that_only_the_folds_use_is_in_no_split_and_so_not_in_two(prepared):
    names, labels, splits, vectors = state()
    first, second = np.flatnonzero(splits == "train")[3], np.flatnonzero(splits == "test")[3]
    vectors[second] = vectors[first] * 1.01
    splits[second] = manifest.NOT_DEALT
    write(names, labels, splits, vectors)
    seen = found()
    assert seen["alike"] == [] and seen["warnings"] == [] and seen["counts"]["alike"] == 0


def test_an_image_that_goes_or_changes_meanwhile_is_one_line(prepared):
    path = Path("data/my_images/0/000.png")
    for spoil in (lambda: path.write_bytes(b"no image"), path.unlink):
        spoil()
        with pytest.raises(UserError, match=r"^0/000\.png: .*; the source has changed since it was split: run `dvc"):
            inspect.main()


def test_test_images_from_elsewhere_are_a_warning_where_the_source_fixed_the_splits(prepared, capsys):
    names, labels, splits, vectors = state()
    of_b = (labels == 1) & (splits == "test")
    vectors[of_b, ..., 8:] += 1.0
    splits = np.where(splits == "validation", "test", splits)  # 24 test images a class, 36 for training
    vectors[(labels == 1) & (splits == "test"), ..., 8:] += 1.0
    write(names, labels, splits, vectors)
    assert found()["elsewhere"] == {}
    write(names, labels, splits, vectors, published=("test", "train"))
    seen = found()
    assert seen["elsewhere"]["a"] < 0.75 and seen["elsewhere"]["b"] > 0.9
    assert [warning for warning in seen["warnings"] if "class b come from elsewhere" in warning]
    assert "WARNING: the test images of class b come from elsewhere" in capsys.readouterr().out


def test_many_classes_are_compared_by_fewer_images_each_and_by_one_thread(prepared, monkeypatch, capsys):
    names, labels, splits, vectors = state()
    splits = np.where(splits == "validation", "test", splits)  # 24 test images a class, 36 for training
    write(names, labels, splits, vectors, published=("test", "train"))
    whole, taken = found()["elsewhere"], []
    assert "comparing the splits of 2 classes" not in capsys.readouterr().out

    def predict(model, features, *options, predict=shift.cross_val_predict, **others):
        taken.append((len(features), {pool["num_threads"] for pool in threadpool_info()}))
        return predict(model, features, *options, **others)

    monkeypatch.setattr(shift, "cross_val_predict", predict)
    for name, value in {"ALL": 50, "LEAST": 5}.items():
        monkeypatch.setattr(shift, name, value)
    few = found()["elsewhere"]
    assert "comparing the splits of 2 classes: by 25 images of each in a split, not all" in capsys.readouterr().out
    assert taken == [(25 + 24, {1})] * 2
    assert few.keys() == whole.keys() and few != whole


def test_many_classes_from_elsewhere_are_no_wall_of_warnings(prepared):
    table, areas = manifest.read(), {f"class {number}": 0.8 + number / 1000 for number in range(50)}
    nothing = {kind: [] for kind in inspection.LOOKS}
    warnings = summary.of(table, [], [], [], nothing, areas | {"near": 0.6})["warnings"]
    assert len(warnings) == 4 and "class class 49 come from elsewhere" in warnings[0] and "(area 0.85)" in warnings[0]
    assert warnings[3].startswith("the test images of 47 other classes come from elsewhere, too:")


def test_dark_bright_blank_blurred_and_odd_images_are_named(prepared):
    rng = np.random.default_rng(2)
    noise = rng.integers(0, 40, (40, 50, 3), dtype=np.uint8)
    ramp = np.broadcast_to(np.linspace(60, 190, 50).astype("uint8")[None, :, None], (40, 50, 3))
    wide = rng.integers(60, 190, (10, 200, 3), dtype=np.uint8)
    odd = {"dark": noise, "bright": 255 - noise // 2, "blank": np.full((40, 50, 3), 128, np.uint8)}
    odd |= {"blurred": np.array(ramp), "odd_shape": wide}
    names = state()[0]
    for name, pixels in zip(names, odd.values(), strict=False):
        Image.fromarray(pixels).save(Path("data/my_images", name))
    looks = found()["looks"]
    for name, kind in zip(names, odd, strict=False):
        assert looks[kind] == [name], kind


def test_twice_the_same_bytes(prepared):
    found()
    before = inspection.INSPECTION.read_bytes()
    found()
    assert inspection.INSPECTION.read_bytes() == before
    assert json.loads(before)["counts"]


def test_a_class_whose_labels_are_not_looked_at_is_said(prepared, capsys):
    names, labels, splits, vectors = state()
    kept = (labels == 0) | (splits == "test") | (np.arange(len(labels)) == np.flatnonzero(labels == 1)[0])
    write([name for name, keep in zip(names, kept, strict=True) if keep], labels[kept], splits[kept], vectors[kept])
    found()
    assert "labels are not looked at of 1 class with one image, or one group, outside of the" in capsys.readouterr().out


def test_features_that_float16_does_not_hold_are_a_warning(prepared, capsys):
    """As those of MobileNet with random weights are, at most 3e-19."""
    names, labels, splits, vectors = state()
    write(names, labels, splits, vectors / vectors.max() * 2e-5)
    assert found()["warnings"] == []
    write(names, labels, splits, vectors * 1e-19)
    (warning,) = found()["warnings"]
    assert warning.startswith("the network's features are so small that float16")
    assert f"WARNING: {warning}" in capsys.readouterr().out


def test_a_handful_of_images_passes(prepared):
    names, labels, splits, vectors = state()
    few = np.array([0, 1, 6, 8])
    write([names[row] for row in few], labels[few], splits[few], vectors[few])
    found()


def test_without_features_it_says_what_to_run(prepared):
    (features.BOTTLENECK / "plain.npy").unlink()
    with pytest.raises(UserError, match="dvc repro extract"):
        inspect.main()
