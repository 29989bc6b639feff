"""Tables and lines for a rich console, which would otherwise take `[red]` for a colour and `:cat:` for a picture."""

from typing import Any

import rich.table
from rich.text import Text

from headstart.base.terminal import printable


def text(line: str, style: str = "") -> Text:
    """A line that rich shows letter by letter, as `printable` writes it."""
    return Text(printable(line), style)


class Table(rich.table.Table):
    """rich's table, with each text in it shown letter by letter; line feeds count in the headings alone."""

    def __init__(self, *headings: str, title: str | None = None, **options: Any):
        super().__init__(title=title and text(title, "table.title"), **options)
        for heading in headings:
            self.add_column(heading)

    def add_column(self, heading: str = "", footer: str = "", **options: Any) -> None:
        lines = Text("\n").join(text(line) for line in heading.split("\n"))
        super().add_column(lines, text(footer), **options)

    def add_row(self, *cells: str, **options: Any) -> None:
        super().add_row(*map(text, cells), **options)
