"""What lies in deploy/ is as the programs that read it want it."""

import re
import shutil
import subprocess

import pytest
from conftest import ROOT

from headstart.base import yaml12
from headstart.cluster import where

DEPLOY = ROOT / "deploy"


def test_scripts_pass_shellcheck():
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed: pip install -r requirements-dev.txt")
    scripts = sorted(DEPLOY.glob("*.sh"))
    assert len(scripts) == 2
    done = subprocess.run(["shellcheck", *scripts], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_pods_are_as_kubernetes_wants_them_and_the_versions_agree():
    validate = pytest.importorskip("kubernetes_validate", reason="pip install -r requirements-dev.txt")
    cluster = yaml12.read(DEPLOY / "rayjob.yaml")["spec"]["rayClusterSpec"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    for group in groups:
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "one"}, "spec": group["template"]["spec"]}
        validate.validate(pod, validate.latest_version(), strict=True)
    assert len(groups) == 2
    pinned = re.search(r"^ray==(\S+)", (ROOT / "requirements-ray.txt").read_text(), re.MULTILINE)[1]
    assert cluster["rayVersion"] == pinned


def test_what_they_set_is_what_the_code_reads():
    known = {where.RAY, where.WORKERS, where.CORES, where.GPUS}
    for path in DEPLOY.iterdir():
        assert set(re.findall(r"HEADSTART_RAY\w*", path.read_text())) <= known, path
