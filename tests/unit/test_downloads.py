"""Downloads from a server on this machine: resumed, verified, clear without a network."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from au_adapter.weights.downloads import (
    DOWNLOADS,
    Download,
    by_hand,
    cache_folder,
    fetch,
    find_download,
)

FILES = {"mesh/a.obj": b"vertices " * 1000, "LICENSE": b"as you like"}


@dataclass
class Server:
    """What a small HTTP server offers and has been asked for."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=lambda: dict(FILES))
    ranges: bool = True
    names_hashes: bool = True
    asked: list[tuple[str, str | None]] = field(default_factory=list)


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            """As Hugging Face does: what a file is, then on to where it lies."""
            content = state.files.get(self.path[1:].removesuffix("?stored"))
            if content is None:
                self.send_error(404)
                return
            self.send_response(200 if self.path.endswith("?stored") else 302)
            self.send_header("Location", f"{self.path}?stored")
            if state.names_hashes:
                self.send_header("X-Linked-Size", str(len(content)))
                self.send_header("X-Linked-Etag", f'"{hashlib.sha256(content).hexdigest()}"')
            self.end_headers()

        def do_GET(self) -> None:
            wanted = self.headers["Range"]
            state.asked.append((self.path[1:], wanted))
            content = state.files.get(self.path[1:])
            start = int(re.findall(r"\d+", wanted)[0]) if wanted and state.ranges else 0
            if content is None:
                self.send_error(404)
            elif start and start >= len(content):
                self.send_error(416)
            else:
                self.send_response(206 if start else 200)
                self.send_header("Content-Length", str(len(content) - start))
                self.end_headers()
                self.wfile.write(content[start:])

        def log_message(self, *_: object) -> None:
            """Tests stay quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        state.url = f"http://127.0.0.1:{http.server_port}/"
        yield state
        http.shutdown()


@pytest.fixture
def download(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Download:
    table = {path: [len(c), hashlib.sha256(c).hexdigest()] for path, c in FILES.items()}
    manifest = tmp_path / "manifest.json"
    manifest.write_text(json.dumps(table))
    monkeypatch.setenv("AU_ADAPTER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return Download("mesh", "A mesh", "MIT", "a page", server.url, str(manifest))


def _content(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def test_fetches_once(server: Server, download: Download) -> None:
    folder = fetch(download)
    assert folder == cache_folder("mesh") and _content(folder) == FILES
    fetch(download)
    assert len(server.asked) == len(FILES)


@pytest.mark.parametrize("ranges", [True, False])
def test_goes_on_where_it_stopped(
    server: Server, download: Download, tmp_path: Path, ranges: bool
) -> None:
    server.ranges = ranges
    partial = tmp_path / "here" / "mesh" / "a.obj.part"
    partial.parent.mkdir(parents=True)
    partial.write_bytes(FILES["mesh/a.obj"][:4000])
    assert _content(fetch(download, tmp_path / "here")) == FILES
    assert server.asked[0] == ("mesh/a.obj", "bytes=4000-")


def test_a_partial_file_that_is_whole(server: Server, download: Download, tmp_path: Path) -> None:
    (tmp_path / "LICENSE.part").write_bytes(FILES["LICENSE"])
    assert fetch(download, tmp_path) and (tmp_path / "LICENSE").read_bytes() == FILES["LICENSE"]


def test_another_file_than_expected_is_thrown_away(
    server: Server, download: Download, tmp_path: Path
) -> None:
    server.files["LICENSE"] = b"as we like!"
    with pytest.raises(ValueError, match="LICENSE is not the file expected .* thrown away"):
        fetch(download, tmp_path / "here")
    assert list(_content(tmp_path / "here")) == ["mesh/a.obj"]
    server.files["LICENSE"] = FILES["LICENSE"]
    assert _content(fetch(download, tmp_path / "here")) == FILES


def test_without_a_network_it_says_what_to_copy_where(
    server: Server, download: Download, tmp_path: Path
) -> None:
    del server.files["LICENSE"]
    with pytest.raises(ConnectionError, match="HTTP 404.* get a page on another machine") as caught:
        fetch(download, tmp_path / "here")
    assert str(tmp_path / "here" / "LICENSE") in str(caught.value)


@pytest.fixture
def unpinned(download: Download, tmp_path: Path) -> Download:
    """The same, of which this project knows no SHA-256."""
    table = {path: [len(content) + 7, None] for path, content in FILES.items()}
    manifest = tmp_path / "unpinned.json"
    manifest.write_text(json.dumps(table))
    return replace(download, manifest=str(manifest))


def test_without_a_hash_of_ours_the_publishers_decides(
    server: Server, unpinned: Download, tmp_path: Path
) -> None:
    (tmp_path / "here" / "mesh").mkdir(parents=True)
    (tmp_path / "here" / "mesh" / "a.obj.part").write_bytes(FILES["mesh/a.obj"][:4000])
    assert not unpinned.pinned and _content(fetch(unpinned, tmp_path / "here")) == FILES
    assert ("mesh/a.obj", "bytes=4000-") in server.asked
    fetch(unpinned, tmp_path / "here")
    assert len(server.asked) == len(FILES)


def test_a_file_that_is_not_the_one_the_publisher_names(
    server: Server, unpinned: Download, tmp_path: Path
) -> None:
    (tmp_path / "LICENSE.part").write_bytes(b"as you liked")
    with pytest.raises(ValueError, match="LICENSE is not the file expected .* thrown away"):
        fetch(unpinned, tmp_path)


def test_a_publisher_without_hashes_is_refused(
    server: Server, unpinned: Download, tmp_path: Path
) -> None:
    server.names_hashes = False
    with pytest.raises(ValueError, match="offered without a SHA-256.*by hand"):
        fetch(unpinned, tmp_path)
    assert server.asked == []


def test_an_unpinned_download_without_a_network(
    server: Server, unpinned: Download, tmp_path: Path
) -> None:
    server.files.clear()
    with pytest.raises(ConnectionError, match=r"HTTP 404.*or use them as they are.*--manual"):
        fetch(unpinned, tmp_path)
    assert str(tmp_path / "LICENSE") in by_hand(unpinned, tmp_path)


def test_the_table_is_complete() -> None:
    for name, entry in DOWNLOADS.items():
        assert (
            find_download(name) is entry and entry.licence and entry.source.startswith("https://")
        )
        for path, (size, digest) in entry.table().items():
            assert size > 0 and re.fullmatch("[0-9a-f]{64}", digest or "0" * 64), path
        assert entry.pinned or entry.source.startswith("https://huggingface.co/")
    assert find_download("ict-facekit").size() > 400e6
    with pytest.raises(ValueError, match="no download 'faces'; known are ict-facekit"):
        find_download("faces")


def test_the_cache_is_in_the_home_unless_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AU_ADAPTER_CACHE", raising=False)
    assert cache_folder("x") == Path.home() / ".cache" / "au-adapter" / "x"
