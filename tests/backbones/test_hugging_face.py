"""Networks in Hugging Face's format give what they give elsewhere: in `transformers`, and worked out in NumPy."""

import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from scipy.special import erf

from headstart.backbones import registry
from headstart.base import bundle
from headstart.base.errors import UserError

pytest.importorskip("keras_hub", reason="KerasHub is not installed (requirements-kerashub.txt)")

NAMES = ["deit", "dinov2", "dinov2_gated", "dinov2_registers", "dinov3", "swin", "vit", "vit_with_head"]
INTERPOLATED = [f"{name}_{32 if 'vit' in name else 28}" for name in NAMES if name not in ("deit", "dinov3", "swin")]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The folder that tests/hugging_face.py fills: by the Python HEADSTART_TORCH, or by this one."""
    folder = tmp_path_factory.mktemp("hugging face")
    np.save(folder / "images.npy", np.random.default_rng(0).normal(size=(2, 56, 56, 3)).astype("float32"))
    python = os.environ.get("HEADSTART_TORCH", sys.executable)
    if subprocess.run([python, "-c", "import torch, transformers"], capture_output=True).returncode:
        pytest.skip(f"{python} has no torch and transformers: HEADSTART_TORCH names one that has")
    command = [python, ROOT / "tests/hugging_face.py", folder]
    done = subprocess.run(command, env=os.environ | {"HF_HUB_OFFLINE": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


def features(folder, name, size, images):
    """What Headstart makes of a network in a folder: tokens, or the places of a map in their order."""
    bundle.write(folder, folder.parent / "weights.zip", name)
    network = registry.build(f"hub:{name.partition('_')[0]}", size, folder.parent / "weights.zip")
    given = np.asarray(network(images[:, :size, :size]))
    return given.reshape(len(images), -1, given.shape[-1])


@pytest.mark.parametrize("name", [*NAMES, *INTERPOLATED, "dinov3_28"])
def test_features_are_those_of_transformers(name, written):
    expected = np.load(written / f"{name}.npy")
    base, _, side = name.rpartition("_")
    folder, size = (written / base, int(side)) if side.isdigit() else (written / name, 56)
    given = features(folder, name, size, np.load(written / "images.npy"))
    # Registers and distillation tokens follow the class token, and are no features.
    left_out = expected.shape[1] - given.shape[1]
    assert left_out == (1 if name == "deit" else 3 if "registers" in name else 4 if "dinov3" in name else 0)
    expected = np.delete(expected, range(1, 1 + left_out), axis=1)
    np.testing.assert_allclose(given, expected, atol=1e-4)


WIDTH, HEADS, PATCH, SIDE, REGISTERS = 12, 3, 4, 16, 2
CONFIG = {
    "model_type": "dinov2_with_registers", "hidden_size": WIDTH, "num_hidden_layers": 2, "num_attention_heads": HEADS,
    "mlp_ratio": 2, "patch_size": PATCH, "image_size": SIDE, "num_register_tokens": REGISTERS, "layerscale_value": 1.0,
    "use_swiglu_ffn": False, "hidden_dropout_prob": 0.1, "drop_path_rate": 0.1,
}  # fmt: skip


def tensors():
    """Random weights, by the names that Hugging Face has for them."""
    rng, places, linear = np.random.default_rng(3), 1 + (SIDE // PATCH) ** 2, {}
    shapes = {
        "embeddings.cls_token": (1, 1, WIDTH),
        "embeddings.mask_token": (1, WIDTH),
        "embeddings.register_tokens": (1, REGISTERS, WIDTH),
        "embeddings.position_embeddings": (1, places, WIDTH),
        "embeddings.patch_embeddings.projection.weight": (WIDTH, 3, PATCH, PATCH),
        "embeddings.patch_embeddings.projection.bias": (WIDTH,),
    }
    for layer in ("encoder.layer.0", "encoder.layer.1"):
        for name in ("attention.attention.query", "attention.attention.key", "attention.attention.value"):
            linear[f"{layer}.{name}"] = (WIDTH, WIDTH)
        linear |= {f"{layer}.attention.output.dense": (WIDTH, WIDTH)}
        linear |= {f"{layer}.mlp.fc1": (2 * WIDTH, WIDTH), f"{layer}.mlp.fc2": (WIDTH, 2 * WIDTH)}
        linear |= {f"{layer}.norm1": (WIDTH,), f"{layer}.norm2": (WIDTH,)}
        shapes |= {f"{layer}.layer_scale1.lambda1": (WIDTH,), f"{layer}.layer_scale2.lambda1": (WIDTH,)}
    for name, shape in (linear | {"layernorm": (WIDTH,)}).items():
        shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    return {name: rng.normal(0, 0.5, shape).astype("float32") for name, shape in shapes.items()}


def save(folder: Path, config, weights, dtype="F32"):
    """A network's folder, as Hugging Face writes it."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    header, content = {}, b""
    for name, array in weights.items():
        data = (array if dtype == "F32" else (array.view("<u4") >> 16).astype("<u2")).tobytes()
        places = [len(content), len(content) + len(data)]
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": places}
        content += data
    text = json.dumps(header | {"__metadata__": {"format": "pt"}}).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + content)
    return folder


