import io

from rich.console import Console

from headstart.base.tables import Table, text

FOREIGN = ["tag [/b]", "[red]", "cat [old]", ":cat:", "[link=http://x]y", "a\x1b[31mb", r"\[x]"]


def printed(content) -> str:
    """What rich's own console, with markup and emoji as ever, makes of it at a terminal without colours."""
    console = Console(file=io.StringIO(), width=200, force_terminal=True, color_system=None)
    console.print(content)
    return console.file.getvalue()


def test_a_line_is_shown_letter_by_letter():
    for name in FOREIGN:
        assert printed(text(name)) == name.replace("\x1b", r"\x1b") + "\n"


def test_so_is_each_text_of_a_table():
    for name in FOREIGN:
        table = Table(name, title=name)
        table.add_column(f"two\n{name}", footer=name)
        table.add_row(name, name)
        table.show_footer = True
        shown = printed(table)
        assert shown.count(name.replace("\x1b", r"\x1b")) == 6
        assert "\x1b[31m" not in shown
