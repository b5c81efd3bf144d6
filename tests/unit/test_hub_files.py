"""Downloads from a hub on this machine that cuts, stalls, answers wrongly and asks for a token."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import pytest
from click.testing import CliRunner
from huggingface_hub import constants
from local_hub import COMMIT, Hub, serve
from published import SD15, SD21, write_published

import au_adapter
from au_adapter import load_adapter
from au_adapter.cli import main
from au_adapter.weights.downloads import DOWNLOADS, Download, fetch, put_into_comfyui

ROOT = Path(au_adapter.__file__).parent.parent
WEIGHTS, CONFIG = os.urandom(300_000), b'{"width": 8}'
FILES = {"unet/weights.bin": WEIGHTS, "unet/config.json": CONFIG, "README.md": b"not asked for"}
TABLE = {"unet/weights.bin": (300_000, None), "unet/*.json": (20, None)}
NET = Download("net", "A network", "MIT", TABLE, repository="someone/net")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with serve(Hub({"someone/net": dict(FILES)})) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        # What the library makes of its environment when it is first imported.
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        template = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
        monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 1)
        monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 50_000)
        yield hub


def held(folder: Path) -> dict[str, bytes]:
    """The files in a folder but those of the library's own bookkeeping."""
    found = (p for p in folder.rglob("*") if p.is_file() and ".cache" not in p.parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def parts(folder: Path) -> list[Path]:
    """What unfinished downloads have left."""
    return list(folder.rglob("*.incomplete"))


ASKED_FOR = {"unet/weights.bin": WEIGHTS, "unet/config.json": CONFIG}


def test_the_cache_is_the_one_that_all_programs_share(hub: Hub) -> None:
    folder = fetch(NET)
    assert folder == Path(constants.HF_HUB_CACHE) / "models--someone--net" / "snapshots" / COMMIT
    assert held(folder) == ASKED_FOR
    known = huggingface_hub.hf_hub_download(
        "someone/net", "unet/weights.bin", revision=COMMIT, local_files_only=True
    )
    assert Path(known).read_bytes() == WEIGHTS
    fetch(NET)
    assert len(hub.gets("weights.bin")) == 1


def test_a_folder_of_ones_own_takes_what_the_cache_has(hub: Hub, tmp_path: Path) -> None:
    fetch(NET)
    before = len(hub.gets("weights.bin"))
    assert held(fetch(NET, tmp_path / "own")) == ASKED_FOR
    assert len(hub.gets("weights.bin")) == before


def test_a_download_that_is_cut_goes_on_where_it_was(hub: Hub, tmp_path: Path) -> None:
    hub.faults["unet/weights.bin"] = ["cut"]
    assert held(fetch(NET, tmp_path / "own")) == ASKED_FOR
    assert f"bytes={len(WEIGHTS) // 2}-" in hub.gets("weights.bin")


def test_a_download_that_stalls_goes_on(hub: Hub) -> None:
    hub.faults["unet/weights.bin"] = ["stall"]
    assert held(fetch(NET)) == ASKED_FOR


def test_a_server_that_always_cuts_leaves_nothing_half(hub: Hub, tmp_path: Path) -> None:
    hub.faults["unet/weights.bin"] = ["gone"] * 20
    with pytest.raises(ConnectionError, match=r"net could not be fetched: .*HTTP 503.*--manual"):
        fetch(NET, tmp_path / "own")
    assert held(tmp_path / "own") == {} and not parts(tmp_path)
    hub.faults.clear()
    assert held(fetch(NET, tmp_path / "own")) == ASKED_FOR


@pytest.mark.parametrize("own", [True, False])
def test_an_endless_file_ends_at_its_size(hub: Hub, tmp_path: Path, own: bool) -> None:
    hub.faults["unet/weights.bin"] = ["endless"]
    with pytest.raises(ValueError, match="has 300000 bytes, and the server sends more.*thrown awa"):
        fetch(NET, tmp_path / "own" if own else None)
    assert not parts(tmp_path) and WEIGHTS not in held(tmp_path).values()
    assert held(fetch(NET, tmp_path / "own" if own else None)) == ASKED_FOR


@pytest.mark.parametrize("path", ["unet/weights.bin", "unet/config.json"])
@pytest.mark.parametrize("own", [True, False])
def test_another_file_of_the_same_size_is_thrown_away(
    hub: Hub, tmp_path: Path, path: str, own: bool
) -> None:
    hub.served[path] = b"x" * len(FILES[path])
    with pytest.raises(ValueError, match="is not the file expected .* thrown away"):
        fetch(NET, tmp_path / "own" if own else None)
    assert hub.served[path] not in held(tmp_path).values()
    hub.served.clear()
    assert held(fetch(NET, tmp_path / "own" if own else None)) == ASKED_FOR


def test_the_tables_own_hash_decides(hub: Hub) -> None:
    pinned = Download(
        "net", "", "MIT", {"unet/weights.bin": (1, "0" * 64)}, repository=NET.repository
    )
    with pytest.raises(ValueError, match="hash 0000.* but 300000 bytes with hash"):
        fetch(pinned)


def test_a_hub_that_names_no_hash_is_refused(hub: Hub) -> None:
    hub.bare = True
    with pytest.raises(ValueError, match="offered without a size and a hash.*by hand"):
        fetch(NET)
    assert not hub.gets("weights.bin")


def test_a_file_that_is_no_more_there(hub: Hub) -> None:
    del hub.repositories["someone/net"]["unet/weights.bin"]
    with pytest.raises(ValueError, match=r"someone/net on the hub has no file unet/weights.bin"):
        fetch(NET)


def test_a_file_outside_the_folder_is_refused(hub: Hub, tmp_path: Path) -> None:
    hub.repositories["someone/net"]["../evil.json"] = b"{}"
    odd = Download("net", "", "MIT", {"*/*.json": (1, None)}, repository=NET.repository)
    with pytest.raises(ValueError, match="'../evil.json', outside its folder"):
        fetch(odd, tmp_path / "own")
    assert held(tmp_path) == {}


@pytest.mark.parametrize("status", [500, 404])
def test_a_hub_that_does_not_work(hub: Hub, status: int) -> None:
    hub.status = status
    with pytest.raises(ConnectionError, match=f"someone/net.*HTTP {status}.*on another machine"):
        fetch(NET)


def test_no_hub_at_all(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ConnectionError, match="Connect.*models--someone--net"):
        fetch(NET)


def test_without_a_token_it_says_how_to_give_one(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.token = "hf_secret"
    with pytest.raises(PermissionError, match="someone/net without a token.*HF_TOKEN"):
        fetch(NET)
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(PermissionError, match="hf auth login"):
        fetch(NET)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    assert held(fetch(NET)) == ASKED_FOR


def test_files_go_where_comfyui_looks(hub: Hub, tmp_path: Path) -> None:
    entry = Download(
        "net", "", "MIT", TABLE, repository="someone/net",
        comfyui={"unet/weights.bin": "ipadapter/net.bin"},
    )  # fmt: skip
    folder = fetch(entry)
    with pytest.raises(FileNotFoundError, match="is no ComfyUI"):
        put_into_comfyui(entry, folder, tmp_path)
    (tmp_path / "models").mkdir()
    (copy,) = put_into_comfyui(entry, folder, tmp_path)
    assert copy == tmp_path / "models" / "ipadapter" / "net.bin" and not copy.is_symlink()
    assert copy.read_bytes() == WEIGHTS


def test_finefaces_files_for_two_bases_share_a_repository(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each becomes a file of its own, under the name that the workflows use."""
    for family in (SD15, SD21):
        write_published(tmp_path / "published", family)
    (tmp_path / "ComfyUI" / "models").mkdir(parents=True)
    files = {path.name: path.read_bytes() for path in (tmp_path / "published").iterdir()}
    hub.repositories["Tvaranka/fineface"] = files
    monkeypatch.setenv("AU_ADAPTER_CACHE", str(tmp_path / "cache"))
    for name, width, layers in (("fineface-sd15", 768, 0), ("fineface-sd21", 1024, 128)):
        arguments = ["download", name, "--comfyui", str(tmp_path / "ComfyUI")]
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 0, result.output
        file = name.replace("-", "_") + ".safetensors"
        adapter = load_adapter(tmp_path / "ComfyUI" / "models" / "au_adapter" / file)
        assert adapter.config.width == width and len(adapter.lora) == layers
    assert CliRunner().invoke(main, ["download", "fineface-sd15"]).exit_code == 0
    assert (tmp_path / "cache" / "fineface-sd15" / "fineface_sd15.safetensors").is_file()


def test_the_command_reads_mirror_token_and_cache_from_the_environment(
    hub: Hub, tmp_path: Path
) -> None:
    name = "ip-adapter-plus-face-sd15"
    entry = DOWNLOADS[name]
    hub.repositories[entry.repository] = dict.fromkeys(entry.files, WEIGHTS)
    hub.token = "hf_secret"
    (tmp_path / "ComfyUI" / "models").mkdir(parents=True)
    command = ["-m", "au_adapter", "download", name, "--comfyui", str(tmp_path / "ComfyUI")]
    environment = {**os.environ, "HF_HOME": str(tmp_path / "home")}

    def run(**more: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, *command], cwd=ROOT, env={**environment, **more},
            capture_output=True, text=True, timeout=300,
        )  # fmt: skip

    refused = run()
    assert refused.returncode and "Traceback" not in refused.stderr
    assert "HF_TOKEN" in refused.stderr and not list((tmp_path / "ComfyUI").rglob("*.safetensors"))
    done = run(HF_TOKEN="hf_secret")
    assert done.returncode == 0, done.stderr
    place = tmp_path / "ComfyUI/models/ipadapter/ip-adapter-plus-face_sd15.safetensors"
    assert place.read_bytes() == WEIGHTS and str(place) in done.stdout
    assert list((tmp_path / "home" / "hub").glob("models--h94--IP-Adapter/snapshots/*/models/*"))
