"""`data/corrections.csv`: what people have decided about single images. Git keeps it; `split` reads it.

path      of the image inside the source, for who reads it
sha256    of its pixels when it was looked at, as in the manifest: a correction is of that picture, under whatever name,
          and not of the next one that gets its name
action    label (it is of another class), leave out, or keep (it was looked at and is right)
label     the class, for the action label
by, why   whoever decided it, and the reason; either may be empty
"""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

from headstart.base import cells, files, wording
from headstart.base.errors import UserError

CORRECTIONS = Path("data/corrections.csv")
SENT = CORRECTIONS.with_suffix("")  # the folder of images that were sent to the server and that the source lacks
ACTIONS = ("label", "leave out", "keep")
COLUMNS = ("path", "sha256", "action", "label", "by", "why")


class Correction(NamedTuple):
    """A row of the file."""

    path: str
    sha256: str
    action: str
    label: str
    by: str = ""
    why: str = ""


def read(project: Path = Path()) -> list[Correction]:
    """Return the corrections in the file's order; none where there is no file. Raises UserError, naming the row."""
    try:
        text = (project / CORRECTIONS).read_text(encoding="utf-8-sig")
        (_, header), *rows = [(n, row) for n, row in enumerate(cells.read(text), 1) if any(row)] or [(1, COLUMNS)]
    except FileNotFoundError:
        return []
    except (UnicodeDecodeError, ValueError) as error:
        raise UserError(f"{CORRECTIONS} is no CSV in UTF-8 ({error}): mend it, or take it back with git") from None
    if tuple(header) != COLUMNS:
        hint = ": save it with commas between the cells" if ";" in "".join(header) or "sep=" in header[0] else ""
        raise UserError(f"{CORRECTIONS}: got the columns {','.join(header)}; takes {','.join(COLUMNS)}{hint}")
    return [checked(number, row) for number, row in rows]


def checked(number: int, row: list[str]) -> Correction:
    row = [cell.strip() for cell in row]
    if len(row) != len(COLUMNS):
        raise UserError(
            f"{CORRECTIONS}, row {number}: got {len(row)} cells; takes {len(COLUMNS)}: {', '.join(COLUMNS)}"
        )
    correction = Correction(*row)
    if correction.action not in ACTIONS:
        hint = wording.did_you_mean(correction.action, ACTIONS)
        raise UserError(
            f"{CORRECTIONS}, row {number}: got the action {correction.action or 'nothing'}; {hint}takes "
            f"{', '.join(ACTIONS)}"
        )
    if (correction.action == "label") != bool(correction.label):
        raise UserError(
            f"{CORRECTIONS}, row {number}: got the action {correction.action} with "
            f"{correction.label or 'no'} label; a label goes with the action label, and with no other"
        )
    return correction


def alone(project: Path = Path()) -> AbstractContextManager[None]:
    """While the block runs, be the only one that reads and writes the file: of all threads and programs."""
    return files.alone(project / CORRECTIONS.parent)


def looked_at(project: Path = Path()) -> set[str]:
    """Return the hashes of the images whose label is somebody's word by now: found right, or put right."""
    return {correction.sha256 for correction in read(project) if correction.action != "leave out"}


def write(corrections: list[Correction], project: Path = Path()) -> None:
    """Write the corrections, whole or not at all; what is there is replaced, so pass on what `read` returned."""
    files.write_csv(project / CORRECTIONS, [COLUMNS, *corrections])
