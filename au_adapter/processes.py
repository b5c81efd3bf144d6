"""The processes that accelerate launched together, and how they part."""

from __future__ import annotations

import atexit
import gc

from accelerate import PartialState
from accelerate.utils import parse_flag_from_env
from torch import distributed


def launched_processes() -> PartialState:
    """All processes of a run, as accelerate's Accelerator sees them: it reads the same variable.

    They part when Python ends: a thread of the connection that still ran would abort the process,
    and a run that did all its work would be taken for a failed one.
    """
    state = PartialState(cpu=parse_flag_from_env("ACCELERATE_USE_CPU"))
    atexit.unregister(_part)
    atexit.register(_part)
    return state


def _part() -> None:
    if distributed.is_available() and distributed.is_initialized():
        gc.collect()  # trained modules keep the connection, and themselves in circles
        distributed.destroy_process_group()
