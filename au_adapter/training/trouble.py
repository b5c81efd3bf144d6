"""What ends a training through no fault of the program: said in a sentence, with what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..disk import full_disk_said
from .recipe import Report, Validate

# How PyTorch says it on a processor, and its helpers on a GPU.
NO_MEMORY = ("can't allocate memory", "not enough memory", "out of memory")
LOWER = (
    "lower batch_size, raise accumulation, switch gradient_checkpointing on, or choose "
    "mixed_precision=bf16"
)
# A check is no step: it draws several faces at once, whatever batch_size is.
LOWER_A_CHECK = (
    "set validate_every=0, or learn fewer units, of which fewer faces are held in memory (another "
    "batch_size changes nothing there)"
)


class CheckMemoryError(MemoryError):
    """The memory ran out while a check drew faces and read them."""


@contextmanager
def explained(output: Path) -> Iterator[None]:
    """Turn a full disk into an OSError, and no memory left into a MemoryError, that say what to do.

    output: the folder of the run, which keeps what was saved last.
    """
    no_memory = MemoryError(
        f"the memory is used up. What was saved before is whole: {LOWER}, and run this again; it "
        f"goes on from there ({output})"
    )
    with full_disk_said(output), _no_memory_said(no_memory):
        yield


@contextmanager
def _no_memory_said(said: MemoryError) -> Iterator[None]:
    """Raise what says what to do in place of what says that memory was refused."""
    try:
        yield
    except CheckMemoryError:  # knows better what to lower
        raise
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise said from error


def checked(validate: Validate, output: Path, report: Report) -> Validate:
    """The same check, which reports that it begins; no memory left in it is a CheckMemoryError that
    says what to do."""

    def check(module: nn.Module, folder: Path) -> dict[str, Any]:
        report({"event": "check"})
        no_memory = CheckMemoryError(
            f"the memory is used up, in a check. What was saved before is whole: {LOWER_A_CHECK}, "
            f"and run this again; it goes on from there ({output})"
        )
        with _no_memory_said(no_memory):
            return validate(module, folder)

    return check


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory, of the machine or its GPU, was refused."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(w in str(error).lower() for w in NO_MEMORY)
