"""Each file of ours empty, cut, zeroed and of another run: python tests/faults/damage.py [--only outputs|checkpoints]

Outputs are damaged after a whole run, and `dvc repro` runs again; files of a checkpoint after a kill in the middle of
their stage, which then goes on. Either way the end is the bytes of an undisturbed run, or an error of one line, after
which `make check` and `dvc repro` give these bytes: never another result without a word.
"""

import argparse
import collections
import subprocess
import tempfile
import time
from pathlib import Path

import scene
from conftest import Project

# What is damaged: how the content changes, given that of the same file in another run.
DAMAGES = {
    "empty": lambda content, other: b"",
    "cut": lambda content, other: content[: len(content) // 2],
    "zeroed": lambda content, other: bytes(len(content)),
    "of another run": lambda content, other: other,
}
OUTS = {
    "extract": ["data/features"],
    "train_head": ["models/head.keras", "metrics/head"],
    "fine_tune": ["models/network.keras", "metrics/validation.csv", "metrics/fine_tune"],
    "calibrate": ["models/classifier.keras"],
    "evaluate": ["metrics/predictions.csv"],
}


def overwrite(path: Path, content: bytes) -> None:
    """In place, whatever the file's mode: what shares its content by a link is damaged too."""
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.truncate(0)
        file.write(content)


def outputs(done: Project, other: Project, expected: dict[str, bytes]) -> collections.Counter:
    """Damage each output of a project whose run is done."""
    counts, foreign = collections.Counter(), scene.written(other)
    for name in expected:
        if name.endswith((".tsv", ".png")) or "/plots/" in name:
            continue  # nothing is read from them
        for kind, change in DAMAGES.items():
            content = change(expected[name], foreign.get(name, b"another"))
            if content == expected[name]:
                continue
            overwrite(done.path / name, content)
            outcome = recovered(done, expected)
            counts[outcome] += 1
            print(f"{name}, {kind}: {outcome}", flush=True)
    return counts


def recovered(project: Project, expected: dict[str, bytes]) -> str:
    ran = project.repro(check=False)
    assert "Traceback" not in ran.stderr, ran.stderr
    if ran.returncode == 0 and not scene.different(project, expected):
        return "the same bytes"
    wrong = scene.different(project, expected) if ran.returncode == 0 else []
    assert not wrong, f"another result without a word: {wrong}\n{ran.stdout}\n{ran.stderr}"
    error = next(line for line in ran.stderr.splitlines() if line.lower().startswith("error"))
    project.run("python", "-m", "headstart.check", check=False)
    project.repro()
    assert scene.different(project, expected) == [], error
    return "an error, make check, the same bytes"


def killed(project: Project, stage: str) -> None:
    """Run `stage`, and kill it in its middle, when its checkpoint has been written twice."""
    command = ["python", "-m", f"stages.{stage}"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, cwd=project.path, env=project.environment, **quiet) as process:
        seen = set()
        while len(seen) < 2:
            assert process.poll() is None, f"{stage} has ended"
            for path in project.path.glob(f".headstart/{stage}-*/*[nz]"):  # done.json, epochs.npz
                try:
                    seen.add((path.stat().st_ino, path.stat().st_mtime_ns))
                except FileNotFoundError:
                    continue  # replaced in this moment
            time.sleep(0.001)
        scene.kill(project, scene.processes(project))
    scene.wait_for_none(project)


def checkpoints(done: Project, other: Project, expected: dict[str, bytes], folder: Path) -> collections.Counter:
    """Damage each file of unfinished work."""
    counts = collections.Counter()
    for stage, outs in OUTS.items():
        stopped = {}
        for name, project in (("own", done), ("foreign", other)):
            stopped[name] = scene.copy(project, folder / f"stopped-{name}")
            killed(stopped[name], stage)
        (foreign,) = (stopped["foreign"].path / ".headstart").iterdir()
        (own,) = (stopped["own"].path / ".headstart").iterdir()
        for file in sorted(path.relative_to(own) for path in own.rglob("*") if path.is_file()):
            for kind, change in DAMAGES.items():
                project = scene.copy(stopped["own"], folder / "damaged")
                path, there = project.path / ".headstart" / own.name / file, foreign / file
                overwrite(path, change(path.read_bytes(), there.read_bytes() if there.exists() else b"another"))
                ran = project.stage(stage, check=True)
                wrong = [name for name in scene.different(project, expected) if name.startswith(tuple(outs))]
                assert wrong == [], f"{stage}: {file} {kind}: {wrong}\n{ran.stdout}"
                outcome = "thrown away in a line" if "is thrown away" in ran.stdout else "gone on from"
                counts[f"the same bytes, {outcome}"] += 1
                print(f"{stage}: {file}, {kind}: {outcome}", flush=True)
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=["outputs", "checkpoints"])
    only = parser.parse_args().only
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        done = scene.build(folder / "done")
        other = scene.copy(done, folder / "other")
        other.set({"seed": 2, "split.seed": 2})
        for project in (done, other):
            project.repro()
        expected, counts = scene.written(done), collections.Counter()
        if only != "outputs":
            counts += checkpoints(done, other, expected, folder)
        if only != "checkpoints":
            counts += outputs(scene.copy(done, folder / "damaged"), other, expected)
        print(dict(counts))


if __name__ == "__main__":
    main()
