import csv
import io
import random

import pytest

from headstart.base import cells

# What OWASP lists, in both widths, after apostrophes of its own, and after a sign that parts cells elsewhere.
FORMULAS = ["=1+1.png", "+a", "-a", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", "＋a", "－a", "＠a", " =1"]


@pytest.mark.parametrize("text", FORMULAS)
def test_what_looks_like_a_formula_is_guarded_and_comes_back(text):
    for name in (text, f"'{text}", f"''{text}"):
        written = cells.line(["a", name])
        assert cells.read(written) == [["a", name]]
        assert next(csv.reader(io.StringIO(written, newline="")))[1] == f"'{name}"


@pytest.mark.parametrize("text", ["-1", "+1.5", "-.5e-3", "'-1", "a=1", "'a'", "it's", "", "'"])
def test_numbers_and_plain_text_stay_as_they_are(text):
    written = cells.line(["a", text])
    assert next(csv.reader(io.StringIO(written))) == ["a", text] == cells.read(written)[0]


def test_a_sign_that_parts_cells_in_another_language_is_quoted():
    assert cells.line(["x;=1+1", "x\t=1"]) == '"x;=1+1","x\t=1"\n'


def test_all_else_is_what_csv_writes():
    rng = random.Random(1)
    for _ in range(2000):
        row = ["".join(rng.choices('ab1 ,"\n.é划', k=rng.randrange(6))).lstrip() for _ in range(rng.randrange(1, 4))]
        row += rng.choices([0, 1.5, None, 1e-30], k=rng.randrange(3))
        expected = io.StringIO()
        csv.writer(expected, lineterminator="\n").writerow(row)
        assert cells.line(row) == expected.getvalue()


def test_any_row_comes_back():
    rng = random.Random(2)
    for _ in range(5000):
        row = ["".join(rng.choices("'=+-@\t\r\n;,\"a1. ＝", k=rng.randrange(6))) for _ in range(rng.randrange(1, 5))]
        assert cells.read(cells.line(row)) == [row]


def test_what_is_no_csv_is_a_value_error():
    with pytest.raises(ValueError, match="no CSV"):
        cells.read('a,"b\n')
