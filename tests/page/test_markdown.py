"""Text from outside in Markdown: what is rendered is what was given, and nothing else."""

import html
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from headstart.base import wording
from headstart.page import markdown

MARKS = st.text(st.sampled_from("ab1`|\\<>&*_[](){}#+-.!~$:@/ \n\r\t\u202e\u2028猫é'\"=;^%"), max_size=20)
render = MarkdownIt("commonmark").enable(["table", "strikethrough"]).render
ODD = [
    "a|b", "x\\|y", "\\", "`", "``a``", "# heading", "---", "- item", "1. item", "> quote", "[text](http://example.org)",
    "![](http://example.org/a.png)", "<img src=x onerror=alert(1)>", "<!-- open", "&lt;", "*b*", "_i_", "~~s~~", "a\nb",
    "\n---\n", ":cat:", "@all", "$x$", "名前", "null",
    "yes", "\u202egpj.exe", "  ", "'", '"', "{{ seed }}", "{% raw %}",
]  # fmt: skip


def cells(page: str) -> list[str]:
    return [html.unescape(re.sub("</?code>", "", cell)) for cell in re.findall("<t[hd]>(.*?)</t[hd]>", page)]


@pytest.mark.parametrize("name", ODD)
def test_an_odd_name_is_code_in_a_sentence_and_in_a_table(name):
    shown = wording.label(name, markdown.WIDEST)
    assert render(f"of {markdown.code(name)}.") == f"<p>of <code>{html.escape(shown)}</code>.</p>\n".replace(
        "&#x27;", "'"
    )
    table = render(f"| a | b |\n| --- | --- |\n| {markdown.code(name)} | 1 |\n")
    assert cells(table) == ["a", "b", shown, "1"]


@settings(max_examples=300)
@given(MARKS)
def test_any_name_is_one_cell(name):
    table = render(f"| a | b |\n| --- | --- |\n| {markdown.code(name)} | 1 |\n")
    assert cells(table) == ["a", "b", wording.label(name, markdown.WIDEST), "1"]


@settings(max_examples=300)
@given(MARKS.filter(lambda text: "`" not in text and text.strip()))
def test_any_sentence_says_just_what_it_says(text):
    page = render(markdown.sentence(text)).replace("<!-- -->", "")
    plain = html.unescape(page.removeprefix("<p>").removesuffix("</p>\n"))
    assert plain == wording.label(text, wording.MOST)
    assert re.findall("<(?!/?p>)", page) == []


def test_what_stands_between_backticks_is_code_and_an_odd_backtick_is_none():
    assert render(markdown.sentence("run `dvc <x>`, then *go*")) == "<p>run <code>dvc &lt;x&gt;</code>, then *go*</p>\n"
    assert render(markdown.sentence("a ` and <b>")) == "<p>a ` and &lt;b&gt;</p>\n"


def test_no_address_mention_or_picture_is_made_of_a_name():
    text = markdown.sentence("see www.example.org, http://example.org, @all and :cat:")
    assert not re.search(r"www\.|http://|@all|:cat:", text)


def test_of_many_names_the_first_are_named_and_different_ones_stay_different():
    assert markdown.codes(["a", "b", "c"], 2) == "`a`, `b` and 1 more"
    long = [f"{'x' * 100}{number}" for number in range(2)]
    first, second = markdown.codes(long, 2).split(", ")
    assert first != second
