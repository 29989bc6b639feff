"""Every value is read as DVC reads it, and what DVC refuses is refused."""

import importlib
import math
from pathlib import Path

import pytest
import yaml
from conftest import ROOT
from dvc.utils.serialize import load_yaml, loads_yaml

from headstart.base import yaml12
from headstart.base.errors import UserError

PRESETS = sorted(path.relative_to(ROOT) for path in ROOT.glob("presets/*.yaml"))
SCALARS = """
on off yes no y n Yes NO true True TRUE tRUE false False FALSE ~ null Null NULL nULL
0 1 -1 +1 012 -012 09 0o14 -0o14 0o8 014_0 0x1F 0xfg -0x_1f 0b11 -0b1_1 0b2 1_000 _1 1_
1:30 12:30:45 190:20:30 190:20:30.15
1e-4 1e5 1E5 1e+5 -1e5 1.0e-4 1.e5 5. .5 -.5 +.5 .5e5 .5e+5 1.5.2 1_0.5_0e1 5e-324 1e400 1_0e3 e5 .e5 0.5_ 0x1.8
.inf -.inf +.Inf .INF .nan .NaN .NAN -.nan inf nan Infinity
2001-01-01 2001-1-1 2001-12-14T21:59:43.10-05:00 2001-12-14t21:59:43Z
text a:b http://x.y/z a#b -x ?x :x x?y 1.2.3 <= cats,dogs 10% é "on" '1' "1e-4" "" '' "a\\tb\\u00e9" 'it''s'
[] {} [1,on,1e-4] [[64,32],[]] {a:1} {"a":1} {a:on,012:x} [a,b:c]
"""
DOCUMENTS = [
    "",
    "# a comment\n",
    "---\n",
    "--- # a comment\n...\n",
    "%YAML 1.2\n---\na: on\n",
    "\ufeffa: 1\n",
    "a:\nb: # nothing\nc: ''\n",
    "- 1\n- on\n- - 0o14\n  - {a: .5}\n-\n",
    "a:\n- 1\n-   b: 1e-4\n    c: yes\n",
    "a: |\n  on\n  1e-4\nb: >-\n  two\n  lines\nc: |+\n  kept\n\n",
    "a: 'two\n  lines'\nb: \"joined \\\n  line\"\nc: plain\n  goes on\n",
    "1: a\n0x2: b\non: c\nnull: d\n1e-4: e\n2001-01-01: f\nfalse: g\n",
    "? long key\n: 1\n? 012\n",
    "=: 1\n<: 2\n",
    "a: 1e-4 #\ttabs\nb: '\tand\t'\nc: |\n  more\ton\n",
    "a: &a {x: 1, y: on}\nb: *a\nc: [*a, *a]\n",
    "a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3, z: 4}\nc: {y: 3, <<: *a}\n",
    "a: &a {x: 1}\nb: &b {x: 2, y: 2}\nc: {<<: [*a, *b]}\nd: {<<: *b, x: 5}\n",
    # Merged before it is read itself: what it merges is no duplicate.
    "base: &base {x: 1}\ndeep: {er: {a: &a {<<: *base, x: 2}}}\nb: {<<: *a}\n",
    "- !!str 012\n- !!int '0x10'\n- !!float 1\n- &x 1\n- *x\n",
    "a: !!set {x, y}\nb: !!binary aGVsbG8=\nc: !!pairs [x: 1, x: 2]\n",
]
REFUSED = {
    "a: 1\nb: 2\na: 3\n": 'not valid YAML, line 3: found duplicate key "a"',
    "x:\n  a: 1\n  'a': 1\n": 'not valid YAML, line 3: found duplicate key "a"',
    "{a: 1, b: {c: 1, c: 1}}": 'not valid YAML, line 1: found duplicate key "c"',
    "1: a\n0x1: b\n": 'not valid YAML, line 2: found duplicate key "0x1"',
    "true: 1\n1.0: 2\n": 'not valid YAML, line 2: found duplicate key "1.0"',
    "a: &a {x: 1}\nb:\n  <<: *a\n  <<: *a\n": 'not valid YAML, line 4: found duplicate key "<<"',
    "!!set\n? a\n? a\n": 'not valid YAML, line 3: found duplicate key "a"',
    "a: [1\nb: 2\n": "not valid YAML, line 2: while parsing a flow sequence, ",
    "a: 1\n b: 2\n": "not valid YAML, line 2: mapping values are not allowed",
    "a: b: c\n": "not valid YAML, line 1: mapping values are not allowed",
    "\ta: 1\n": "not valid YAML, line 1: while scanning for the next token, found character ",
    "a:\t1\n": "not valid YAML, line 1: while scanning for the next token, found character ",
    "a: 1\nb: on\t# a comment\n": "not valid YAML, line 2: while scanning for the next token, found character ",
    "a: @x\n": "not valid YAML, line 1: while scanning for the next token, found character ",
    "a: 1\nb: *c\n": "not valid YAML, line 2: found undefined alias",
    "a: {<<: 3}\n": "not valid YAML, line 1: while constructing a mapping, expected a mapping ",
    "a: 1\n---\nb: 2\n": "not valid YAML, line 2: expected a single document in the stream, but found another document",
    "a: 1\nb: 2001-13-01\n": "not valid YAML, line 2: month must be in 1..12",
    "- -_\n": "not valid YAML, line 1: invalid literal for int",
    "- ._\n": "not valid YAML, line 1: could not convert string to float",
    "? {a: 1}\n: 2\n": "not valid YAML, line 1: while constructing a mapping, found unhashable key",
    "a: !!python/object:os.system {}\n": "not valid YAML, line 1: could not determine a constructor",
    "a: \x00\n": "not valid YAML: ",
}


