"""KerasHub's networks as Headstart builds them: what they give, their cuts, their scaling, what is refused."""

import json
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from conftest import ROOT

from headstart.backbones import cut, hub, registry, safetensors
from headstart.backbones.folding import folded
from headstart.base import bundle
from headstart.base.errors import UserError
from headstart.base.runtime import keras
from presets import CUTS, TINY, TOKENS, backbone, save

pytest.importorskip("keras_hub", reason="KerasHub is not installed (requirements-kerashub.txt)")


def pixels(size=32):
    return np.random.default_rng(2).normal(size=(2, size, size, 3)).astype("float32")


def own(made, images):
    """What KerasHub itself gives: its object, called as it wants to be."""
    given = made({next(iter(made.input)): images} if isinstance(made.input, dict) else images, training=False)
    return np.asarray(given)


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    """Of each family, KerasHub's object and the archive of its preset; made when they are first wanted."""
    folder, there = tmp_path_factory.mktemp("presets"), {}

    def archive(family, scaling=None):
        if (family, str(scaling)) not in there:
            name = folder / f"{family}{len(there)}"
            made = save(family, name, scaling)
            bundle.write(name, name.with_suffix(".zip"), family)
            there[family, str(scaling)] = made, name.with_suffix(".zip")
        return there[family, str(scaling)]

    return archive


@pytest.mark.parametrize("family", TINY)
def test_a_preset_gives_what_it_gives_in_kerashub(family, archives):
    made, archive = archives(family)
    network = registry.build(f"hub:{family}", 32, archive)
    expected, given = own(made, pixels()), np.asarray(network(pixels(), training=True))  # no dropout is left in it
    if family in TOKENS:
        assert given.shape == (2, 17, 16)
        given = given[:, 0] if family == "siglip" else given
        left_out = {"deit": 1, "dinov2": 2, "dinov3": 4}.get(family, 0)
        expected = expected if family == "siglip" else np.delete(expected, range(1, 1 + left_out), axis=1)
    if not any(isinstance(layer, keras.layers.BatchNormalization) for layer in network.layers):
        np.testing.assert_allclose(given, expected.reshape(given.shape), atol=2e-5)
    assert network.count_params() > 0


@pytest.mark.parametrize("family", TINY)
def test_a_network_is_cut_after_a_block_and_folded(family, archives):
    network = registry.build(f"hub:{family}", 32, archives(family)[1])
    frozen, tail = cut.cut_in_two(network, CUTS[family])
    expected = np.asarray(network(pixels()))
    assert np.asarray(folded(tail)(folded(frozen)(pixels()))) == pytest.approx(expected, abs=1e-4)
    if CUTS[family].startswith("block_"):
        blocks = [name for name in cut.single_paths(network) if name.startswith("block_") and name[6:].isdigit()]
        assert blocks == [f"block_{number}" for number in range(1, len(blocks) + 1)]
    cut.freeze(network, CUTS[family], "data/preset")
    names = [layer.name for layer in network.layers]
    trained = [layer.name for layer in network.layers if layer.trainable and layer.weights]
    assert trained and all(names.index(name) > names.index(CUTS[family]) for name in trained)


@pytest.mark.parametrize("family", TINY)
def test_a_saved_network_needs_keras_alone(family, archives, tmp_path):
    network = registry.build(f"hub:{family}", 32, archives(family)[1])
    network.save(tmp_path / "network.keras")
    with zipfile.ZipFile(tmp_path / "network.keras") as archive:
        assert (b"keras_hub" in archive.read("config.json")) == (family == "swin")
    loaded = keras.saving.load_model(tmp_path / "network.keras")
    np.testing.assert_allclose(loaded(pixels()), network(pixels()), atol=1e-6)


@pytest.mark.parametrize("family", hub.FAMILIES)
def test_without_weights_a_family_has_a_small_network_the_same_each_time(family):
    size = {"dinov2": 56, "swin": 224}.get(family, 64)
    first, second = (registry.build(f"hub:{family}", size, None) for _ in range(2))
    assert len(first.output.shape) == (3 if family in TOKENS else 4)
    assert all((one == other).all() for one, other in zip(first.get_weights(), second.get_weights(), strict=True))


@pytest.mark.parametrize("family", ["vit", "siglip", "dinov2", "dinov3", "deit", "mit"])
def test_a_preset_takes_images_of_other_sizes(family, archives):
    network = registry.build(f"hub:{family}", 48, archives(family)[1])
    assert network.output.shape[1:] == ((1 + 36, 16) if family in TOKENS else (6, 6, 16))
    assert np.isfinite(network(pixels(48))).all()


def test_a_vision_transformer_without_a_class_token_gives_a_map():
    made = backbone("vit", use_class_token=False)
    network = hub.FAMILIES["vit"].network(made, 32)
    np.testing.assert_allclose(np.asarray(network(pixels())).reshape(2, 16, 16), own(made, pixels()), atol=2e-5)


def scaled(network, name="hub:vit", mode="native"):
    colours = np.array([[[[0, 127.5, 255]]]], "float32")
    return np.asarray(registry.scale(colours, name, mode, network)).reshape(3)


def test_pixels_are_scaled_as_the_preset_says_or_as_the_family_is_wont_to(archives):
    says = registry.build("hub:vit", 32, archives("vit", {"scale": [0.1, 0.2, 0.5], "offset": [1.0, 2.0, -1.0]})[1])
    np.testing.assert_allclose(scaled(says), [1, 27.5, 126.5], rtol=1e-6)
    former = {"scale": 1 / 255, "mean": [0.5] * 3, "variance": [0.25] * 3}
    np.testing.assert_allclose(scaled(registry.build("hub:vit", 32, archives("vit", former)[1])), [-1, 0, 1], atol=1e-6)
    np.testing.assert_allclose(scaled(registry.build("hub:vit", 32, archives("vit")[1])), [-1, 0, 1], atol=1e-6)
    imagenet = [(0 - 0.485) / 0.229, (0.5 - 0.456) / 0.224, (1 - 0.406) / 0.225]
    np.testing.assert_allclose(scaled(registry.build("hub:dinov2", 32, archives("dinov2")[1])), imagenet, atol=1e-5)
    np.testing.assert_allclose(scaled(says, mode="unit"), [0, 0.5, 1], atol=1e-6)


