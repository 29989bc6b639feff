"""`python -m headstart.check`: what DVC keeps, compared with its hashes; what is damaged is put aside."""

from headstart.base import errors
from headstart.base.arguments import Parser
from headstart.base.terminal import say
from headstart.team import checking


def main() -> None:
    parser = Parser(
        prog="python -m headstart.check",
        description="Compare what DVC keeps, here and in its cache, with its hashes. What is damaged is put aside, "
        "below .dvc/tmp/damaged, and mended where its content is elsewhere; otherwise the next run makes it anew.",
    )
    parser.add_argument(
        "--quick", action="store_true", help="look at what is new or has changed since the last check alone"
    )
    quick = parser.parse_args().quick
    messages = checking.check(quick=quick)
    for message in messages or ([] if quick else ["all that DVC keeps here is intact"]):
        say(message)


if __name__ == "__main__":
    errors.run(main)
