import subprocess
import sys
from pathlib import Path

import pytest

from headstart.base import terminal

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("cats/1.jpg", "cats/1.jpg"),
        ("[red] :cat: $x$", "[red] :cat: $x$"),
        ("\x1b]0;owned\x07\x1b[2J", r"\x1b]0;owned\x07\x1b[2J"),
        ("a\nb\r\tc", r"a\nb\r\tc"),
        ("\x9b31m\x7f\u2028\u2029", r"\x9b31m\x7f\u2028\u2029"),
        ("\u202egnp\u2066", r"\u202egnp\u2066"),
        ("\udcff.png", r"\udcff.png"),
        ("می\u200cخواهم 划痕 é", "می\u200cخواهم 划痕 é"),
    ],
)
def test_what_acts_on_a_terminal_is_written_out_and_all_else_stays(text, shown):
    assert terminal.printable(text) == shown


def test_each_line_is_one_line(capsys):
    terminal.say("one\ntwo", "three")
    terminal.say()
    assert capsys.readouterr() == ("one\\ntwo\nthree\n", "")
    terminal.say("four", file=sys.stderr)
    assert capsys.readouterr() == ("", "four\n")


def test_an_error_message_shows_what_it_was_given():
    script = "from headstart.base import errors\n"
    script += "def main(): raise errors.UserError('got \\x1b[31mred\\x9b; takes \\u202eblue')\nerrors.run(main)"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, "error: got \\x1b[31mred\\x9b; takes \\u202eblue\n")
