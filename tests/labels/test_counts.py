import io

import pytest
from rich.console import Console

from headstart.artifacts.manifest import SPLITS
from headstart.labels import counts


def summary(sizes):
    """What `dataset.summarize` gives of classes with that many images in each split."""
    return {
        "classes": list(sizes),
        "counts": {split: dict(sizes) for split in SPLITS},
        "left_out": [],
        "unused": 0,
    }


def printed(sizes, width):
    console = Console(file=io.StringIO(), width=width, highlight=False)
    counts.show(summary(sizes), console)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("number", [2, 20, 200])
def test_the_table_has_a_row_per_class_or_the_ends_and_no_number_is_cut(number, width):
    sizes = {f"{index:03}.A_long_name_of_a_species_{index}": 20_000 - index for index in range(number)}
    lines = printed(sizes, width).splitlines()
    rows = [line for line in lines if line.startswith("│")]
    assert max(map(len, (line for line in lines if line[0] in "┏│└"))) <= width
    named = [row for row in rows if "species" in row or "name" in row]
    assert len(named) == min(number, 10 if number > 20 else number)
    for row, index in zip(
        named, [*range(5), *range(number - 5, number)] if number > 20 else range(number), strict=True
    ):
        assert row.count(f"{20_000 - index:,}") == 3 and f"{index:03}." in row
    assert f"{number} classes" in rows[-1] and rows[-1].count(f"{sum(sizes.values()):,}") == 3
    assert any(f"{number - 10} between" in row for row in rows) == (number > 20)
    assert number <= 20 or "the counts of all classes are in metrics/dataset.json" in lines


def test_names_are_shown_as_they_are_in_one_line_and_in_straight_columns():
    text = printed({"[red]x[/]": 3, "划痕": 3, "a\nb\0": 3, "خدش": 3, "$x_$": 3}, 80)
    for name in ("[red]x[/]", "划痕", "a b", "خدش", "$x_$"):
        assert f"│ {name} " in text


def test_a_rare_class_is_said_with_what_helps_and_a_common_one_is_not():
    assert counts.advice({"good": 300, "bad": 31}) is None
    (line,) = counts.advice({"good": 300, "bad": 6}).splitlines()
    assert line.startswith("class bad has 6 training images, good has 300: accuracy alone")
    for word in ("head.class_weights", "fine_tune.class_weights: balanced", "fine_tune.select_by: balanced_accuracy"):
        assert word in line
    assert "class c has 1 training image, a has 300, and 1 more" in counts.advice({"a": 300, "b": 30, "c": 1})
    assert "class bad has 6 training images" in printed({"good": 300, "bad": 6}, 80)


def test_labels_and_files_of_any_text_are_shown_letter_by_letter():
    names = ["tag [/b]", "[red]", "cat [old]", ":cat:", "\x1b[31mx"]
    found = summary({name: 30 * 20**index for index, name in enumerate(names[:3])} | dict.fromkeys(names[3:], 30))
    found["left_out"] = [{"path": "[bold]a\nb\x1b]0;x\x07.png", "reason": "not an image [/i]"}]
    console = Console(file=io.StringIO(), width=200)
    counts.show(found, console)
    text = console.file.getvalue()
    for name in names[:4]:
        assert name in text
    assert "\x1b" not in text
    assert r"  [bold]a\nb\x1b]0;x\x07.png: not an image [/i]" in text.splitlines()
