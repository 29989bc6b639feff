"""What was measured: one JSON file per finished measurement under benchmarks/records/, which Git keeps.

A record can be imported: then it holds the cells of a table's row as they were published, before measurements left
records. It is removed when the row is measured.
"""

import dataclasses
import datetime
import hashlib
import json
import operator
import os
import platform
import re
import subprocess
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

from benchmarks import workspace
from headstart.base import files, yaml12

RECORDS = Path(__file__).parent / "records"


@dataclass(frozen=True)
class Record:
    """A finished measurement.

    `name`: the measurement's, and the file's path in the folder of records; `parameters`: what differs from the preset;
    `seconds`: what it took; `commit`: of the project; `code`: as `fingerprint` returns it.
    """

    name: str
    preset: str
    parameters: dict[str, Any]
    seed: int
    numbers: dict[str, Any]
    seconds: float
    date: str
    cores: int
    processor: str
    commit: str
    code: str


@dataclass(frozen=True)
class Imported:
    """The cells of one row as they were published: `cells` are those between the row's label and its command."""

    cells: list[str]
    date: str
    cores: int
    processor: str
    commit: str
    imported: bool = True


def read(name: str) -> Record | None:
    """The record of a measurement; None where it is not measured."""
    path = RECORDS / f"{name}.json"
    return Record(**json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None


def write(record: Record) -> None:
    """Write a record, whole or not at all."""
    files.write_text(RECORDS / f"{record.name}.json", json.dumps(dataclasses.asdict(record), indent=1) + "\n")


def imported(table: str, row: str) -> Imported | None:
    """What was published in a table's row before there were records; None where there is nothing of this kind."""
    path = _imported(table, row)
    return Imported(**json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None


def forget_imported(table: str, row: str) -> None:
    """Remove the imported record of a row that is measured by now."""
    _imported(table, row).unlink(missing_ok=True)


def _imported(table: str, row: str) -> Path:
    return RECORDS / "imported" / table / f"{row}.json"


def here() -> dict[str, Any]:
    """Where and when something is measured: the fields date, cores, processor and commit of a record."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"date": str(datetime.date.today()), "cores": cores, "processor": processor(), "commit": _commit()}


def processor() -> str:
    """The processor's name, with bfloat16 where it has instructions for it."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or platform.machine()
    name = re.search(r"model name\s*: (.+)", text)
    return (name[1].strip() if name else platform.machine()) + (" with bfloat16" if bfloat16() else "")


def bfloat16() -> bool:
    """Whether the processor has instructions for bfloat16 (Linux, x86)."""
    try:
        return re.search(r"\b(avx512_bf16|amx_bf16)\b", Path("/proc/cpuinfo").read_text()) is not None
    except OSError:
        return False


def fingerprint(stages: tuple[str, ...], parameters: dict[str, Any]) -> str:
    """A hash of all that the outcome of `stages` depends on: the code that dvc.yaml lists, and declared parameters."""
    pipeline = yaml12.read(workspace.ROOT / "dvc.yaml")["stages"]
    names = sorted({name for stage in stages for name in pipeline[stage]["params"]})
    values = {name: reduce(operator.getitem, name.split("."), parameters) for name in names if _there(name, parameters)}
    digest = hashlib.sha256(json.dumps(values, sort_keys=True).encode())
    listed = {dep for stage in stages for dep in pipeline[stage]["deps"] if dep.startswith(("headstart/", "stages/"))}
    for dep in sorted(listed):
        path = workspace.ROOT / dep
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(f"{file.relative_to(workspace.ROOT)}\n".encode() + file.read_bytes())
    return digest.hexdigest()[:16]


def _there(name: str, parameters: dict[str, Any]) -> bool:
    node = parameters
    for part in name.split("."):
        if not isinstance(node, dict) or part not in node:
            return False
        node = node[part]
    return True


def _commit() -> str:
    """The project's commit; with a plus where what is measured differs from it."""

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=workspace.ROOT, capture_output=True, text=True)
        return done.stdout.strip()

    commit = git("rev-parse", "--short", "HEAD") or "none"
    return commit + ("+" if git("status", "--porcelain", "--", "headstart", "stages", "params.yaml") else "")
