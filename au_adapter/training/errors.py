"""A full disk and exhausted memory, reported in a sentence that says what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..disk import NO_MEMORY, full_disk_said
from .recipe import Report, Validate

LOWER = (
    "lower batch_size, raise accumulation, switch gradient_checkpointing on, or choose "
    "mixed_precision=bf16"
)
# A validation draws several faces at once, whatever batch_size is.
LOWER_VALIDATION = (
    "set validate_every=0, or learn fewer units, of which fewer faces are held in memory (another "
    "batch_size changes nothing there)"
)


class CheckMemoryError(MemoryError):
    """The memory ran out during validation."""


@contextmanager
def explained(output: Path) -> Iterator[None]:
    """Turn a full disk into an OSError, and exhausted memory into a MemoryError, that say what to
    do. output: the folder of the run, which keeps what was saved last."""
    with full_disk_said(output), _memory_said(MemoryError, "", LOWER, output):
        yield


def checked(validate: Validate, output: Path, report: Report) -> Validate:
    """The same validation, which reports its start and raises exhausted memory as a
    CheckMemoryError that says what to do."""

    def check(module: nn.Module, folder: Path) -> dict[str, Any]:
        report({"event": "check"})
        with _memory_said(CheckMemoryError, ", in a check", LOWER_VALIDATION, output):
            return validate(module, folder)

    return check


@contextmanager
def _memory_said(kind: type, where: str, lower: str, output: Path) -> Iterator[None]:
    """Raise an error of the kind in place of any that means that memory was refused."""
    try:
        yield
    except CheckMemoryError:  # clear already
        raise
    except (RuntimeError, MemoryError) as error:
        refused = isinstance(error, (MemoryError, torch.OutOfMemoryError))
        if refused or any(words in str(error).lower() for words in NO_MEMORY):
            raise kind(
                f"the memory is used up{where}. What was saved before is whole: {lower}, and run "
                f"this again; it goes on from there ({output})"
            ) from error
        raise
