"""`python -m headstart.params`: check params.yaml, and that what it names is there.

DVC itself does not know which names and values there can be, nor does it look at parameters that no stage takes; at
a link to nothing it stops before a stage could say what to do; and it removes what a stage wrote last time before the
stage can refuse what is asked of it now.
"""

from headstart.base import errors  # first: from here on Ctrl-C is one line

# isort: split
import importlib.util
import json
import os
from pathlib import Path
from typing import Any

from headstart.artifacts import corrections, manifest
from headstart.base import account, files, origin, params, seconds, yaml12
from headstart.base.arguments import Parser
from headstart.base.errors import UserError

SCHEMA = Path("params.schema.json")
# What says whether there is such a cut, and such a pooling.
NETWORK = ("backbone", "image.size", "fine_tune.cut", "fine_tune.views", "head.pooling")


def schema_text() -> str:
    """Returns what is in params.schema.json when it is current: the JSON schema by which editors check params.yaml."""
    return json.dumps(params.schema(), indent=2, ensure_ascii=False) + "\n"


def refuse_broken_links(folder: Path) -> None:
    """Raise UserError where a file below `folder` is a symbolic link to nothing, such as to what left DVC's cache."""
    for inner, _, names in os.walk(folder):
        for file in (Path(inner, name) for name in names):
            if file.is_symlink() and not file.exists():
                raise UserError(
                    f"dataset.path: {file} is a link to {file.readlink()}, where nothing is: `dvc pull` brings back "
                    "what DVC has tracked; otherwise put the file itself there, or remove the link"
                )


def _last(stage: str) -> dict[str, Any] | None:
    """The parameters of the last run of a stage, as dvc.lock has them; None where it knows of none.

    One that a kill has cut short is mended by `headstart.check`, which `make repro` runs next.
    """
    try:
        return yaml12.read(seconds.LOCK)["stages"][stage]["params"][str(params.PARAMS)]
    except (UserError, KeyError, TypeError):
        return None


def refuse_network(settings: params.Params) -> None:
    """Raise UserError for a network, an image size or a cut that `extract` would refuse, where the last run had others.

    Where nothing has run there is nothing to lose, and where they are the same, nothing to find out.
    """
    last, now = _last("extract"), params.declaration("extract").values
    if last is None or all(name in last and last[name] == now[name] for name in NETWORK):
        return
    from headstart.backbones import cut, hub, several  # TensorFlow takes seconds to import
    from headstart.base import places

    of_hub = [one for one in settings.backbone if origin.is_of_hub(one.name) and one.weights != "random"]
    for one in of_hub:
        hub.family_of(one.name)
    if of_hub:
        return  # what it looks like comes with its weights, which `fetch` brings
    backbone = several.build(settings.backbone, settings.image.size, [None] * len(settings.backbone))
    places.refuse_pooling(backbone.output.shape[1:], settings.head.pooling, settings.backbone[0].name)
    if settings.fine_tune.views != "live" or cut.divides(backbone, settings.fine_tune.cut):
        cut.cut_in_two(backbone, settings.fine_tune.cut)


def refuse_decision(settings: params.Params) -> None:
    """Raise UserError where `decision` names a class that there is not, as far as the last run's classes still hold.

    They are known once the images are split; `calibrate`, which would refuse it, comes after all training.
    """
    if _last("split") != params.declaration("split").values:
        return
    try:
        classes = json.loads(manifest.CLASSES.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return  # `split` writes it anew, or says more
    params.check_decision(settings.decision, classes)


def refuse_engine(engine: str) -> None:
    """Raise UserError for an engine that is not installed."""
    if engine == "openvino" and importlib.util.find_spec("openvino") is None:
        raise UserError(
            "extract.engine: got openvino, which is not installed: pip install -r requirements-openvino.txt, or take "
            "tensorflow"
        )


def refuse_backbone(name: str) -> None:
    """Raise UserError for a network of KerasHub where that is not installed: `fetch` may take long before that."""
    if origin.is_of_hub(name) and importlib.util.find_spec("keras_hub") is None:
        raise UserError(f"backbone.name: got {name}; KerasHub is not installed: {origin.INSTALL_HUB}")


def main() -> None:
    parser = Parser(prog="python -m headstart.params", description="Check params.yaml: silent where nothing is wrong.")
    parser.add_argument("--schema", action="store_true", help=f"write {SCHEMA} instead, for editors")
    if parser.parse_args().schema:
        files.write_text(SCHEMA, schema_text())
    else:
        account.require()  # what checks the parameters is about to run DVC
        settings = params.load()
        params.refuse_linked_outs()
        refuse_broken_links(Path(settings.dataset.path))
        refuse_engine(settings.extract.engine)
        for backbone in settings.backbone:
            refuse_backbone(backbone.name)
        refuse_decision(settings)
        refuse_network(settings)
        for backbone in settings.backbone:
            origin.refuse_ending(backbone.weights, backbone.name)
        if not corrections.CORRECTIONS.exists():
            raise UserError(
                f"no {corrections.CORRECTIONS} here: `git checkout {corrections.CORRECTIONS}` brings it back; without "
                f"corrections it is one line, {','.join(corrections.COLUMNS)}"
            )


if __name__ == "__main__":
    errors.run(main)
