"""What a run of each preset is expected to give, in the header of its file."""

import re

from benchmarks import scores, workspace
from benchmarks.tables import UNKNOWN
from headstart.base import files


def write() -> None:
    """Write what a run of each preset is expected to give into the header of its file: one line per model."""
    row = {row.name: row for row in scores.TEST.rows}
    for preset in ("solar_cells", "cats_vs_dogs"):
        cells = scores.TEST.cells(row[preset])[0]
        lines = [
            f"test accuracy {cell}, {model}, seeds 1 – 3"
            for model, cell in zip(scores.COLUMNS, cells, strict=False)
            if cell != UNKNOWN
        ]
        _write(preset, lines)
    _, head, _, tuned = (scores.ARTICLE_TABLE.cells(row)[0] for row in scores.ARTICLE_TABLE.rows)
    _write(
        "article",
        [
            f"validation accuracy {head[0]}, head alone (cross-entropy {head[1]}), seeds 1 – 5",
            f"validation accuracy {tuned[0]}, fine-tuned for 10 of 200 epochs, seed 1",
        ],
    )


def _write(preset: str, expected: list[str]) -> None:
    """Put the lines `# expected: …` behind the header's other lines; those of earlier measurements are replaced."""
    path = workspace.ROOT / f"presets/{preset}.yaml"
    text = re.sub(r"^# expected: .*\n", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    header = re.match(r"(?:#.*\n)*", text)[0]
    files.write_text(path, header + "".join(f"# expected: {line}\n" for line in expected) + text[len(header) :])
