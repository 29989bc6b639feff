import errno
import functools
import hashlib
import shutil
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest

from headstart.artifacts import features, manifest
from headstart.backbones import registry
from headstart.base import params
from headstart.base.errors import UserError
from headstart.base.runtime import keras, tf
from headstart.images import augment, decoding
from headstart.images.decoding import Square
from stages import extract, fetch, split

CUT = "block_6_expand_relu"
SETTINGS = {
    "backbone.name": "MobileNetV2",
    "backbone.weights": "weights.h5",
    "fine_tune.views": "live",
    "fine_tune.cut": CUT,
    "augment.rotation": 20.0,
    "augment.zoom": 0.2,
    "augment.flip_horizontal": True,
    "augment.flip_vertical": True,
    "extract.batch_size": 5,
}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Weights under which the drawn images differ: normalised by the statistics of some noise."""
    network = registry.build("MobileNetV2", 32, None)
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    network(np.random.default_rng(1).uniform(-1, 1, (16, 32, 32, 3)).astype("float32"), training=True)
    path = tmp_path_factory.mktemp("weights") / "weights.h5"
    network.save(path)
    return path


@pytest.fixture
def prepared(project, weights, monkeypatch):
    """The project after fetch and split, as the working directory."""
    monkeypatch.chdir(project.path)
    shutil.copy(weights, "weights.h5")
    project.set(SETTINGS)
    fetch.main()
    split.main()
    return project


@pytest.fixture
def any_network(project, monkeypatch):
    """The same with TinyNet, which is built in a fifth of the time, for tests that any network will do for."""
    monkeypatch.chdir(project.path)
    project.set({name: value for name, value in SETTINGS.items() if not name.startswith("backbone")})
    project.set({"fine_tune.cut": "conv2_relu"})
    fetch.main()
    split.main()
    return project


@functools.cache
def network(weights: bytes):
    """The backbone; made once, since the weights are the same in all of these tests."""
    return registry.build("MobileNetV2", 32, Path("weights.h5"))


@functools.cache
def model(weights: bytes, layer: str | None):
    """From uint8 images to what `layer` gives; None: to the features."""
    output = network(weights).get_layer(layer).output if layer else network(weights).output
    inputs = keras.Input((32, 32, 3), dtype="uint8")
    scaled = registry.scale(inputs, "MobileNetV2", "native")
    return tf.function(keras.Model(inputs, keras.Model(network(weights).input, output)(scaled)))


def direct(layer=None, view=None):
    """What the backbone computes on all images of the manifest at once, without `extract`."""
    table, settings = manifest.read(), params.load()
    pixels = np.stack([decoding.read(Path("data/my_images", path).read_bytes(), Square(32)) for path in table.paths])
    if view is not None:
        drawn = [augment.transform(settings.augment, 32, sha256, view) for sha256 in table.sha256]
        pixels = np.asarray(augment.warp(pixels, np.stack(drawn)))
    digest = hashlib.sha256(Path("weights.h5").read_bytes()).digest()
    return np.asarray(model(digest, layer)(pixels, training=False))


def arrays():
    """The arrays that there are, by their places in data/features."""
    return sorted(str(path.relative_to(features.FEATURES)) for path in features.FEATURES.rglob("*.npy"))


def assert_close(array, expected):
    assert array.dtype == np.float16 and array.shape == expected.shape
    assert expected.std(axis=0).max() > 0.1  # the images differ, so that a wrong order would show
    np.testing.assert_allclose(array, expected, rtol=2e-3, atol=2e-3 * np.abs(expected).max())


def test_features_are_the_backbones_output_in_the_order_of_the_manifest(prepared, capsys):
    extract.main()
    assert_close(features.read_bottleneck(), direct())
    assert arrays() == ["bottleneck/plain.npy"]
    assert features.CUT.is_dir(), "DVC looks for every out"
    assert not Path(".headstart").exists()
    printed = capsys.readouterr()
    assert "extract: 0 MB for bottleneck/plain; " in printed.out and " MB are free" in printed.out
    assert "extract: 32 images in " in printed.err and "images/s" in printed.err


def test_cut_and_views_are_the_activations_at_the_cut(prepared):
    prepared.set({"fine_tune.views": 3})
    extract.main()
    train = manifest.read().rows("train")
    assert_close(features.read_bottleneck(), direct())
    assert_close(features.read_cut(), direct(CUT))
    assert features.read_cut_views().shape[:2] == (len(train), 2)
    for view in (1, 2):
        assert_close(features.read_cut_views()[:, view - 1], direct(CUT, view)[train])


@pytest.mark.parametrize("pooling", ["average", "flatten"])
def test_with_views_for_the_head_the_rest_of_the_network_sees_them_too(pooling, prepared):
    solver = {"head.solver": "gradient", "head.hidden": []}
    prepared.set({"fine_tune.views": 3, "head.views": True, "head.pooling": pooling, **solver})
    extract.main()
    train = manifest.read().rows("train")
    assert_close(features.read_bottleneck(), direct())
    assert_close(features.read_cut_views()[:, 0], direct(CUT, 1)[train])
    for view in (1, 2):
        expected = direct(view=view)[train]
        if pooling == "average":
            expected = expected.mean(axis=(1, 2), keepdims=True)
        assert_close(features.read_bottleneck_views()[:, view - 1], expected)


def test_with_folds_every_image_that_a_run_trains_on_has_views(prepared):
    prepared.set({"fine_tune.views": 2, "split.folds": 4})
    split.main()
    extract.main()
    table = manifest.read()
    assert len(table.trained_on()) == len(table.paths) == 32
    assert_close(features.read_cut_views()[:, 0], direct(CUT, 1))


def test_a_convolution_at_the_cut_does_not_take_over_the_normalisation_after_it(prepared):
    prepared.set({"fine_tune.views": 1, "fine_tune.cut": "Conv_1"})
    extract.main()
    assert_close(features.read_cut(), direct("Conv_1"))
    assert_close(features.read_bottleneck(), direct())


def test_one_view_is_the_plain_one_alone(prepared):
    prepared.set({"fine_tune.views": 1})
    extract.main()
    assert arrays() == ["bottleneck/plain.npy", "cut/plain.npy"]


def test_what_the_arrays_take_is_printed_and_a_disk_too_small_is_an_error(prepared, monkeypatch, capsys):
    prepared.set({"fine_tune.views": 3, "fine_tune.cut": "block_1_expand_relu"})
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 10**9 - 10**6, 10**6))
    with pytest.raises(
        UserError, match=r"the features take 3 MB, but the disk of .* has 1 MB free: free some"
    ) as error:
        extract.main()
    assert "\n" not in str(error.value)
    assert "extract: 3 MB for bottleneck/plain, cut/plain, cut/views; 1 MB are free" in capsys.readouterr().out
    assert not features.FEATURES.exists()


def test_bottleneck_features_do_not_depend_on_the_views(any_network):
    contents = set()
    for views in (3, "live"):
        any_network.set({"fine_tune.views": views})
        extract.main()
        contents.add((features.BOTTLENECK / "plain.npy").read_bytes())
        assert sorted(path.name for path in features.BOTTLENECK.iterdir()) == ["arrays.json", "plain.npy"]
    assert len(contents) == 1


def test_an_image_is_decoded_once_for_all_of_its_views(any_network, monkeypatch):
    any_network.set({"fine_tune.views": 4})
    reads, read = [], decoding.read
    monkeypatch.setattr(decoding, "read", lambda data, size, values: reads.append(size) or read(data, size, values))
    extract.main()
    assert len(reads) == 32 and features.read_cut_views().shape[:2] == (16, 3)


@pytest.mark.parametrize(
    ("views", "cut", "message"),
    [
        ("live", "mixed6", "got mixed6, which is not a layer of MobileNetV2"),
        (2, "mixed6", "got mixed6, which is not a layer of MobileNetV2"),
        (2, "block_2_expand", "got block_2_expand, but fixed views need a layer whose output is the only path"),
        (2, 0, "got 0, but fixed views need"),
    ],
)
def test_a_wrong_cut_is_reported_before_the_work(prepared, views, cut, message):
    prepared.set({"fine_tune.views": views, "fine_tune.cut": cut})
    with pytest.raises(UserError, match=message):
        extract.main()
    assert not features.FEATURES.exists()


@pytest.mark.parametrize("links", [True, False])
def test_a_run_killed_after_its_arrays_moved_ends_in_the_same_bytes(links, any_network, monkeypatch, capsys):
    any_network.set({"fine_tune.views": 3, "head.views": True})
    with monkeypatch.context() as killed:
        killed.setattr(extract.checkpoint, "finish", lambda stage: None)
        if not links:

            def refused(source, target):
                raise OSError(errno.EPERM, "Operation not permitted")

            killed.setattr(features.os, "link", refused)
        extract.main()
    expected = {name: (features.FEATURES / name).read_bytes() for name in arrays()}
    assert list(Path(".headstart").rglob("done.json"))
    shutil.rmtree(features.FEATURES)  # as DVC does before it runs the stage again
    capsys.readouterr()
    extract.main()
    assert {name: (features.FEATURES / name).read_bytes() for name in arrays()} == expected
    # Without links the arrays are gone with the outs, and what is done anew is all of it.
    assert f"extract: {0 if links else 64} images in" in capsys.readouterr().err
    assert not Path(".headstart").exists()


@pytest.mark.parametrize("damage", ["removed", "cut", "of another kind"])
def test_an_image_that_is_gone_after_the_split_is_one_line(damage, prepared):
    image = Path("data/my_images", manifest.read().paths[20])
    if damage == "removed":
        image.unlink()
    else:
        image.write_bytes(image.read_bytes()[:40] if damage == "cut" else b"not an image")
    done = prepared.stage("extract")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    line = done.stderr.splitlines()[-1]
    assert line.startswith(f"error: {manifest.read().paths[20]}: ")
    assert line.endswith("; the source has changed since it was split: run `dvc repro` again")
