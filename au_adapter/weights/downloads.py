"""Downloads: source, licence, size and SHA-256 of every file, and how to fetch them.

Nothing is fetched unless `fetch` is called. A partial file is resumed. A file is kept only when its
SHA-256 matches the table or, where the table has none, the one that its publisher names.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import requests
from tqdm import tqdm

LOGGER = logging.getLogger("au_adapter")
CHUNK = 1 << 20
TIMEOUT = 30  # seconds without an answer
SHA256 = re.compile("[0-9a-f]{64}")
T = TypeVar("T")


@dataclass(frozen=True)
class Download:
    """A set of files to fetch, each from `files` + path.

    manifest: a JSON file in this folder, {path: [bytes, SHA-256]}; by default it has the download's
    name. A SHA-256 of null marks a file that this project has not seen: its size is approximate,
    and Hugging Face is asked for both before it is fetched.
    """

    name: str
    title: str
    licence: str
    source: str
    files: str
    manifest: str = ""

    def table(self) -> dict[str, tuple[int, str | None]]:
        """{path: (size in bytes, SHA-256 or None)} of every file."""
        manifest = self.manifest or f"{self.name.replace('-', '_')}.json"
        text = (Path(__file__).parent / manifest).read_text(encoding="utf-8")
        return {path: (size, digest) for path, (size, digest) in json.loads(text).items()}

    @property
    def pinned(self) -> bool:
        """Whether the table has every SHA-256."""
        return all(digest for _, digest in self.table().values())

    def size(self) -> int:
        """Bytes in total; approximate unless pinned."""
        return sum(size for size, _ in self.table().values())

    def description(self, files: bool = False) -> str:
        """Title, licence, size and source; with `files`, every file too."""
        table = self.table()
        about, hashes = ("", "--files") if self.pinned else ("about ", "as Hugging Face names it")
        lines = [
            f"{self.name}: {self.title}",
            f"  licence {self.licence}, {about}{self.size() / 1e6:.0f} MB in {len(table)} files "
            f"(their SHA-256: {hashes})",
            f"  from {self.source}",
        ]
        if files:
            unknown = "asked of Hugging Face before the file is fetched"
            lines += [
                f"  {digest or unknown:64} {size:9} {path}"
                for path, (size, digest) in table.items()
            ]
        return "\n".join(lines)


_ICT_COMMIT = "da5f95a607f5e6b37755b38d3385d7f2853732e5"
_FINEFACE = "https://huggingface.co/Tvaranka/fineface"
_MAGICFACE = "https://huggingface.co/mengtingwei/magicface"
_MEDIAPIPE = "https://storage.googleapis.com"

DOWNLOADS: dict[str, Download] = {
    entry.name: entry
    for entry in (
        Download(
            name="ict-facekit",
            title="ICT Face Model Light: a morphable head with FACS shapes (USC ICT, 2020)",
            licence="MIT",
            source=f"https://github.com/ICT-VGL/ICT-FaceKit/tree/{_ICT_COMMIT}",
            files=f"https://raw.githubusercontent.com/ICT-VGL/ICT-FaceKit/{_ICT_COMMIT}/",
        ),
        Download(
            name="face-landmarker",
            title="face landmarker: 478 points, 52 expression scores, head pose (Google, 2023)",
            licence="Apache-2.0",
            source="https://ai.google.dev/edge/mediapipe/solutions/vision/face_landmarker",
            files=f"{_MEDIAPIPE}/mediapipe-models/face_landmarker/face_landmarker/float16/1/",
        ),
        Download(
            name="full-range-face-detector",
            title="face detector for small faces, up to 5 m away (Google, 2021)",
            licence="Apache-2.0",
            source="https://ai.google.dev/edge/mediapipe/solutions/vision/face_detector",
            files=f"{_MEDIAPIPE}/mediapipe-assets/",
        ),
        Download(
            name="person-segmenter",
            title="selfie segmenter: the mask of the people in a picture (Google, 2023)",
            licence="Apache-2.0",
            source="https://ai.google.dev/edge/mediapipe/solutions/vision/image_segmenter",
            files=f"{_MEDIAPIPE}/mediapipe-models/image_segmenter/selfie_segmenter/float16/1/",
        ),
        Download(
            name="fineface-sd21",
            title="FineFace for Stable Diffusion 2.1: AU-Adapter, 12 AUs, LoRA (Varanka, 2024)",
            licence="Apache-2.0",
            source=f"{_FINEFACE}/tree/main",
            files=f"{_FINEFACE}/resolve/main/",
        ),
        Download(
            name="fineface-sd15",
            title="FineFace for Stable Diffusion 1.5: AU-Adapter, 12 AUs, no LoRA (Varanka, 2024)",
            licence="Apache-2.0",
            source=f"{_FINEFACE}/tree/main",
            files=f"{_FINEFACE}/resolve/main/",
        ),
        Download(
            name="magicface",
            title="MagicFace for photos: denoising UNet and ID encoder (Wei, 2025)",
            licence="Apache-2.0",
            source=f"{_MAGICFACE}/tree/main",
            files=f"{_MAGICFACE}/resolve/main/",
        ),
    )
}


def find_download(name: str) -> Download:
    """The download of this name. ValueError naming those that exist."""
    if name not in DOWNLOADS:
        raise ValueError(f"There is no download '{name}'; known are {', '.join(DOWNLOADS)}")
    return DOWNLOADS[name]


def cache_folder(name: str = "") -> Path:
    """Where downloads go: AU_ADAPTER_CACHE if set, else `.cache/au-adapter` in the user's home."""
    root = os.environ.get("AU_ADAPTER_CACHE") or Path.home() / ".cache" / "au-adapter"
    return Path(root) / name


