"""Real servers on loopback, each on a free port, for one user: SSH, WebDAV, and S3 as moto emulates it."""

import getpass
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest


@dataclass
class Server:
    """A remote; `wrong` are secrets that it refuses."""

    url: str
    arguments: list[str] = field(default_factory=list)  # of headstart.remote, beside the address
    secrets: dict[str, str] = field(default_factory=dict)  # in the environment
    wrong: dict[str, str] = field(default_factory=dict)
    folder: Path | None = None  # where it keeps what it is sent, if on disk
    cable: "Cable | None" = None


class Cable:
    """The line to a server, on a port of its own: it can be cut after a number of bytes, and mended.

    delay: seconds that each piece of 16 kB takes; tamper: what becomes of a piece that the server sends.
    """

    def __init__(self, port: int):
        self.server = port
        self.port = free_port()
        self.left: float = float("inf")
        self.mend()

    def mend(self) -> None:
        self.left, self.delay = float("inf"), 0.0
        self.tamper: Callable[[bytes], bytes] = lambda data: data
        self.open: list[socket.socket] = []
        self.listening = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, args=[self.listening], daemon=True).start()

    def cut(self) -> None:
        # shutdown, too: close alone does not wake a thread that waits in accept or recv.
        for end in [self.listening, *self.open]:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def cut_after(self, count: int) -> None:
        self.left = count

    def _accept(self, listening: socket.socket) -> None:
        while True:
            try:
                near, _ = listening.accept()
                far = socket.create_connection(("127.0.0.1", self.server))
            except OSError:
                return
            for end in (near, far):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.open += [near, far]
            threading.Thread(target=self._carry, args=[near, far, False], daemon=True).start()
            threading.Thread(target=self._carry, args=[far, near, True], daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket, is_answer: bool) -> None:
        try:
            while data := source.recv(2**14):
                self.left -= len(data)
                if self.left <= 0:
                    self.cut()
                time.sleep(self.delay)
                target.sendall(self.tamper(data) if is_answer else data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def running(command: list[str], port: int, environment: dict[str, str] | None = None) -> Iterator[None]:
    """`command` from when it listens on `port` until the block ends."""
    process = subprocess.Popen(
        command, env=os.environ | (environment or {}), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    threading.Thread(target=lambda: process.stderr.read(), daemon=True).start()
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert process.poll() is None, f"{command[0]} ended with {process.returncode}"
                assert time.monotonic() < deadline, f"{command[0]} does not listen"
                time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait(10)


@contextmanager
def folder(tmp: Path) -> Iterator[Server]:
    yield Server(url=str(tmp / "mounted"), folder=tmp / "mounted")


@contextmanager
def ssh(tmp: Path) -> Iterator[Server]:
    program = installed("sshd", "openssh-server")
    kept, port = tmp / "kept", free_port()
    kept.mkdir()
    for key in ("host", "mine", "strange"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp / key)], check=True)
    (tmp / "authorized").write_text((tmp / "mine.pub").read_text())
    lines = [
        f"Port {port}",
        "ListenAddress 127.0.0.1",
        f"HostKey {tmp / 'host'}",
        f"AuthorizedKeysFile {tmp}/authorized",
    ]
    lines += [
        "StrictModes no",
        "UsePAM no",
        "PasswordAuthentication no",
        "PidFile none",
        "Subsystem sftp internal-sftp",
    ]
    (tmp / "sshd_config").write_text("\n".join(lines) + "\n")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    with running([program, "-D", "-e", "-f", str(tmp / "sshd_config")], port):
        cable = Cable(port)
        user = ["--user", getpass.getuser()]
        url = f"ssh://127.0.0.1:{cable.port}{kept}"
        yield Server(url, [*user, "--keyfile", str(tmp / "mine")], folder=kept, cable=cable)


@contextmanager
def webdav(tmp: Path, *more: str) -> Iterator[Server]:
    program = installed("rclone", "rclone")
    kept, port = tmp / "kept", free_port()
    kept.mkdir()
    options = ["--addr", f"127.0.0.1:{port}", "--user", "anna", "--pass", "opensesame", *more]
    with running([program, "serve", "webdav", *options, str(kept)], port, {"RCLONE_CONFIG": str(tmp / "rclone.conf")}):
        cable = Cable(port)
        yield Server(
            f"webdav://127.0.0.1:{cable.port}/headstart",
            ["--user", "anna"],
            {"HEADSTART_REMOTE_PASSWORD": "opensesame"},
            {"HEADSTART_REMOTE_PASSWORD": "opensezame"},
            kept / "headstart",
            cable,
        )


@contextmanager
def s3(tmp: Path) -> Iterator[Server]:
    pytest.importorskip("moto", reason="moto is not installed: pip install -r requirements-dev.txt")
    import boto3

    port = free_port()
    # moto checks no credentials in the first four requests, which make the user whose credentials it checks then.
    environment = {"INITIAL_NO_AUTH_ACTION_COUNT": "4"}
    with running([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], port, environment):
        cable = Cable(port)
        endpoint = f"http://127.0.0.1:{cable.port}"
        options = {"endpoint_url": endpoint, "region_name": "us-east-1"}
        options |= {"aws_access_key_id": "anyone", "aws_secret_access_key": "anything"}
        iam = boto3.Session().client("iam", **options)
        iam.create_user(UserName="anna")
        key = iam.create_access_key(UserName="anna")["AccessKey"]
        policy = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}'
        iam.put_user_policy(UserName="anna", PolicyName="all", PolicyDocument=policy)
        boto3.Session().client("s3", **options).create_bucket(Bucket="team")
        secrets = {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
        yield Server(
            "s3://team/headstart",
            ["--endpoint", endpoint],
            secrets,
            secrets | {"AWS_SECRET_ACCESS_KEY": "opensezame"},
            cable=cable,
        )


def installed(program: str, package: str) -> str:
    """The path of a program; where there is none, the test is skipped."""
    path = shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    if path is None:
        pytest.skip(f"no {program} here: apt-get install {package}")
    return path


KINDS = {"folder": folder, "ssh": ssh, "webdav": webdav, "s3": s3}
