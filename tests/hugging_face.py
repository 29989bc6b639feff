"""Small networks with random weights in Hugging Face's own format, and what they give: a script for a Python that has
`torch` and `transformers`.

    python tests/hugging_face.py FOLDER    # writes FOLDER/NAME/{config.json,model.safetensors,…} and FOLDER/NAME.npy

FOLDER/images.npy, float32 (n, 56, 56, 3), are the scaled images; NAME.npy are their last hidden states, (n, t, d), and
NAME_28.npy (or NAME_32.npy) those of their upper left corners of so many pixels, for which places are interpolated.
"""

import sys
from pathlib import Path

import numpy as np
import torch
import transformers

SIZE = 56
BLOCKS = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "image_size": SIZE}
MLP = {"intermediate_size": 64}


def networks() -> dict[str, torch.nn.Module]:
    of = transformers
    return {
        "vit": of.ViTModel(of.ViTConfig(**BLOCKS, **MLP, patch_size=8), add_pooling_layer=False),
        "vit_with_head": of.ViTForImageClassification(of.ViTConfig(**BLOCKS, **MLP, patch_size=8)),
        "deit": of.DeiTModel(of.DeiTConfig(**BLOCKS, **MLP, patch_size=8), add_pooling_layer=False),
        "dinov2": of.Dinov2Model(of.Dinov2Config(**BLOCKS, mlp_ratio=2, patch_size=14)),
        "dinov2_gated": of.Dinov2Model(of.Dinov2Config(**BLOCKS, mlp_ratio=2, patch_size=14, use_swiglu_ffn=True)),
        "dinov2_registers": of.Dinov2WithRegistersModel(
            of.Dinov2WithRegistersConfig(**BLOCKS, mlp_ratio=2, patch_size=14, num_register_tokens=3)
        ),
        "dinov3": of.DINOv3ViTModel(of.DINOv3ViTConfig(**BLOCKS, **MLP, patch_size=14, num_register_tokens=4)),
        "swin": of.SwinModel(
            of.SwinConfig(
                image_size=SIZE, patch_size=2, window_size=7, embed_dim=16, depths=[2, 2, 2], num_heads=[2, 4, 4]
            ),
            add_pooling_layer=False,
        ),
    }


def main(folder: Path) -> None:
    torch.manual_seed(0)
    images = torch.from_numpy(np.load(folder / "images.npy")).permute(0, 3, 1, 2)
    for name, network in networks().items():
        with torch.no_grad():
            for weights in network.parameters():  # as drawn, many are nothing
                weights.add_(0.05 * torch.randn_like(weights))
            network.eval().save_pretrained(folder / name)
            base = getattr(network, "vit", network)
            np.save(folder / f"{name}.npy", base(images).last_hidden_state.numpy())
            if name not in ("deit", "swin"):  # which interpolate nothing
                options = {"interpolate_pos_encoding": True} if name.startswith("vit") else {}
                side = 32 if name.startswith("vit") else 28
                states = base(images[:, :, :side, :side], **options).last_hidden_state
                np.save(folder / f"{name}_{side}.npy", states.numpy())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
