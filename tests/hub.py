"""A model hub on the loopback interface, as far as huggingface_hub asks one to publish: repositories, LFS, commits."""

import base64
import hashlib
import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "hf_" + "a" * 34
SMALL = 10_000_000  # bytes of a text from which on it goes by LFS, as anything binary does


@dataclass
class Repository:
    private: bool
    commits: list[str] = field(default_factory=list)  # their messages
    files: dict[str, bytes] = field(default_factory=dict)


class Hub(ThreadingHTTPServer):
    """`repositories` by OWNER/NAME; `asked`: each request's method and path; `remark`: on a card's header."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.repositories: dict[str, Repository] = {}
        self.objects: dict[str, bytes] = {}  # of LFS, by their sha256
        self.asked: list[str] = []
        self.remark: str | None = None
        self.full = False  # whether uploads fail
        self._thread = threading.Thread(target=self.serve_forever, daemon=True)

    def __enter__(self) -> "Hub":
        self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hub

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        name = self.path.removeprefix("/api/models/").removesuffix("/revision/main")
        if self._allowed():
            if repository := self.server.repositories.get(name):
                siblings = [{"rfilename": path} for path in sorted(repository.files)]
                self._answer({"id": name, "private": repository.private, "sha": "0" * 40, "siblings": siblings})
            else:
                self._answer({"error": "Repository not found"}, 404, {"X-Error-Code": "RepoNotFound"})

    def do_PUT(self) -> None:
        content, oid = self._body(), self.path.removeprefix("/upload/")
        self.server.asked.append(f"PUT {self.path}")
        if self.server.full:
            self._answer({"error": "no space left"}, 507)
        elif hashlib.sha256(content).hexdigest() != oid:
            self._answer({"error": "another content"}, 400)
        else:
            self.server.objects[oid] = content
            self._answer({})

    def do_POST(self) -> None:
        content = self._body()
        if not self._allowed():
            return
        parts = self.path.split("/")
        if self.path == "/api/validate-yaml":
            remarks = [{"message": self.server.remark}] if self.server.remark else []
            self._answer({"warnings": remarks, "errors": []})
        elif self.path == "/api/repos/create":
            asked = json.loads(content)
            name = f"{asked['organization']}/{asked['name']}"
            self.server.repositories[name] = Repository(asked.get("visibility") == "private")
            self._answer({"url": f"{self.server.url}/{name}", "name": name})
        elif self.path.endswith(".git/info/lfs/objects/batch"):
            asked = json.loads(content)["objects"]
            self._answer({"transfer": "basic", "objects": [self._action(of) for of in asked]})
        elif parts[5] == "preupload":
            there = self.server.repositories["/".join(parts[3:5])].files
            self._answer({"files": [self._mode(of, there.get(of["path"])) for of in json.loads(content)["files"]]})
        elif parts[5] == "commit":
            self._commit("/".join(parts[3:5]), [json.loads(line) for line in content.splitlines()])

    def _allowed(self) -> bool:
        self.server.asked.append(f"{self.command} {self.path}")
        if self.headers.get("Authorization") == f"Bearer {TOKEN}":
            return True
        self._answer({"error": "Invalid username or password."}, 401)
        return False

    def _action(self, of: dict[str, Any]) -> dict[str, Any]:
        known = {"oid": of["oid"], "size": of["size"]}
        if of["oid"] in self.server.objects:
            return known
        return known | {"actions": {"upload": {"href": f"{self.server.url}/upload/{of['oid']}"}}}

    def _mode(self, of: dict[str, Any], there: bytes | None) -> dict[str, Any]:
        is_binary = b"\0" in base64.b64decode(of["sample"])
        mode = "lfs" if is_binary or of["size"] > SMALL else "regular"
        oid = None
        if there is not None and mode == "lfs":
            oid = hashlib.sha256(there).hexdigest()
        elif there is not None:
            oid = hashlib.sha1(b"blob %d\0" % len(there) + there).hexdigest()  # Git's
        return {"path": of["path"], "uploadMode": mode, "shouldIgnore": False, "oid": oid}

    def _commit(self, name: str, lines: list[dict[str, Any]]) -> None:
        repository = self.server.repositories[name]
        for line in lines:
            value = line["value"]
            match line["key"]:
                case "header":
                    repository.commits.append(value["summary"])
                case "file":
                    repository.files[value["path"]] = base64.b64decode(value["content"])
                case "lfsFile":
                    repository.files[value["path"]] = self.server.objects[value["oid"]]
                case "deletedFile":
                    del repository.files[value["path"]]
        self._answer({"commitUrl": f"{self.server.url}/{name}/commit/{'1' * 40}", "commitOid": "1" * 40})

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        content = b""
        while size := int(self.rfile.readline(), 16):
            content += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return content

    def _answer(self, content: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None) -> None:
        text = json.dumps(content).encode()
        self.send_response(status)
        for name, value in (
            {"Content-Type": "application/json", "Content-Length": str(len(text))} | (headers or {})
        ).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text)
