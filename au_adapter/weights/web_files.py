"""Files of known size and SHA-256 from plain web servers. A file that was cut off is resumed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import requests
from tqdm import tqdm

CHUNK = 1 << 20
TIMEOUT = 30  # seconds without an answer


def sha256(path: str | Path) -> str:
    """The SHA-256 of a file in hexadecimal."""
    return hash_file(Path(path), hashlib.sha256())


def hash_file(path: Path, digest: Any) -> str:
    """The hexadecimal digits of a hash of hashlib's that takes in a file's content."""
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def fetch_from_web(
    address: str, files: Mapping[str, tuple[int, str | None]], folder: Path, title: str
) -> None:
    """Fetch what is missing of files {path: (bytes, SHA-256)} from `address` + path into a folder.

    ConnectionError when a server does not answer or ends early, ValueError when a file is another
    one; such a file is removed.
    """
    missing = {p: facts for p, facts in files.items() if not _is_whole(folder / p, *facts)}
    total = sum(size for size, _ in files.values())
    with tqdm(total=total, unit="B", unit_scale=True, desc=title) as progress:
        progress.update(total - sum(size for size, _ in missing.values()))
        for path, (size, digest) in missing.items():
            partial = folder / f"{path}.part"
            partial.parent.mkdir(parents=True, exist_ok=True)
            try:
                _append(address + path, partial, size, progress)
            except requests.RequestException as error:
                answer = error.response
                reason = type(error).__name__ if answer is None else f"HTTP {answer.status_code}"
                raise ConnectionError(f"{address}{path}: {reason}") from error
            found = partial.stat().st_size
            if found < size:
                raise ConnectionError(f"{address}{path} ended after {found} of {size} bytes")
            if not _is_whole(partial, size, digest):
                about = "more" if found > size else f"{found} bytes, SHA-256 {sha256(partial)}"
                partial.unlink()
                raise ValueError(
                    f"{address}{path} is not the file expected ({size} bytes, SHA-256 {digest}) "
                    f"but {about}; it was thrown away. Try again; if that does not help, report it"
                )
            os.replace(partial, folder / path)


def _is_whole(path: Path, size: int, digest: str | None) -> bool:
    return path.is_file() and path.stat().st_size == size and sha256(path) == digest


def _append(url: str, partial: Path, size: int, progress: tqdm) -> None:
    """Resume a partial file, or start over where the server sends the whole. It ends at the first
    byte beyond `size`, whatever the server goes on to send."""
    start = partial.stat().st_size if partial.is_file() else 0
    if start >= size:
        return  # the hash decides
    headers = {"Range": f"bytes={start}-"} if start else {}
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as answer:
        answer.raise_for_status()
        resumed = answer.status_code == requests.codes.partial_content
        start = start if resumed else 0
        progress.update(start)
        with partial.open("ab" if resumed else "wb") as file:
            for chunk in answer.iter_content(CHUNK):
                written = file.write(chunk[: size + 1 - start])
                progress.update(written)
                start += written
                if start > size:
                    return
