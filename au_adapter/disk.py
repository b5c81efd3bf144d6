"""Files that are there whole or not at all, and what a full disk means."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

# How PyTorch's and safetensors' writers, which know no errno, say that a file could not be written.
FULL = ("no space left", "quota exceeded", "pytorchstreamwriter failed", "unexpected pos")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file to write, which takes the place of `path` once all is written.

    Its name says that it is unfinished, and whose it is: processes that write the same do not meet.
    Whatever ends the writing, it does not stay.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def full_disk_said(output: Path) -> Iterator[None]:
    """Turn a full disk or quota into an OSError that says what to do, for work that goes on."""
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:
        if not is_full_disk(error):
            raise
        raise OSError(
            f"the disk of {output} is full, or your share of it. What was written before is whole: "
            "make room and run this again, it goes on from there"
        ) from error


def is_full_disk(error: BaseException) -> bool:
    """Whether a file could not be written for want of room."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    return any(words in str(error).lower() for words in FULL)