def normalised(x, of, name):
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-6) * of[f"{name}.weight"] + of[f"{name}.bias"]


def worked_out(images, of):
    """DINOv2's last hidden state, from its paper: registers stand between the class token and the patches."""

    def linear(x, name):
        return x @ of[f"{name}.weight"].T + of[f"{name}.bias"]

    def heads(x):
        return x.reshape(len(x), -1, HEADS, WIDTH // HEADS).transpose(0, 2, 1, 3)

    grid, count = SIDE // PATCH, len(images)
    patches = images.reshape(count, grid, PATCH, grid, PATCH, 3).transpose(0, 1, 3, 5, 2, 4).reshape(count, grid**2, -1)
    kernel = of["embeddings.patch_embeddings.projection.weight"].reshape(WIDTH, -1)
    x = patches @ kernel.T + of["embeddings.patch_embeddings.projection.bias"]
    x = np.concatenate([np.tile(of["embeddings.cls_token"], (count, 1, 1)), x], axis=1)
    x = x + of["embeddings.position_embeddings"]
    x = np.concatenate([x[:, :1], np.tile(of["embeddings.register_tokens"], (count, 1, 1)), x[:, 1:]], axis=1)
    for layer in ("encoder.layer.0", "encoder.layer.1"):
        y, inside = normalised(x, of, f"{layer}.norm1"), f"{layer}.attention.attention"
        query, key, value = (heads(linear(y, f"{inside}.{part}")) for part in ("query", "key", "value"))
        scores = np.exp(query @ key.transpose(0, 1, 3, 2) / np.sqrt(WIDTH // HEADS))
        y = (scores / scores.sum(-1, keepdims=True) @ value).transpose(0, 2, 1, 3).reshape(x.shape)
        x = x + linear(y, f"{layer}.attention.output.dense") * of[f"{layer}.layer_scale1.lambda1"]
        y = linear(normalised(x, of, f"{layer}.norm2"), f"{layer}.mlp.fc1")
        y = linear(y * (1 + erf(y / np.sqrt(2))) / 2, f"{layer}.mlp.fc2")
        x = x + y * of[f"{layer}.layer_scale2.lambda1"]
    return normalised(x, of, "layernorm")


@pytest.mark.parametrize("prefix", ["", "dinov2_with_registers."])
def test_features_are_those_worked_out_by_hand(prefix, tmp_path):
    of, images = tensors(), np.random.default_rng(1).normal(size=(3, SIDE, SIDE, 3)).astype("float32")
    folder = save(tmp_path / "network", CONFIG, {prefix + name: array for name, array in of.items()})
    expected = np.delete(worked_out(images, of), range(1, 1 + REGISTERS), axis=1)
    np.testing.assert_allclose(features(folder, "dinov2", SIDE, images), expected, atol=1e-4)


def test_weights_of_half_the_width_are_read(tmp_path):
    of, images = tensors(), np.random.default_rng(1).normal(size=(3, SIDE, SIDE, 3)).astype("float32")
    rounded = {name: (array.view("<u4") >> 16 << 16).view("<f4") for name, array in of.items()}
    folder = save(tmp_path / "network", CONFIG, of, "BF16")
    expected = np.delete(worked_out(images, rounded), range(1, 1 + REGISTERS), axis=1)
    np.testing.assert_allclose(features(folder, "dinov2", SIDE, images), expected, atol=1e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "bert"}, "KerasHub converts no bert of Hugging Face; takes deit, dinov2"),
        ({"model_type": "vit"}, "is not a network of KerasHub's: it lacks 'intermediate_size'"),
        ({"num_hidden_layers": 10**6}, "its num_layers is 1000000; takes at most 200"),
        ({"hidden_size": 24}, "is not a network of KerasHub's"),
        ({"num_hidden_layers": 3}, "it lacks 'encoder.layer.2"),
    ],
)
def test_a_network_that_is_not_what_it_says_is_refused_in_one_line(change, message, tmp_path):
    folder = save(tmp_path / "network", CONFIG | change, tensors())
    with pytest.raises(UserError, match=message) as refused:
        features(folder, "dinov2", SIDE, np.zeros((1, SIDE, SIDE, 3), "float32"))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "content",
    [b"", b"\x00" * 7, struct.pack("<Q", 2**60), struct.pack("<Q", 2) + b"[]", struct.pack("<Q", 3) + b"{]}"]
    + [
        struct.pack("<Q", len(text)) + text
        for text in (
            b'{"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}',
            b'{"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, -4]}}',
            b'{"a": {"dtype": "F32", "shape": [1]}}',
        )
    ],
)
def test_a_damaged_file_of_tensors_is_refused_in_one_line(content, tmp_path):
    folder = save(tmp_path / "network", CONFIG, tensors())
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(UserError, match="weights.zip is not a network of KerasHub's") as refused:
        features(folder, "dinov2", SIDE, np.zeros((1, SIDE, SIDE, 3), "float32"))
    assert "\n" not in str(refused.value)
