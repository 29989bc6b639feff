"""Wrong arguments are one line, with exit status 1, of every command."""

import subprocess
import sys
from pathlib import Path

import pytest

from headstart.base.arguments import Parser
from headstart.base.errors import UserError

PROJECT = Path(__file__).parents[2]


@pytest.fixture
def parser():
    parser = Parser(prog="classify")
    parser.add_argument("direction", choices=["push", "pull"])
    parser.add_argument("--port", type=int)
    return parser


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "the following arguments are required: direction"),
        (["push", "--port"], "argument --port: expected one argument"),
        (["push", "--port", "abc"], "--port: got abc; takes a whole number"),
        (["push", "--port", ""], "--port: got nothing; takes a whole number"),
        (["push", "--port", "1\n2"], r"--port: got 1\n2; takes a whole number"),
        (["up"], "direction: got up; takes push, pull"),
        (["push", "--prot", "1"], "unrecognized arguments: --prot 1"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(parser, arguments, said):
    with pytest.raises(UserError) as error:
        parser.parse_args(arguments)
    assert str(error.value) == f"{said}; classify --help says more"


@pytest.mark.parametrize("command", ["check", "params", "remote", "sharing", "serve"])
def test_a_command_ends_with_one_line_and_status_1(command):
    done = subprocess.run(
        [sys.executable, "-m", f"headstart.{command}", "--nothing", "a\nb"], cwd=PROJECT, capture_output=True, text=True
    )
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert f"python -m headstart.{command} --help says more" in done.stderr
