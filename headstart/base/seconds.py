"""How long stages took, noted beside their outs and not in them: a time would make every run differ.

What had run before, DVC takes out of its cache, and that takes no time. What it costs says the note of the run that
made it: a line in .dvc/tmp/seconds.csv of the project, where the runs of DVC's queue leave theirs, too. The times are
those of this machine: Git and `dvc push` leave them out.
"""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from headstart.base import params, yaml12

NOTES = "seconds.csv"  # what a stage ran on, hashed; the stage; seconds
LOCK = Path("dvc.lock")  # where DVC records what a stage has done
LINE = re.compile(r"([0-9a-f]{16}),(\w+),([0-9]+\.[0-9])")


def note(stage: str, seconds: float) -> None:
    """Note how long `stage` took in this folder, on what it has read here."""
    lock = yaml12.read(LOCK) if LOCK.exists() else {}
    given, values = yaml12.read(params.PARAMS), {}
    for name in yaml12.read(params.PIPELINE)["stages"][stage].get("params", []):
        value = given
        for part in name.split("."):
            value = value[part]
        values[name] = value
    key = _key(stage, lock, params.declaration(stage).deps, values)
    _file().parent.mkdir(parents=True, exist_ok=True)  # a stage that is run by hand may come before DVC's first run
    with _file().open("a", encoding="ascii") as file:
        file.write(f"{key},{stage},{seconds:.1f}\n")


def of(lock: dict[str, Any]) -> dict[str, float]:
    """Returns how long the stages of a dvc.lock took when they ran last on the same; those without a note are left out.

    What they ran on is what earlier stages had made and the parameters: of code that has changed since, it is the time
    of the newer.
    """
    notes, found = {}, {}
    if _file().exists():
        for line in _file().read_text(encoding="ascii", errors="replace").splitlines():
            if whole := LINE.fullmatch(line):  # a kill or a power loss may cut the last one
                notes[whole[1], whole[2]] = float(whole[3])
    for stage, ran in lock.get("stages", {}).items():
        values = ran.get("params", {}).get(str(params.PARAMS), {})
        key = _key(stage, lock, [dep["path"] for dep in ran.get("deps", [])], values)
        if (key, stage) in notes:
            found[stage] = notes[key, stage]
    return found


def _key(stage: str, lock: dict[str, Any], deps: list[str], values: dict[str, Any]) -> str:
    made = {out["path"]: out.get("md5") for ran in lock.get("stages", {}).values() for out in ran.get("outs", [])}
    read = {dep: made[out] for dep in deps for out in made if Path(dep).is_relative_to(out)}
    return hashlib.sha256(json.dumps([stage, read, values], sort_keys=True).encode()).hexdigest()[:16]


def _file() -> Path:
    """The project's file, also in a folder that DVC has made below .dvc/tmp/exps for an experiment."""
    here = Path.cwd()
    exps = next((folder for folder in here.parents if folder.parts[-3:] == (".dvc", "tmp", "exps")), None)
    return (exps.parent if exps else here / ".dvc/tmp") / NOTES
