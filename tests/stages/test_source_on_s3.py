"""Images that stay on S3: every stage reads them there, and DVC knows when they change."""

import socket
from pathlib import Path

import pytest

from headstart.artifacts import features, manifest
from headstart.images import archive
from tests.team import servers

fsspec, boto3 = pytest.importorskip("fsspec"), pytest.importorskip("boto3")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with servers.s3(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def on_s3(project, server, monkeypatch):
    """The project, whose images lie in a bucket alone; and what puts an object there."""
    _, endpoint = server.arguments
    environment = server.secrets | {"AWS_ENDPOINT_URL": endpoint, "AWS_DEFAULT_REGION": "us-east-1"}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    project.environment |= environment
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    client = boto3.Session().client("s3")  # the default session keeps the first login it saw
    images = project.path / "data/my_images"
    for file in sorted(images.rglob("*.png")):
        client.put_object(Bucket="team", Key=f"images/{file.relative_to(images)}", Body=file.read_bytes())
    for file in sorted(images.rglob("*.*"), reverse=True):
        file.unlink()
    project.set({"dataset.path": "s3://team/images"})
    monkeypatch.chdir(project.path)
    yield lambda key, content: client.put_object(Bucket="team", Key=f"images/{key}", Body=content)
    fsspec.get_filesystem_class("s3").clear_instance_cache()


def test_the_pipeline_runs_on_images_that_lie_on_s3_alone(on_s3, project):
    project.repro("evaluate")
    table = manifest.read()
    assert len(table.paths) == 32 and len(features.read_bottleneck(table=table)) == 32
    with archive.open_source("s3://team/images") as source:
        assert sorted(source.names()) == sorted(table.paths) and source.size(table.paths[0]) > 60
        content = source.read(table.paths[0])
        assert content.startswith(source.head(table.paths[0])) and len(content) == source.size(table.paths[0])
    assert project.ran(project.repro("evaluate")) == []
    on_s3(table.paths[0], b"no image any more")
    assert "split" in project.ran(project.repro("split"))
    assert len(manifest.read().paths) == 31


def test_what_cannot_be_reached_is_one_line(on_s3, project):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        project.environment["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{probe.getsockname()[1]}"
    done = project.stage("split")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: s3://team/images cannot be reached")


def test_an_address_with_a_password_is_refused(on_s3, project):
    project.set({"dataset.path": "s3://me:secret@team/images"})
    done = project.stage("split")
    assert done.returncode == 1 and "secret" not in done.stderr
    assert Path("params.yaml").exists()
