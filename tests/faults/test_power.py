"""After a power loss: the disk is a file, copied as it is when a process has just been killed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from power import Disk, possible

ROOT = Path(__file__).parents[2]
TABLE = """
import os, signal, sys
from pathlib import Path
import numpy as np
from headstart.artifacts import features, manifest
table = manifest.Manifest(["a", "b"], list("1234"), np.arange(4) % 2, np.array(["train"] * 4), list("abcd"))
shapes = {"bottleneck/plain": (4, 100_000), "cut/plain": (4, 50_000)}
writer = features.Writer(Path(".headstart/extract-1"), shapes, table)
"""
MIDDLE = """
writer.write(0, {name: (0, np.ones((3, *shape[1:]), "float16")) for name, shape in shapes.items()})
os.kill(os.getpid(), signal.SIGKILL)
"""
END = """
from headstart.base import checkpoint
writer.write(0, {name: (0, np.ones(shape, "float16")) for name, shape in shapes.items()})
writer.publish()
checkpoint.finish("extract")
os.kill(os.getpid(), signal.SIGKILL)
"""
WITHOUT_SYNC = "import os; os.fsync = lambda descriptor: None\n"
AFTER = {
    "middle": "print(len(writer.done))",
    "end": "print(features.read_bottleneck(table=table)[3, -1], features.read_cut(table=table)[3, -1])",
}


@pytest.fixture
def disk(tmp_path):
    if not possible():
        pytest.skip("a disk of its own takes root and Linux")
    disk = Disk(tmp_path, megabytes=48, options="commit=1,data=writeback")
    with disk.mounted():
        shutil.copy(ROOT / "params.yaml", disk.place)
        (disk.place / "dvc.yaml").write_text(
            "stages: {extract: {params: [seed], deps: [params.yaml], outs: [data/features]}}"
        )
        subprocess.run(["sync", "-f", disk.place], check=True)
        yield disk


def run(disk, script):
    return subprocess.run(
        [sys.executable, "-c", script],
        cwd=disk.place,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("moment", ["middle", "end"])
def test_what_a_mark_or_an_end_vouches_for_is_there_after_a_power_loss(moment, disk):
    assert run(disk, TABLE + {"middle": MIDDLE, "end": END}[moment]).returncode == -9
    disk.lose_power()
    done = run(disk, TABLE.replace("writer =", "writer = None #" if moment == "end" else "writer =") + AFTER[moment])
    assert done.stdout.splitlines()[-1] == {"middle": "1", "end": "1.0 1.0"}[moment], done.stderr
    assert "damaged" not in done.stdout


def test_the_disk_loses_what_is_not_synced(disk):
    """Or the tests above would show nothing."""
    assert run(disk, WITHOUT_SYNC + TABLE + MIDDLE).returncode == -9
    disk.lose_power()
    done = run(disk, TABLE + AFTER["middle"])
    assert done.stdout.splitlines()[-1] == "0", done.stderr
