"""`python -m headstart`: the version, and the commands there are."""

from headstart.base import errors  # first: from here on Ctrl-C is one line

# isort: split
import importlib
import sys
import tomllib
from importlib import metadata
from pathlib import Path

from headstart.base.errors import UserError
from headstart.base.terminal import say

PROJECT = Path(__file__).parent.parent / "pyproject.toml"
COMMANDS = {
    "start": "look at your images and set params.yaml for them",
    "params": "check params.yaml",
    "check": "find what is damaged of DVC's files, and put it aside",
    "preset": "set the parameters of a named experiment in params.yaml",
    "report": "show the result of the last run",
    "review": "look at the report, and correct labels in it",
    "predict": "classify images with the trained classifier",
    "export": "write the classifier in the format of another runtime",
    "serve": "answer over HTTP: a page to try the classifier, and an interface to call",
    "experiments": "list the experiments that DVC keeps, with their test accuracy",
    "compare": "is B better than A, or is it luck?",
    "learning_curve": "how many images do I need?",
    "cross_validate": "how good is the recipe, tested on every image?",
    "compare_backbones": "which network suits my images? `python -m headstart.backbones` lists them",
    "remote": "say where the team keeps its results, and try it out",
    "publish": "put the classifier, its exports and its model card onto a model hub",
    "sharing": "send results to the team's remote, or fetch them from there",
}


EXTRAS = ("predict", "serve")  # what `pip install .` is for


def version() -> str:
    """Returns the version in pyproject.toml, such as 0.1.0."""
    if not PROJECT.exists():  # installed, without the project around it
        return metadata.version("headstart")
    with PROJECT.open("rb") as file:
        return tomllib.load(file)["project"]["version"]


def main() -> int | None:
    arguments = sys.argv[1:]
    if arguments and arguments[0] in COMMANDS:
        return _run(*arguments)
    if arguments and arguments not in (["--help"], ["-h"], ["--version"]):
        raise UserError(f"got {' '.join(arguments)}; takes one of {', '.join(COMMANDS)}")
    say(f"Headstart {version()}")
    if arguments == ["--version"]:
        return None
    # Installed for a program, it has no project around it.
    start, known = ("python -m headstart.", COMMANDS) if PROJECT.exists() else ("headstart ", EXTRAS)
    width = max(map(len, known))
    for name in known:
        say(f"{start}{name:<{width}}  {COMMANDS[name]}")
    say(f"Each of them explains its options: {start}predict --help")
    return None


def _run(name: str, *arguments: str) -> int | None:
    """`headstart predict photo.jpg` is `python -m headstart.predict photo.jpg`."""
    try:
        command = importlib.import_module(f"headstart.{name}").main
    except ModuleNotFoundError as error:
        raise UserError(
            f"headstart {name} takes {error.name}, which is not installed: in a clone of the project, "
            + (f'pip install ".[{name}]" does that' if name in EXTRAS else "make installs what training takes")
        ) from None
    sys.argv[:] = [sys.argv[0], *arguments]
    return command()


def script() -> None:
    """What `pip install` puts into the path: `headstart`."""
    errors.run(main)


if __name__ == "__main__":
    script()
