"""All figures that have a value to reach, as a table: make bench"""

import datetime
import importlib
import os
import platform

from rich.console import Console
from rich.table import Table

from headstart import errors

SCRIPTS = ("recipes", "epochs", "extraction", "openvino")


def main() -> None:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    table = Table(title=f"{datetime.date.today()}, {cores} cores, {platform.machine()}", title_justify="left")
    for column in ("figure", "measured", "to reach: at least"):
        table.add_column(column)
    for script in SCRIPTS:
        for row in importlib.import_module(f"benchmarks.{script}").rows():
            table.add_row(*row)
    Console(highlight=False).print(table)


if __name__ == "__main__":
    errors.run(main)
