"""A backbone's preset, from a folder, Hugging Face's hub or Kaggle's, as one archive (`base.bundle`)."""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from headstart.base import bundle
from headstart.base.errors import UserError
from headstart.base.origin import INSTALL_HUB
from headstart.sources import download

# In a process of its own: both libraries read where their downloads go when they are imported. `bundle` takes what is
# wanted of what is fetched, and no other files.
SCRIPT = """
import pathlib, socket, sys
socket.setdefaulttimeout(60)
kind, handle, folder = sys.argv[1:]
if kind == "hf":
    import huggingface_hub
    name, _, revision = handle.partition("@")
    wanted = ["*.json", "*.safetensors", "*.h5"]
    print(huggingface_hub.snapshot_download(name, revision=revision or None, local_dir=folder, allow_patterns=wanted))
else:
    import kagglehub
    print(kagglehub.model_download(handle))
"""
FORMS = {
    "hf": (r"[\w.-]+/[\w.-]+(@[\w./-]+)?", "hf://owner/name, or hf://owner/name@revision"),
    "kaggle": (r"[\w.-]+/[\w.-]+/[\w.-]+/[\w.-]+(/\d+)?", "kaggle://owner/model/keras/variation/version"),
}


def fetch(weights: str, sha256: str | None, to: Path) -> str:
    """Write a preset's archive to `to`, and return its sha256: the same for the same files, wherever they came from.

    weights: the path of a folder as KerasHub's `save_to_preset` or Hugging Face's `save_pretrained` writes it,
        `hf://owner/name`, with `@revision` or without, or `kaggle://owner/model/keras/variation/version`.
    sha256: the expected one; None accepts any, and prints it.

    Raises UserError for a preset that cannot be had or is none, and for another sha256.
    """
    part = to.with_name(to.name + ".part")
    kind, scheme, handle = weights.partition("://")
    if not scheme:
        bundle.write(Path(weights), part, weights)
    else:
        with tempfile.TemporaryDirectory(dir=to.parent, suffix=".part") as home:
            bundle.write(_downloaded(weights, kind, handle, Path(home)), part, weights)
    digest = download.check(weights, part, sha256, "backbone.sha256")
    part.replace(to)
    return digest


def _downloaded(weights: str, kind: str, handle: str, home: Path) -> Path:
    pattern, form = FORMS[kind]
    if not re.fullmatch(pattern, handle):
        raise UserError(f"backbone.weights: got {weights}; takes {form}")
    environment = os.environ | {"HF_HOME": str(home / "hf"), "KAGGLEHUB_CACHE": str(home / "kaggle")}
    environment |= {"HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "TQDM_DISABLE": "1"}
    command = [sys.executable, "-c", SCRIPT, kind, handle, str(home / "files")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise UserError(f"backbone.weights: {weights}: {_why_it_failed(done.stderr)}")
    return Path(done.stdout.splitlines()[-1])


def _why_it_failed(stderr: str) -> str:
    reason = " ".join((stderr.strip() or "no reason given").splitlines()[-1].split())[:200]
    if "No module named" in reason:
        return f"KerasHub is not installed: {INSTALL_HUB}"
    if re.search(r"NotFound|404|401|403", reason):
        return f"there is none of this name that you may read ({reason}): correct it, or log in to the hub"
    return f"cannot be downloaded ({reason}): check the network, or name a folder that was fetched elsewhere"
