"""A Hugging Face hub on this machine, as far as its client needs one to write a model and read it back."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

REVISION = "0123456789abcdef0123456789abcdef01234567"


class Hub(ThreadingHTTPServer):
    """Keeps repositories in memory; only ``token`` may write. Large files come by git LFS, not by Xet."""

    daemon_threads = True

    def __init__(self, token: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.token = token
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.private: dict[str, bool] = {}
        self.messages: list[str] = []
        self.objects: dict[str, bytes] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hub

    def do_HEAD(self) -> None:
        self._send_file(with_body=False)

    def do_GET(self) -> None:
        self._send_file(with_body=True)

    def do_PUT(self) -> None:
        body = self._body()
        oid = self.path.removeprefix("/objects/")
        if hashlib.sha256(body).hexdigest() != oid:
            return self._answer({"error": "not what was announced"}, 400)
        self.server.objects[oid] = body
        return self._answer({})

    def do_POST(self) -> None:
        body = self._body()
        if self.headers.get("Authorization") != f"Bearer {self.server.token}":
            return self._answer({"error": "forbidden"}, 403)
        if self.path == "/api/validate-yaml":
            return self._answer({"errors": [], "warnings": []})
        if self.path == "/api/repos/create":
            return self._create(json.loads(body))
        if self.path.endswith("/preupload/main"):
            return self._preupload(json.loads(body))
        if self.path.endswith(".git/info/lfs/objects/batch"):
            return self._batch(json.loads(body))
        return self._commit([json.loads(line) for line in body.splitlines()])

    def _create(self, wanted: dict[str, Any]) -> None:
        name = f"{wanted['organization']}/{wanted['name']}"
        self.server.repositories.setdefault(name, {})
        private = (
            wanted.get("visibility") == "private" or wanted.get("private") is True
        )  # newer and older clients
        self.server.private.setdefault(name, private)
        self._answer({"url": f"{self.server.url}/{name}"})

    def _preupload(self, wanted: dict[str, Any]) -> None:
        files = [
            {
                "path": file["path"],
                "uploadMode": "lfs" if file["path"].endswith(".safetensors") else "regular",
                "shouldIgnore": False,
            }
            for file in wanted["files"]
        ]
        self._answer({"files": files})

    def _batch(self, wanted: dict[str, Any]) -> None:
        objects = [
            {
                **item,
                "actions": {"upload": {"href": f"{self.server.url}/objects/{item['oid']}", "header": {}}},
            }
            for item in wanted["objects"]
        ]
        self._answer({"transfer": "basic", "objects": objects})

    def _commit(self, lines: list[dict[str, Any]]) -> None:
        name = "/".join(self.path.split("/")[3:5])
        files = self.server.repositories[name]
        for line in lines:
            value = line["value"]
            match line["key"]:
                case "header":
                    self.server.messages.append(value["summary"])
                case "file":
                    files[value["path"]] = base64.b64decode(value["content"])
                case "lfsFile":
                    files[value["path"]] = self.server.objects[value["oid"]]
        self._answer({"commitUrl": f"{self.server.url}/{name}/commit/{REVISION}", "commitOid": REVISION})

    def _send_file(self, *, with_body: bool) -> None:
        repository, _, path = self.path.removeprefix("/").partition("/resolve/main/")
        content = self.server.repositories.get(repository, {}).get(path)
        if content is None:
            return self._answer({"error": "no such file"}, 404)
        self.send_response(200)
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", REVISION)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if with_body:
            self.wfile.write(content)
        return None

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", "0")))

    def _answer(self, content: dict[str, Any], status: int = 200) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def serving(token: str) -> Iterator[Hub]:
    """A running hub, stopped at the end."""
    with Hub(token) as hub:
        thread = threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield hub
        finally:
            hub.shutdown()
            thread.join()