@pytest.mark.parametrize(
    ("name", "size", "message"),
    [
        (
            "hub:dinov22",
            56,
            "backbone.name: got hub:dinov22; did you mean hub:dinov2.*takes hub: with one of KerasHub's",
        ),
        ("hub:dinov2_small", 56, "got random; what hub:dinov2_small looks like comes with its weights: take kaggle://"),
        ("hub:vit", 50, "image.size: got 50; hub:vit takes multiples of 16, such as 48 or 64"),
        ("hub:vit", 8, "image.size: got 8; hub:vit takes multiples of 16, such as 16"),
        ("hub:vgg", 16, r"^image.size: got 16; hub:vgg reduces so small an image to nothing [^\x1b=]*: take a la"),
        ("hub:bert_base_en", 64, "backbone.name: got hub:bert_base_en; .*takes hub: with one of"),
    ],
)
def test_what_cannot_be_built_is_refused_in_one_line(name, size, message):
    with pytest.raises(UserError, match=message) as refused:
        registry.build(name, size, None)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("family", "change", "what"),
    [
        ("vit", {"image_shape": (32, 64, 3)}, "32 places, which are no square"),
        ("deit", {"image_shape": (32, 64, 3)}, "32 places, which are no square"),
        ("vit", {"patch_size": (8, 16)}, "patches of 8x16 pixels"),
    ],
)
def test_a_preset_for_images_that_are_no_squares_is_refused_in_one_line(family, change, what, tmp_path):
    save(family, tmp_path / "preset", **change)
    bundle.write(tmp_path / "preset", tmp_path / "preset.zip", family)
    with pytest.raises(UserError, match=rf"^backbone\.weights: .*preset\.zip has {what}, and images are made squares"):
        registry.build(f"hub:{family}", 32, tmp_path / "preset.zip")


def test_tensors_that_share_their_data_are_refused_before_a_small_file_becomes_large(tmp_path):
    names = {f"t{number}": {"dtype": "F32", "shape": [1000], "data_offsets": [0, 4000]} for number in range(100)}
    for some in (names, dict(list(names.items())[:1])):
        text = json.dumps(some).encode()
        (tmp_path / "model.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + bytes(4000))
        if len(some) == 1:
            assert safetensors.read(tmp_path / "model.safetensors")["t0"].shape == (1000,)
        else:
            with pytest.raises(ValueError, match=r"^model\.safetensors has tensors that share their data$"):
                safetensors.read(tmp_path / "model.safetensors")


def test_weights_of_another_family_are_refused(archives):
    with pytest.raises(UserError, match="is of hub:vit; got hub:dinov2: correct one of the two"):
        registry.build("hub:dinov2", 32, archives("vit")[1])


def edited(archive, tmp_path, edit):
    """A copy of an archive, its description changed by `edit`."""
    folder = tmp_path / "edited"
    folder.mkdir()
    bundle.unpack(archive, folder)
    config = json.loads((folder / "config.json").read_text())
    edit(config)
    (folder / "config.json").write_text(json.dumps(config))
    bundle.write(folder, tmp_path / "edited.zip", "edited")
    return tmp_path / "edited.zip"


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda config: config.update(class_name="BertBackbone"), "it is of BertBackbone; takes CSPNetBackbone, "),
        (lambda config: config.update(module="os"), "it names os.ViTBackbone, which is not of KerasHub"),
        (lambda config: config["config"].update(num_layers=201), "its num_layers is 201; takes at most 200"),
        (lambda config: config["config"].update(hidden_dim=32), "is not a network of KerasHub's: "),
        (lambda config: config.pop("config"), "it lacks 'config'"),
    ],
)
def test_a_preset_that_is_not_what_it_says_is_refused_in_one_line(edit, message, archives, tmp_path):
    with pytest.raises(UserError, match=message) as refused:
        registry.build("hub:vit", 32, edited(archives("vit")[1], tmp_path, edit))
    assert "\n" not in str(refused.value)


WITHOUT = "import sys; sys.modules['keras_hub'] = None; "


def test_without_kerashub_one_line_says_what_to_install(archives, tmp_path):
    network = registry.build("hub:swin", 32, archives("swin")[1])
    inputs = keras.Input((32, 32, 3))
    keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(network(inputs))).save(tmp_path / "swin.keras")
    names = (
        "from pathlib import Path; from headstart.backbones import registry; from headstart.artifacts import models; "
    )
    names += "from headstart.base import errors; "
    for call, message in (
        (
            "registry.build('hub:vit', 32, None)",
            "backbone.name: got hub:vit; KerasHub is not installed: pip install -r ",
        ),
        (
            f"models.load(Path({str(tmp_path / 'swin.keras')!r}))",
            "swin.keras holds layers of KerasHub, which is not inst",
        ),
    ):
        command = [sys.executable, "-c", f"{WITHOUT}{names}errors.run(lambda: {call})"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 1 and message in done.stderr and len(done.stderr.splitlines()) == 1, done.stderr


def test_other_networks_do_not_import_kerashub():
    script = "import sys; from headstart.backbones import registry; registry.build('EfficientNetLite0', 32, None); "
    script += "sys.exit('keras_hub' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True).returncode == 0
