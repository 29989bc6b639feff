import os

import pytest

from headstart.base import account
from headstart.base.errors import UserError


@pytest.fixture
def unknown(monkeypatch):
    """A user id without an entry in /etc/passwd, as containers have one; nothing says its name or home."""
    for name in ("HOME", "LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 54_321)


@pytest.mark.parametrize("given", [{}, {"HOME": "/tmp"}, {"LOGNAME": "me"}])
def test_without_a_name_or_a_home_one_line_says_what_to_set(unknown, monkeypatch, given):
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match="54321 has no entry in /etc/passwd, and DVC wants a name and a home"):
        account.require()


def test_both_in_the_environment_are_enough(unknown, monkeypatch):
    monkeypatch.setenv("HOME", "/tmp")
    monkeypatch.setenv("LOGNAME", "me")
    account.require()


@pytest.mark.parametrize("command", ["remote", "experiments", "sharing", "compare", "params"])
def test_commands_that_ask_dvc_say_so_first(unknown, monkeypatch, command):
    import importlib

    arguments = {"remote": ["/tmp/x"], "sharing": ["push"]}
    monkeypatch.setattr("sys.argv", [command, *arguments.get(command, [])])
    with pytest.raises(UserError, match="has no entry in /etc/passwd"):
        importlib.import_module(f"headstart.{command}").main()
