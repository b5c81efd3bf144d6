"""Downloads: licence, source, size and SHA-256 of every file in `downloads.json`, and how to fetch
them. Nothing is fetched unless `fetch` is called."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..disk import full_disk_said, replacing
from .hub_files import fetch_from_hub, folder_of
from .web_files import fetch_from_web, sha256

__all__ = [
    "DOWNLOADS", "Download", "by_hand", "cache_folder", "face_model", "fetch", "find_download",
    "put_into_comfyui", "sha256",
]  # fmt: skip

LOGGER = logging.getLogger("au_adapter")
TABLES = Path(__file__).parent
HUB = "https://huggingface.co"


@dataclass(frozen=True)
class Download:
    """A set of files to fetch.

    source: its page. repository: owner/name on the Hugging Face hub; without one, each file comes
    from `address` + path. files: path, or pattern of paths in a repository -> (bytes, SHA-256).
    A file without a SHA-256 has an approximate size, and is checked against the hash that the hub
    names. comfyui: path -> where ComfyUI's nodes look for the file, below its folder models.
    """

    name: str
    title: str
    licence: str
    files: Mapping[str, tuple[int, str | None]]
    source: str = ""
    address: str = ""
    repository: str = ""
    comfyui: Mapping[str, str] = field(default_factory=dict)

    @property
    def page(self) -> str:
        return self.source or f"{HUB}/{self.repository}/tree/main"

    @property
    def pinned(self) -> bool:
        """Whether the table has every SHA-256."""
        return all(digest for _, digest in self.files.values())

    def size(self) -> int:
        """Bytes in total; approximate unless pinned."""
        return sum(size for size, _ in self.files.values())

    def description(self, files: bool = False) -> str:
        """Title, licence, size and page; with `files`, every file too."""
        about, hashes = ("", "--files") if self.pinned else ("about ", "as Hugging Face names it")
        lines = [
            f"{self.name}: {self.title}",
            f"  licence {self.licence}, {about}{self.size() / 1e6:.0f} MB in {len(self.files)} "
            f"files (their SHA-256: {hashes})",
            f"  from {self.page}",
        ]
        if files:
            unknown = "asked of Hugging Face before the file is fetched"
            rows = self.files.items()
            lines += [f"  {digest or unknown:64} {size:9} {path}" for path, (size, digest) in rows]
        return "\n".join(lines)


def _read(name: str) -> dict:
    return json.loads((TABLES / name).read_text(encoding="utf-8"))


def _download(name: str, entry: dict) -> Download:
    files = entry.pop("files")
    files = _read(files) if isinstance(files, str) else files  # a table of its own
    return Download(name, files={path: tuple(facts) for path, facts in files.items()}, **entry)


DOWNLOADS: dict[str, Download] = {
    name: _download(name, entry) for name, entry in _read("downloads.json")["downloads"].items()
}


def find_download(name: str) -> Download:
    """The download of this name. ValueError naming those that exist."""
    if name not in DOWNLOADS:
        raise ValueError(f"There is no download '{name}'; known are {', '.join(DOWNLOADS)}")
    return DOWNLOADS[name]


def cache_folder(name: str = "") -> Path:
    """Where what is no hub's file goes: AU_ADAPTER_CACHE, else `~/.cache/au-adapter`."""
    root = os.environ.get("AU_ADAPTER_CACHE") or Path.home() / ".cache" / "au-adapter"
    return Path(root) / name


def face_model() -> Path:
    """The packed ICT-FaceKit model, once it is downloaded; `au-adapter render` takes it."""
    return cache_folder("ict-facekit") / "ict_facekit_light.npz"


def fetch(download: Download, folder: str | Path | None = None) -> Path:
    """Fetch every missing file of a download and return the folder that holds them.

    folder: by default the Hugging Face cache, which all programs share, or `cache_folder`. Raises
    ConnectionError, which says how to copy the files by hand, when the source does not answer;
    PermissionError when the hub asks for a token; ValueError when a file is not the one in the
    table; OSError when the disk is full.
    """
    folder = Path(folder) if folder else None
    try:
        with full_disk_said(folder or cache_folder()):
            if download.repository:
                found = fetch_from_hub(download.repository, download.files, folder)
            else:
                found = folder or cache_folder(download.name)
                fetch_from_web(download.address, download.files, found, download.name)
    except ConnectionError as error:
        place = folder or folder_of(download.repository) or cache_folder(download.name)
        raise ConnectionError(
            f"{download.name} could not be fetched: {error}. Whole files are kept, so try again "
            f"later. Without a network: get {download.page} on another machine and use its files "
            f"from there, or copy them into {place}. `au-adapter download {download.name} "
            "--manual` lists every file"
        ) from error
    LOGGER.info("%s is complete in %s", download.name, found)
    return found


def by_hand(download: Download, folder: str | Path | None = None) -> str:
    """Addresses and target paths of every file, for a machine without a network."""
    folder = Path(folder) if folder else cache_folder(download.name)
    address = download.address or f"{HUB}/{download.repository}/resolve/main/"
    lines = []
    for path in download.files:
        pattern = f"  every {path} of {download.page}"
        lines += [pattern if "*" in path else f"  {address}{path}", f"    -> {folder / path}"]
    return "\n".join(lines)


def put_into_comfyui(download: Download, folder: Path, comfyui: Path) -> list[Path]:
    """Copy fetched files from `folder` to where ComfyUI's nodes look for them; the copies' paths.

    comfyui: ComfyUI's folder. FileNotFoundError where it has no folder models.
    """
    models = comfyui / "models"
    if not models.is_dir():
        raise FileNotFoundError(f"{comfyui} is no ComfyUI: it has no folder models")
    copies = []
    for path, place in download.comfyui.items():
        copies.append(models / place)
        copies[-1].parent.mkdir(parents=True, exist_ok=True)
        with full_disk_said(models), replacing(copies[-1]) as partial:
            shutil.copyfile(folder / path, partial)
    return copies
