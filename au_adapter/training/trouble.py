"""What ends a training through no fault of the program: said in a sentence, with what to do."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn

from .recipe import Report, Validate

# How PyTorch's and safetensors' writers, which know no errno, say that a file could not be written.
FULL_DISK = ("no space left", "pytorchstreamwriter failed", "unexpected pos")
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
    try:
        yield
    except CheckMemoryError:  # knows better what to lower
        raise
    except (OSError, RuntimeError, MemoryError, SafetensorError) as error:
        if is_full_disk(error):
            raise OSError(
                f"the disk of {output} is full. What was saved before is whole: make room and run "
                "this again, it goes on from there",
            ) from error
        if is_out_of_memory(error):
            raise MemoryError(
                f"the memory is used up. What was saved before is whole: {LOWER}, and run this "
                f"again; it goes on from there ({output})"
            ) from error
        raise


def checked(validate: Validate, output: Path, report: Report) -> Validate:
    """The same check, which reports that it begins; no memory left in it is a CheckMemoryError that
    says what to do."""

    def check(module: nn.Module, folder: Path) -> dict[str, Any]:
        report({"event": "check"})
        try:
            return validate(module, folder)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            raise CheckMemoryError(
                f"the memory is used up, in a check. What was saved before is whole: "
                f"{LOWER_A_CHECK}, and run this again; it goes on from there ({output})"
            ) from error

    return check


def is_full_disk(error: BaseException) -> bool:
    """Whether a file could not be written for want of room."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    return any(words in str(error).lower() for words in FULL_DISK)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory, of the machine or its GPU, was refused."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(w in str(error).lower() for w in NO_MEMORY)
