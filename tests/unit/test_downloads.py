"""Downloads from a plain web server on this machine: resumed, verified, clear without a network."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import au_adapter
from au_adapter.bundled import AUEDITNET, VQAUFACE, WPLUS, demo_folder
from au_adapter.cli.download import CONVERTED
from au_adapter.weights.downloads import (
    DOWNLOADS,
    Download,
    by_hand,
    cache_folder,
    fetch,
    find_download,
)

ROOT = Path(au_adapter.__file__).parent.parent
FILES = {"mesh/a.obj": b"vertices " * 1000, "LICENSE": b"as you like"}


@dataclass
class Server:
    """What a small HTTP server offers and has been asked for. endless: it never stops sending.
    cut: it ends after so many bytes."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=lambda: dict(FILES))
    ranges: bool = True
    endless: bool = False
    cut: int | None = None
    asked: list[tuple[str, str | None]] = field(default_factory=list)


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers["Range"]
            state.asked.append((self.path[1:], wanted))
            content = state.files.get(self.path[1:])
            start = int(re.findall(r"\d+", wanted)[0]) if wanted and state.ranges else 0
            if content is None:
                self.send_error(404)
                return
            self.send_response(206 if start else 200)
            if not state.endless:
                self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            self.wfile.write(content[start : state.cut])
            while state.endless:
                try:
                    self.wfile.write(bytes(1 << 16))
                except OSError:  # the reader has had enough
                    break

        def log_message(self, *_: object) -> None:
            """Tests stay quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        state.url = f"http://127.0.0.1:{http.server_port}/"
        yield state
        http.shutdown()


@pytest.fixture
def download(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Download:
    table = {path: (len(c), hashlib.sha256(c).hexdigest()) for path, c in FILES.items()}
    monkeypatch.setenv("AU_ADAPTER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return Download("mesh", "A mesh", "MIT", table, source="a page", address=server.url)


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
    server: Server,
    download: Download,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    ranges: bool,
) -> None:
    monkeypatch.setattr("au_adapter.weights.web_files.CHUNK", 1000)
    server.cut = 4000
    with pytest.raises(ConnectionError, match="mesh could not be fetched"):
        fetch(download, tmp_path / "here")
    assert list(_content(tmp_path / "here")) == ["mesh/a.obj.part"]
    server.cut, server.ranges = None, ranges
    assert _content(fetch(download, tmp_path / "here")) == FILES
    assert server.asked[1] == ("mesh/a.obj", "bytes=4000-")


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


def test_an_endless_file_ends_at_its_size(
    server: Server, download: Download, tmp_path: Path
) -> None:
    server.endless = True
    with pytest.raises(ValueError, match=r"a.obj is not the file expected \(9000 .* but more;"):
        fetch(download, tmp_path / "here")
    assert _content(tmp_path / "here") == {}


def test_without_a_network_it_says_what_to_copy_where(
    server: Server, download: Download, tmp_path: Path
) -> None:
    del server.files["LICENSE"]
    with pytest.raises(ConnectionError, match="HTTP 404.* get a page on another machine") as caught:
        fetch(download, tmp_path / "here")
    assert str(tmp_path / "here") in str(caught.value)
    assert str(tmp_path / "LICENSE") in by_hand(download, tmp_path)


def test_the_table_is_complete() -> None:
    for name, entry in DOWNLOADS.items():
        assert find_download(name) is entry and entry.title and entry.licence
        assert entry.page.startswith("https://") and bool(entry.address) != bool(entry.repository)
        for path, (size, digest) in entry.files.items():
            assert size > 0 and re.fullmatch("[0-9a-f]{64}", digest or "0" * 64), path
        assert entry.pinned or entry.repository
        assert entry.comfyui.keys() <= entry.files.keys()
    assert find_download("ict-facekit").size() > 400e6
    with pytest.raises(ValueError, match="no download 'faces'; known are ict-facekit"):
        find_download("faces")


def test_what_the_workflows_load_can_be_fetched_by_name() -> None:
    """But for the bundled files, and Stable Diffusion 2.1, which its publisher took down."""
    places = [place for entry in DOWNLOADS.values() for place in entry.comfyui.values()]
    fetched = {Path(place).name for place in (*places, *CONVERTED.values())}
    bundled = {path.name for path in demo_folder().rglob("*.safetensors")}
    bundled |= {AUEDITNET, VQAUFACE, WPLUS}  # whose weights come with a later version
    named = set()
    for path in (ROOT / "workflows" / "api").glob("*.json"):
        nodes = json.loads(path.read_text(encoding="utf-8")).values()
        inputs = [value for node in nodes for value in node["inputs"].values()]
        files = [
            value for value in inputs if str(value).endswith((".safetensors", ".bin", ".ckpt"))
        ]
        named |= {re.split(r"[\\/]", file)[-1] for file in files}
    assert "magicface.safetensors" in named
    assert named - fetched - bundled == {"v2-1_512-ema-pruned.safetensors"}


def test_the_cache_is_in_the_home_unless_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AU_ADAPTER_CACHE", raising=False)
    assert cache_folder("x") == Path.home() / ".cache" / "au-adapter" / "x"