@pytest.fixture(params=["the C loader", "the Python loader"])
def reader(request, monkeypatch):
    """`yaml12` on PyYAML's C loader, and as it is on a machine that has none."""
    if request.param == "the Python loader":
        monkeypatch.delattr(yaml, "CSafeLoader", raising=False)
    elif not hasattr(yaml, "CSafeLoader"):
        pytest.skip("this PyYAML has no C loader")
    yield importlib.reload(yaml12)
    monkeypatch.undo()
    importlib.reload(yaml12)


def same(value, other) -> bool:
    """Equal values of equal types, also inside lists and mappings, in the same order; not-a-number equals itself."""
    if isinstance(value, dict) and isinstance(other, dict):
        return same(list(value.items()), list(other.items()))
    if isinstance(value, list | tuple):
        return len(value) == len(other) and all(map(same, value, other))
    if isinstance(value, float) and math.isnan(value):
        return isinstance(other, float) and math.isnan(other)
    return isinstance(other, type(value)) and value == other


@pytest.mark.parametrize("text", [*SCALARS.split(), *DOCUMENTS])
def test_a_value_is_read_as_dvc_reads_it(reader, text):
    documents = [text] if text in DOCUMENTS else [text, f"key: {text}\n", f"- {text}\n- {text} # a comment\n"]
    for document in documents:
        expected, value = loads_yaml(document), reader.parse(document)
        assert same(value, expected), f"{document!r} is {expected!r} for DVC, {value!r} here"


@pytest.mark.parametrize("file", ["params.yaml", "dvc.yaml", "dvc.lock", *PRESETS], ids=str)
def test_a_file_of_the_project_is_read_as_dvc_reads_it(reader, file):
    assert same(reader.read(ROOT / file), load_yaml(ROOT / file))


@pytest.mark.parametrize(("text", "message"), REFUSED.items())
def test_what_dvc_refuses_is_refused_with_the_line(reader, text, message):
    with pytest.raises(Exception):  # noqa: B017, ruamel.yaml lets some errors of Python's through
        loads_yaml(text)
    with pytest.raises(UserError) as raised:
        reader.parse(text)
    assert str(raised.value).startswith(message)
    assert "\n" not in str(raised.value)


def test_a_duplicate_beside_a_merge_is_refused_though_dvc_takes_the_last():
    with pytest.raises(UserError, match='line 2: found duplicate key "x"'):
        yaml12.parse("a: &a {y: 1}\nb: {<<: *a, x: 1, x: 2}\n")


def test_a_message_names_the_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("a.yaml").write_text("a: 1\na: 2\n")
    Path("b.yaml").write_bytes(b"a: \xff\xfe\n")
    for name, message in [
        ("a.yaml", 'a.yaml is not valid YAML, line 2: found duplicate key "a"'),
        ("b.yaml", "b.yaml is not valid YAML: 'utf-8' codec can't decode byte 0xff in position 3: invalid "),
        ("c.yaml", "no c.yaml here: run this in the project's folder"),
    ]:
        with pytest.raises(UserError) as raised:
            yaml12.read(Path(name))
        assert str(raised.value).startswith(message)


@pytest.mark.parametrize("nested", ["[", "{a: ", "- "])
@pytest.mark.parametrize("count", [101, 5_000, 200_000])
def test_what_is_nested_too_deeply_is_refused(nested, count):
    """PyYAML's fast loader dies of SIGSEGV, the other one raises RecursionError."""
    with pytest.raises(UserError, match="^not valid YAML, line 1: got lists or mappings more than 100 deep$"):
        yaml12.parse(nested * count)
