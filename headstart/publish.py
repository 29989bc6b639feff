"""Put the classifier, its exports and its model card onto a model hub: python -m headstart.publish OWNER/NAME

One commit holds all of it: README.md (the card), classifier.keras, and exports/FORMAT/… where there are any; what
another export left there is removed. A repository that is not there is made, a private one unless --public says
otherwise. What goes is said before, where it is after.

HF_TOKEN is a token that may write (https://huggingface.co/settings/tokens), unless `hf auth login` has kept one.
HF_ENDPOINT is the address of another hub.
"""

from headstart.base import errors  # first: from here on Ctrl-C is one line

# isort: split
import argparse
import os
import re
import sys
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml

from headstart.base import credentials, files
from headstart.base.arguments import Parser
from headstart.base.errors import UserError
from headstart.base.terminal import say
from headstart.delivery import proving, runtimes, sample
from headstart.delivery.classifier import ABOUT, CLASSIFIER, EXPORTS, PROGRAMS, about, refuse_damaged
from headstart.page import CARD

README = "README.md"
HEADER = re.compile(r"---\n(.*?\n)---\n", re.DOTALL)
OF_EXPORT = re.compile(rf"exports/({'|'.join(runtimes.NAMES)})/")
REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)


def parts() -> dict[str, Path]:
    """Returns what is published: the files by the places that they have at the hub, the card first.

    Raises UserError where the classifier or its card is missing, and where card or exports are of another classifier.
    """
    for path, stage in ((CLASSIFIER, "calibrate"), (CARD, "report")):
        if not path.is_file():
            raise UserError(
                f"no {path}: run `dvc repro {stage}`, `dvc checkout` (brings back the last one) or `make pull`"
            )
    sha256 = files.sha256(CLASSIFIER)
    if sha256 not in CARD.read_text(encoding="utf-8", errors="replace"):
        raise UserError(
            f"{CARD} is of another classifier than {CLASSIFIER}: run `dvc repro`, or `dvc checkout` for both"
        )
    found = {README: CARD, CLASSIFIER.name: CLASSIFIER}
    for folder in sorted(path for path in EXPORTS.glob("[!.]*") if path.is_dir()):
        found |= {str(path.relative_to("models")): path for path in _of_export(folder, sha256)}
    return found


def left_out(found: dict[str, Path]) -> list[Path]:
    """Returns the files below `models/exports` that are no part of an export, and are not published."""
    paths = (path for path in sorted(EXPORTS.rglob("*")) if path.is_file() and "__pycache__" not in path.parts)
    return [path for path in paths if path not in found.values()]


def exports(found: dict[str, Path]) -> str:
    """Returns what the card says of the exports among the `parts`, and how each compares with the classifier."""
    names = sorted({Path(place).parts[1] for place in found if place.startswith("exports/")})
    measured, lines = proving.read(files.sha256(CLASSIFIER)), []
    for name in names:
        of = measured.get(name, {})
        same = f"{of['agreement']} of {of['images']} images" if "agreement" in of else "not compared"
        accuracy = "{accuracy:.4f} ({accuracy_low:.4f} – {accuracy_high:.4f})".format(**of) if "accuracy" in of else ""
        size = proving.size(EXPORTS / name) / 1e6
        lines.append(f"| `exports/{name}` | {size:.1f} | {same} | {of.get('largest_difference', '')} | {accuracy} |\n")
    if not lines:
        return ""
    heading = "| export | MB | calls the same as the classifier | largest difference of a probability | accuracy |\n"
    how = "Each on its own runtime, on test images. In its folder: `python predict.py photo.jpg`.\n"
    return f"\n## Exports\n\n{how}\n{heading}| --- | ---: | ---: | ---: | ---: |\n{''.join(lines)}"


def licensed(card: str, licence: str | None) -> tuple[str, str | None]:
    """Returns the card with that licence in its header, and the licence; None: what the header says, if it does."""
    found = HEADER.match(card)
    try:
        header = yaml.safe_load(found[1]) if found else None
    except yaml.YAMLError:
        header = None
    if not isinstance(header, dict):
        raise UserError(f"{CARD} does not begin with a header: run `dvc repro --force --single-item report`")
    if licence is None:
        return card, header.get("license")
    said = yaml.safe_dump(header | {"license": licence}, sort_keys=False, allow_unicode=True, width=10**6)
    return f"---\n{said}---\n{card[found.end() :]}", licence


def main(arguments: list[str] | None = None) -> None:
    options = _options(arguments)
    if not REPOSITORY.fullmatch(options.repository):
        raise UserError(f"got {options.repository or 'no name'}; takes OWNER/NAME, such as anna/solar-cells")
    found = parts()
    card, licence = licensed(CARD.read_text(encoding="utf-8"), options.license)
    card += exports(found)
    library = _library()
    token = library.get_token()
    if not token or not re.fullmatch(r"[!-~]+", token):
        what = "HF_TOKEN is no token" if token else "no token"
        raise UserError(f"{what}: set HF_TOKEN to one that may write (https://huggingface.co/settings/tokens)")
    api = library.HfApi(endpoint=os.environ.get("HF_ENDPOINT") or None, token=token)
    try:
        _publish(library, api, options, found, card, licence)
    except (library.errors.HTTPError, library.errors.OfflineModeIsEnabled, RuntimeError, ValueError) as error:
        raise _explained(error, api.endpoint, options.repository) from None
    except (KeyError, TypeError, AttributeError) as error:
        said = f"{type(error).__name__}: {errors.text_of(error)}"
        raise UserError(f"{api.endpoint} does not answer as a hub does ({said}): is HF_ENDPOINT one?") from None


