"""The arguments of a command: what is wrong with them is one line, as of any other error of a user's."""

import argparse
import re
from typing import NoReturn

from headstart.base.errors import UserError

# How argparse says it, and the values that an option takes.
NUMBER = re.compile(r"argument (\S+): invalid int value: '(.*)'", re.DOTALL)
CHOICE = re.compile(r"argument (\S+): invalid choice: '(.*)' \(choose from (.*)\)", re.DOTALL)


JOBS = {"default": "1", "metavar": "N", "help": "how many the queue is to run at once; looked at, not used"}


def refuse_jobs(text: str) -> None:
    """Raise UserError where `text` is no number of jobs, which DVC would say after the first run."""
    if not text.isdecimal() or int(text) < 1:
        raise UserError(f"--jobs: got {text!r}; takes a whole number from 1 on")


class Parser(argparse.ArgumentParser):
    """An `argparse.ArgumentParser` that raises `UserError`, where that one prints its usage and exits with 2."""

    def error(self, message: str) -> NoReturn:
        if found := NUMBER.fullmatch(message):
            message = f"{found[1]}: got {found[2] or 'nothing'}; takes a whole number"
        elif found := CHOICE.fullmatch(message):
            message = f"{found[1]}: got {found[2] or 'nothing'}; takes {found[3].replace(chr(39), '')}"
        raise UserError(f"{message}; {self.prog} --help says more")
