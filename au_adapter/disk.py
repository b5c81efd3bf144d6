"""Files that are there whole or not at all; what a full disk and a damaged file mean."""

from __future__ import annotations

import errno
import glob
import json
import os
import pickle
import platform
import struct
import time
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

# How PyTorch's and safetensors' writers, which know no errno, say that a file could not be written.
FULL = (
    *("no space left", "quota exceeded", "file too large"),
    *("pytorchstreamwriter failed", "unexpected pos", "iostream error"),
)
# What readers raise where a file does not hold what they expect. Exhausted memory is none of it.
_DAMAGE = (
    *(ValueError, TypeError, LookupError, AttributeError, EOFError, ArithmeticError),
    *(AssertionError, RuntimeError, OSError, SafetensorError, pickle.UnpicklingError),
    *(struct.error, zlib.error, zipfile.BadZipFile),
)
NO_MEMORY = ("can't allocate memory", "not enough memory", "out of memory")  # PyTorch's words
LONGEST_NAME = 200  # bytes of a name, to which numbers and endings are added
DAY = 24 * 3600  # seconds after which nobody writes an unfinished file any more


class FullDiskError(OSError):
    """A file that could not be written for want of room, in words that say what to do."""

    def __init__(self, text: str):
        super().__init__(text)
        self.errno = errno.ENOSPC


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file to write, which takes the place of `path` once all is written.

    Its name says that it is unfinished and which process of which machine writes it, so that two
    writers of the same file do not meet. Whatever ends the writing, it does not stay; what a
    killed process left of the same file is removed. FullDiskError where there is no room.
    """
    path = Path(path)
    partial = path.with_name(f".{path.name}.{platform.node()}.{os.getpid()}.partial")
    remove_abandoned(path.parent, path.name)
    try:
        yield partial
        os.replace(partial, path)
    except (OSError, RuntimeError, SafetensorError) as error:
        if isinstance(error, FullDiskError) or not is_full_disk(error):
            raise
        raise FullDiskError(
            f"{path} could not be written: the disk is full, or your share of it ({error}). Nothing"
            " half-written stays. Make room and run this again"
        ) from error
    finally:
        partial.unlink(missing_ok=True)


def remove_abandoned(folder: Path, name: str = "") -> None:
    """Remove what killed processes left of the file `name` in a folder, by default of all files."""
    for partial in folder.glob(f".{glob.escape(name) or '*'}.*.partial"):
        if _is_abandoned(partial):
            partial.unlink(missing_ok=True)


def path_inside(folder: Path, name: str, title: str) -> Path:
    """The path of a name that somebody chose, such as people/anna, inside a folder. ValueError for
    one that leads out of it, is hidden, or that no disk takes. title: of the folder, for people."""
    parts = Path(name).parts
    hidden = any(part.startswith(".") for part in parts if part not in (".", ".."))
    long = any(len(part.encode(errors="replace")) > LONGEST_NAME for part in parts)
    root = folder.resolve()
    if name.strip() and name.isprintable() and not hidden and not long:
        place = (root / name.strip()).resolve()
        if root in place.parents:
            return place
    raise ValueError(
        f"{name[:80]!r} is not a name inside {title}; write a file name without ending, of at most "
        f"{LONGEST_NAME} letters and not hidden, such as my_adapter or people/anna."
    )


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    with replacing(path) as partial:
        partial.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write text in UTF-8 whole or not at all."""
    write_bytes(path, text.encode())


def write_json(path: Path, content: object) -> None:
    """Write JSON whole or not at all."""
    write_text(path, json.dumps(content, indent=1))


def read_json(path: Path) -> Any:
    """The content of a JSON file. ValueError naming the file where it holds none."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged: no JSON in UTF-8 ({error}). Delete it") from error


@contextmanager
def damage_named(
    path: str | Path,
    advice: str = "Copy it again, or make it anew",
    also: tuple[type[Exception], ...] = (),
) -> Iterator[None]:
    """Turn whatever reading a damaged file raises into a ValueError that names the file; an error
    that names it already stays as it is. also: what else a reader raises."""
    try:
        yield
    except (*_DAMAGE, *also) as error:
        text = str(error)
        said = isinstance(error, (ValueError, RuntimeError, OSError)) and str(path) in text
        if said or is_full_disk(error) or any(words in text.lower() for words in NO_MEMORY):
            raise
        why = f"{type(error).__name__}: {text[:200]}"
        raise ValueError(f"{path} is damaged, or another kind of file ({why}). {advice}") from error


@contextmanager
def full_disk_said(output: Path) -> Iterator[None]:
    """Turn a full disk or quota into a FullDiskError that says what to do, of work that goes on."""
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:
        if not is_full_disk(error):
            raise
        raise FullDiskError(
            f"the disk of {output} is full, or your share of it. What was written before is whole: "
            "make room and run this again, it goes on from there"
        ) from error


def is_full_disk(error: BaseException) -> bool:
    """Whether a file could not be written for want of room."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    return any(words in str(error).lower() for words in FULL)


def _is_abandoned(partial: Path) -> bool:
    """Whether the process that wrote an unfinished file is gone. Windows cannot tell without
    sending it a signal, and nobody can of another machine's: there its age tells."""
    try:
        old = time.time() - partial.lstat().st_mtime > DAY
    except FileNotFoundError:  # its writer has just finished
        return False
    node, _, process = partial.name.removesuffix(".partial").rpartition(".")
    if old or os.name == "nt" or not node.endswith(f".{platform.node()}") or not process.isdigit():
        return old
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):  # somebody else's; no process's number
        return False
    return False
