"""`python -m headstart.sharing push|pull`: what ran here to the team's remote, and what ran elsewhere from there."""

from headstart.base import errors
from headstart.base.arguments import Parser
from headstart.base.terminal import say
from headstart.team import sharing


def main() -> None:
    parser = Parser(
        prog="python -m headstart.sharing",
        description="Send what ran here to the team's remote (push), or bring what ran elsewhere (pull).",
    )
    parser.add_argument("direction", choices=["push", "pull"])
    say({"push": sharing.push, "pull": sharing.pull}[parser.parse_args().direction]())


if __name__ == "__main__":
    errors.run(main)