def face_model() -> Path:
    """The packed ICT-FaceKit model, once it is downloaded; `au-adapter render` takes it."""
    return cache_folder("ict-facekit") / "ict_facekit_light.npz"


def fetch(download: Download, folder: str | Path | None = None) -> Path:
    """Fetch every missing file of a download and return its folder.

    Raises ConnectionError, which says how to copy the files by hand, when the source does not
    answer, and ValueError when a file is not the one in the table.
    """
    folder = Path(folder) if folder else cache_folder(download.name)
    table = {
        path: facts if facts[1] else _reached(download, path, folder, _named_by_publisher)
        for path, facts in download.table().items()
    }  # a SHA-256 in all of them
    missing = {path: facts for path, facts in table.items() if not _complete(folder / path, facts)}
    total = sum(size for size, _ in table.values())
    with tqdm(total=total, unit="B", unit_scale=True, desc=download.name) as progress:
        progress.update(total - sum(size for size, _ in missing.values()))
        for path, facts in missing.items():
            _reached(download, path, folder, _fetch_file, folder / path, facts, progress)
    LOGGER.info("%s is complete in %s", download.name, folder)
    return folder


def by_hand(download: Download, folder: str | Path | None = None) -> str:
    """Addresses and target paths of every file, for a machine without a network."""
    folder = Path(folder) if folder else cache_folder(download.name)
    return "\n".join(
        f"  {download.files}{path}\n    -> {folder / path}" for path in download.table()
    )


def sha256(path: str | Path) -> str:
    """The SHA-256 of a file in hexadecimal."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _complete(path: Path, facts: tuple[int, str]) -> bool:
    size, digest = facts
    return path.is_file() and path.stat().st_size == size and sha256(path) == digest


def _reached(
    download: Download, path: str, folder: Path, ask: Callable[..., T], *arguments: object
) -> T:
    """Call `ask` with a file's address; ConnectionError that says what to do when it fails."""
    try:
        return ask(download.files + path, *arguments)
    except requests.RequestException as error:
        raise ConnectionError(_offline(download, path, folder, error)) from error


def _named_by_publisher(url: str) -> tuple[int, str]:
    """Size and SHA-256 from the headers with which Hugging Face redirects to its storage."""
    answer = requests.head(url, allow_redirects=True, timeout=TIMEOUT)
    for hop in (*answer.history, answer):
        digest = hop.headers.get("X-Linked-Etag", "").strip('"')
        if SHA256.fullmatch(digest):
            return int(hop.headers["X-Linked-Size"]), digest
    answer.raise_for_status()
    raise ValueError(
        f"{url} is offered without a SHA-256, so nothing could tell whether it arrived whole; "
        "fetch it by hand (--manual says how)"
    )


def _fetch_file(url: str, path: Path, facts: tuple[int, str], progress: tqdm) -> None:
    partial = path.with_name(path.name + ".part")
    path.parent.mkdir(parents=True, exist_ok=True)
    _append(url, partial, progress)
    if not _complete(partial, facts):
        found = f"{partial.stat().st_size} bytes, SHA-256 {sha256(partial)}"
        partial.unlink()
        raise ValueError(
            f"{url} is not the file expected ({facts[0]} bytes, SHA-256 {facts[1]}) but {found}; "
            "it was thrown away. Try again; if that does not help, report it"
        )
    os.replace(partial, path)


def _append(url: str, partial: Path, progress: tqdm) -> None:
    """Resume a partial file, or start over where the server sends the whole."""
    start = partial.stat().st_size if partial.is_file() else 0
    headers = {"Range": f"bytes={start}-"} if start else {}
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as answer:
        if answer.status_code == requests.codes.requested_range_not_satisfiable:
            return  # nothing left to fetch; the hash decides
        answer.raise_for_status()
        resumed = answer.status_code == requests.codes.partial_content
        progress.update(start if resumed else 0)
        with partial.open("ab" if resumed else "wb") as file:
            for chunk in answer.iter_content(CHUNK):
                file.write(chunk)
                progress.update(len(chunk))


def _offline(download: Download, path: str, folder: Path, error: requests.RequestException) -> str:
    answered = error.response is not None
    reason = f"HTTP {error.response.status_code}" if answered else type(error).__name__
    return (
        f"{download.files}{path} could not be fetched ({reason}). What came so far is kept, so try "
        f"again later. Without a network: get {download.source} on another machine, copy "
        f"its files into {folder} so that {folder / path} exists, and run this once more"
        + ("" if download.pinned else " (or use them as they are)")
        + f". `au-adapter download {download.name} --manual` lists every file"
    )