def _publish(
    library: ModuleType, api: Any, options: argparse.Namespace, found: dict[str, Path], card: str, licence: str | None
) -> None:
    name = options.repository
    try:
        there = api.model_info(name)
    except library.errors.RepositoryNotFoundError:
        there = None
    if there and not there.private and not options.public:
        raise UserError(f"{name} is public, where everybody may read what is sent: add --public if that is meant")
    kind = "private" if (there.private if there else not options.public) else "public"
    say(f"to {api.endpoint}/{name}, {'the' if there else 'a new'} {kind} repository:")
    width = max(map(len, found))
    for place, path in found.items():
        say(f"  {place:<{width}}  {path.stat().st_size / 1e6:8.3f} MB  {path}")
    for path in left_out(found):
        say(f"  {path} is left out: it is no file of an export")
    old = [of.rfilename for of in (there.siblings or [] if there else []) if OF_EXPORT.match(of.rfilename)]
    old = sorted(set(old) - found.keys())
    for place in old:
        say(f"  {place:<{width}}  is removed there: no export here has it")
    say(f"  licence: {licence or 'not stated (--license ID states it)'}")
    operations = [library.CommitOperationAdd(README, card.encode())]
    operations += [library.CommitOperationAdd(place, path) for place, path in found.items() if place != README]
    operations += [library.CommitOperationDelete(place) for place in old]
    if there is None:
        api.create_repo(name, private=not options.public)
    with warnings.catch_warnings(record=True) as remarks:
        done = api.create_commit(name, operations, commit_message=f"Classifier {files.sha256(CLASSIFIER)[:12]}")
    for remark in (of for of in remarks if of.category is UserWarning):
        say(f"the hub remarks: {' '.join(str(remark.message).split())}", file=sys.stderr)
    say(f"{'already there' if there and done.oid == there.sha else 'published'}: {done.commit_url}")


def _of_export(folder: Path, sha256: str) -> list[Path]:
    """The files of an export. Raises UserError for one of another classifier, for a damaged one, and for none."""
    try:
        form, said = about(folder)
    except UserError:
        said = {}
    if said.get("classifier") != sha256:
        what = f"{folder} is of another classifier than {CLASSIFIER}, or is no whole export"
        raise UserError(f"{what}: `make export` makes it anew; or remove it")
    refuse_damaged(folder, said["files"], form)
    return sorted(
        folder / name for name in {*said["files"], *PROGRAMS, ABOUT, sample.NAME} if (folder / name).is_file()
    )


def _library() -> ModuleType:
    """huggingface_hub, which reads its environment when it is imported."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    try:
        import huggingface_hub.constants
        import huggingface_hub.errors
        import huggingface_hub.utils
    except ImportError:
        raise UserError("huggingface-hub is not installed: pip install -r requirements-hub.txt") from None
    except ValueError as error:  # as it is imported
        address = credentials.hidden(os.environ.get("HF_ENDPOINT", ""))
        raise UserError(
            f"HF_ENDPOINT: got {address}; takes an address, such as https://hub.example ({error})"
        ) from None
    # Plain HTTP serves for files of this size, and with any hub; the other way goes through a store of its own.
    huggingface_hub.constants.HF_HUB_DISABLE_XET = True
    huggingface_hub.utils.logging.set_verbosity_error()
    if not sys.stderr.isatty():
        huggingface_hub.utils.disable_progress_bars()
    return huggingface_hub


def _explained(error: Exception, endpoint: str, name: str) -> UserError:
    """What went wrong at the hub, in one line."""
    cause = error.__cause__ or error if isinstance(error, RuntimeError) else error  # it names the file alone
    response = getattr(cause, "response", None)
    if response is not None:
        said = f"{response.status_code} {getattr(cause, 'server_message', None) or response.reason_phrase}"
    else:
        said = str(cause) or type(cause).__name__
    said = " ".join(said.split())[:300].rstrip(".")
    if response is not None and response.status_code in (401, 403):
        return UserError(f"{endpoint} refuses to let this token write to {name} ({said}): is HF_TOKEN one that may?")
    if response is not None or isinstance(cause, ValueError):
        return UserError(f"{endpoint} did not take it: {said}")
    return UserError(f"{endpoint} does not answer ({said}): is the network there? HF_ENDPOINT names another hub")


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = Parser(
        prog="python -m headstart.publish",
        description="Put the classifier, its exports and its model card onto a model hub, in one commit.",
        epilog="HF_TOKEN: a token that may write. HF_ENDPOINT: the address of another hub than huggingface.co.",
    )
    parser.add_argument("repository", metavar="OWNER/NAME", help="made where it is not there")
    parser.add_argument("--public", action="store_true", help="everybody may read it; default: a private repository")
    parser.add_argument("--license", metavar="ID", help="of the classifier, such as cc-by-4.0, for the card's header")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    errors.run(main)
