import shutil
from collections import namedtuple

import numpy as np
import pytest

from headstart.artifacts import features
from headstart.base.errors import UserError

PLACES = {
    "read_bottleneck": features.BOTTLENECK / "plain.npy",
    "read_cut": features.CUT / "plain.npy",
    "read_cut_views": features.CUT / "views.npy",
    "read_bottleneck_views": features.BOTTLENECK / "views.npy",
}
SHAPES = {"bottleneck/plain": (4, 2), "cut/plain": (4, 3), "cut/views": (2, 5, 3), "bottleneck/views": (2, 5, 2)}


def rows(shape):
    return np.arange(np.prod(shape), dtype="float16").reshape(shape)


@pytest.mark.parametrize("name", PLACES)
def test_arrays_are_read_by_memory_map(name, tmp_path):
    read, place = getattr(features, name), PLACES[name]
    with pytest.raises(UserError, match=rf"no .*{place}: run `dvc repro extract`"):
        read(tmp_path)
    (tmp_path / place).parent.mkdir(parents=True)
    np.save(tmp_path / place, rows((4, 1, 2, 3)))
    array = read(tmp_path)
    assert isinstance(array, np.memmap) and not array.flags.writeable
    np.testing.assert_array_equal(array, rows((4, 1, 2, 3)))


def test_what_was_marked_is_gone_on_from_and_what_was_not_is_written_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    expected = {name: rows(shape) for name, shape in SHAPES.items()}
    flat = {name: expected[name].reshape(10, -1) for name in ("cut/views", "bottleneck/views")}
    writer = features.Writer(tmp_path / "work", SHAPES)
    assert (writer.images, writer.views) == (0, 0)
    for name in ("bottleneck/plain", "cut/plain"):
        writer.write(name, expected[name][:2])
    for name, views in flat.items():
        writer.write(name, views[:3])  # the first image's views in part
    writer.mark()
    writer.write("bottleneck/plain", np.full((1, 2), -1, "float16"))  # killed after that

    writer = features.Writer(tmp_path / "work", SHAPES)
    assert (writer.images, writer.views) == (2, 3)
    for name in ("bottleneck/plain", "cut/plain"):
        writer.write(name, expected[name][2:])
    for name, views in flat.items():
        writer.write(name, views[3:])
    writer.mark()
    writer.publish()
    for read, name in zip(PLACES, SHAPES, strict=True):
        np.testing.assert_array_equal(getattr(features, read)(), expected[name])


def test_what_an_earlier_run_published_is_replaced(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number, shapes in enumerate((SHAPES, {"bottleneck/plain": (4, 2)})):
        writer = features.Writer(tmp_path / f"work{number}", shapes)
        writer.write("bottleneck/plain", np.full((4, 2), number, "float16"))
        writer.mark()
        writer.publish()
    assert features.read_bottleneck().max() == 1
    assert list(features.CUT.iterdir()) == [] and len(list(features.BOTTLENECK.iterdir())) == 1


def test_arrays_that_are_not_filled_yet_still_need_their_space(tmp_path, monkeypatch):
    shapes = {"bottleneck/plain": (100, 10_000)}
    features.Writer(tmp_path, shapes)
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 10**9 - 10**6, 10**6))
    with pytest.raises(UserError, match="the features take 2 MB"):
        features.Writer(tmp_path, shapes)
    np.save(tmp_path / "features/bottleneck/plain.npy", np.ones((100, 10_000), np.float16))
    features.Writer(tmp_path, shapes)
