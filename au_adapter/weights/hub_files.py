"""Files of the Hugging Face hub, by huggingface-hub: its tokens, its mirrors (HF_ENDPOINT), its
resuming, and its cache, which all programs share.

Every file is checked against the hash that the table or the hub names: the SHA-256 of large files,
git's SHA-1 of small ones.
"""

from __future__ import annotations

import hashlib
import inspect
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any

from .web_files import hash_file, sha256


class Endless(Exception):
    """A server sends more than the file has."""


def folder_of(repository: str) -> Path | None:
    """Where the shared cache keeps a repository; None for none."""
    if not repository:
        return None
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE) / f"models--{repository.replace('/', '--')}"


def fetch_from_hub(
    repository: str, files: Mapping[str, tuple[int, str | None]], folder: Path | None
) -> Path:
    """Fetch files {path or pattern of paths: (bytes, SHA-256)} of a repository; the folder that
    holds them: `folder`, or the repository's in the shared cache.

    ConnectionError when the hub does not answer, PermissionError when it asks for a token, and
    ValueError when a file is another one or has no hash; such a file is removed.
    """
    from huggingface_hub import HfApi

    with _explained(repository):
        info = HfApi().model_info(repository, files_metadata=True)
        found = folder
        for entry, digest in _chosen(info.siblings or [], files, repository):
            path = _fetch_file(repository, info.sha, entry, folder)
            _check(path, entry, digest, repository)
            found = folder or path.parents[len(PurePosixPath(entry.rfilename).parts) - 1]
        return found


def _chosen(
    siblings: list[Any], files: Mapping[str, tuple[int, str | None]], repository: str
) -> list[tuple[Any, str | None]]:
    """The repository's files that the table asks for, each once, with the table's SHA-256."""
    chosen = {}
    for pattern, (_, digest) in files.items():
        fitting = (s for s in siblings if fnmatchcase(s.rfilename, pattern))
        here = [s for s in fitting if s.rfilename.count("/") == pattern.count("/")]
        if not here:
            raise ValueError(f"{repository} on the hub has no file {pattern}: its layout is new")
        chosen |= {s.rfilename: (s, digest) for s in here}
    for entry, _ in chosen.values():
        path = PurePosixPath(entry.rfilename)
        if path.is_absolute() or ".." in path.parts or "\\" in entry.rfilename:
            raise ValueError(f"{repository} has a file {entry.rfilename!r}, outside its folder")
        if entry.size is None or not (entry.lfs or entry.blob_id):
            raise ValueError(
                f"{entry.rfilename} of {repository} is offered without a size and a hash, so "
                "nothing could tell whether it arrived whole; fetch it by hand (--manual says how)"
            )
    return list(chosen.values())


def _fetch_file(repository: str, revision: str, entry: Any, folder: Path | None) -> Path:
    from huggingface_hub import hf_hub_download

    options = {"revision": revision, "local_dir": folder}
    if "tqdm_class" in inspect.signature(hf_hub_download).parameters:  # not before version 1
        options["tqdm_class"] = _bounded(entry.size)
    try:
        return Path(hf_hub_download(repository, entry.rfilename, **options))
    except Endless as error:
        raise ValueError(
            f"{entry.rfilename} of {repository} has {entry.size} bytes, and the server sends more: "
            "it was thrown away. Try again; if that does not help, try without HF_ENDPOINT"
        ) from error


def _bounded(size: int) -> type:
    """A progress bar that ends a download by HTTP beyond `size` bytes: the library itself reads on.

    Xet's downloads end by themselves, and their bars also count what travels besides the file.
    """
    from huggingface_hub.utils import tqdm

    class Bounded(tqdm):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            self.by_http = options.get("name") == "huggingface_hub.http_get"
            self.received = options.get("initial") or 0
            super().__init__(*arguments, **options)

        def update(self, n: float | None = 1) -> bool | None:
            self.received += n or 0
            if self.by_http and self.received > size:
                raise Endless
            return super().update(n)

    return Bounded


def _check(path: Path, entry: Any, digest: str | None, repository: str) -> None:
    """ValueError for another file than named, which is removed also from the cache."""
    if entry.lfs or digest:
        expected, found = digest or entry.lfs.sha256, sha256(path)
    else:
        # Git's name of a file's content: the SHA-1 of its size and bytes.
        start = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
        expected, found = entry.blob_id, hash_file(path, start)
    if found != expected:
        size = path.stat().st_size
        path.resolve().unlink()
        path.unlink(missing_ok=True)
        raise ValueError(
            f"{entry.rfilename} of {repository} is not the file expected ({entry.size} bytes, hash "
            f"{expected}) but {size} bytes with hash {found}; it was thrown away. Try again; if "
            "that does not help, report it"
        )


@contextmanager
def _explained(repository: str) -> Iterator[None]:
    """Turn the library's errors into ConnectionError and PermissionError with a reason."""
    from huggingface_hub import errors

    # The root of the errors of the HTTP library, which is another one in each version of the hub's.
    network = [kind for kind in errors.HfHubHTTPError.__mro__ if kind.__module__ != "builtins"][-1]
    try:
        yield
    except (network, errors.LocalEntryNotFoundError, errors.FileMetadataError) as error:
        answer = getattr(error, "response", None)
        status = getattr(answer, "status_code", None)
        where = os.environ.get("HF_ENDPOINT") or "huggingface.co"
        if status in (401, 403):
            raise PermissionError(
                f"{where} does not hand out {repository} without a token that may read it: accept "
                "the terms on its page, then set HF_TOKEN or run `hf auth login`"
            ) from error
        reason = f"HTTP {status}" if status else f"{type(error).__name__}: {error}"
        raise ConnectionError(f"{where}, {repository}: {reason}") from error
    except errors.OfflineModeIsEnabled as error:
        raise ConnectionError(f"HF_HUB_OFFLINE is set, {repository} is not asked for") from error
    except OSError as error:
        if "consistency check" not in str(error).lower():
            raise
        raise ConnectionError(f"{repository}: the file ended early") from error
