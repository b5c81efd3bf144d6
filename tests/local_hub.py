"""A hub on loopback that speaks the Hugging Face hub's protocol, and misbehaves when told to."""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

COMMIT = "c0ffee" * 6 + "c0ff"
LARGE = 1000  # bytes from which a file is kept apart, named by its SHA-256


@dataclass
class Hub:
    """repositories: owner/name -> path -> content. served: what is sent instead, by path.

    token: asked of readers, if any. faults: path -> kinds of fault, one for each GET of the file,
    in order: "cut", "stall", "endless", "gone". bare: no sizes and no hashes. asked: every request.
    """

    repositories: dict[str, dict[str, bytes]]
    token: str = ""
    served: dict[str, bytes] = field(default_factory=dict)
    faults: dict[str, list[str]] = field(default_factory=dict)
    bare: bool = False
    status: int = 200
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)
    url: str = ""
    storage: str = ""  # where large files lie: another server, as the hub's own
    closed: threading.Event = field(default_factory=threading.Event)

    def gets(self, path: str) -> list[str | None]:
        """The ranges asked for in GETs of a file."""
        return [bytes_ for verb, at, bytes_ in self.asked if verb == "GET" and at.endswith(path)]


@contextmanager
def serve(hub: Hub) -> Iterator[Hub]:
    """The hub, answering until the end of the block."""

    class Handler(_Handler):
        state = hub

    servers = [ThreadingHTTPServer(("127.0.0.1", 0), Handler) for _ in range(2)]
    hub.url, hub.storage = (f"http://127.0.0.1:{server.server_port}" for server in servers)
    for server in servers:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield hub
    finally:
        hub.closed.set()
        for server in servers:
            server.shutdown()
            server.server_close()


class _Handler(BaseHTTPRequestHandler):
    state: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Tests stay quiet."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        hub, path = self.state, unquote(self.path.partition("?")[0])
        hub.asked.append((self.command, path, self.headers["Range"]))
        if hub.status != 200:
            self._send(hub.status, b"out of order")
        elif found := re.fullmatch(r"/storage/([^/]+/[^/]+)/(.+)", path):
            self._send_file(found[2], hub.repositories[found[1]][found[2]])
        elif hub.token and self.headers["Authorization"] != f"Bearer {hub.token}":
            self._send(401, b"Invalid username or password.", {"X-Error-Code": "RepoNotFound"})
        elif found := re.fullmatch(r"/api/models/([^/]+/[^/]+)(/revision/.+)?", path):
            self._describe(found[1])
        elif found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            self._resolve(found[1], found[3])
        else:
            self._send(404, b"no such page")

    def _describe(self, repository: str) -> None:
        if repository not in self.state.repositories:
            self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"})
            return
        files = self.state.repositories[repository]
        siblings = [self._sibling(path, content) for path, content in files.items()]
        about = {"id": repository, "sha": COMMIT, "siblings": siblings}
        self._send(200, json.dumps(about).encode(), {"Content-Type": "application/json"})

    def _sibling(self, path: str, content: bytes) -> dict:
        if self.state.bare:
            return {"rfilename": path}
        sibling = {"rfilename": path, "size": len(content), "blobId": git_hash(content)}
        if len(content) >= LARGE:
            digest = hashlib.sha256(content).hexdigest()
            sibling["lfs"] = {"sha256": digest, "size": len(content), "pointerSize": 130}
        return sibling

    def _resolve(self, repository: str, path: str) -> None:
        content = self.state.repositories.get(repository, {}).get(path)
        if content is None:
            self._send(404, b"", {"X-Error-Code": "EntryNotFound"})
        elif len(content) < LARGE:
            headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{git_hash(content)}"'}
            self._send_file(path, content, headers)
        else:
            headers = {
                "X-Repo-Commit": COMMIT,
                "X-Linked-Size": str(len(content)),
                "X-Linked-Etag": f'"{hashlib.sha256(content).hexdigest()}"',
                "Location": f"{self.state.storage}/storage/{repository}/{path}",
            }
            self._send(302, b"", headers)

    def _send_file(self, path: str, content: bytes, headers: dict | None = None) -> None:
        content = self.state.served.get(path, content)
        faults = self.state.faults.get(path, [])
        fault = faults.pop(0) if self.command == "GET" and faults else ""
        asked = re.findall(r"\d+", self.headers["Range"] or "")
        start = int(asked[0]) if asked else 0
        if fault == "gone":
            self._send(503, b"try again later")
        elif fault == "endless":
            self._send_for_ever(content[0:1] * 4096)
        else:
            headers = {**(headers or {}), "Accept-Ranges": "bytes"}
            if asked:
                headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            self._send(206 if asked else 200, content[start:], headers, fault)

    def _send(self, status: int, body: bytes, headers: dict | None = None, fault: str = "") -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if fault:
            self.wfile.write(body[: len(body) // 2])
            self.wfile.flush()
            if fault == "stall":
                self.state.closed.wait(20)
            self.close_connection = True
            return
        self.wfile.write(body)

    def _send_for_ever(self, chunk: bytes) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        while not self.state.closed.is_set():
            try:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
            except OSError:  # the reader has had enough
                break
            time.sleep(0.001)
        self.close_connection = True


def git_hash(content: bytes) -> str:
    """Git's name of a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
