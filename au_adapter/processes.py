"""The processes that accelerate launched together, and how they disconnect."""

from __future__ import annotations

import atexit
import gc

from accelerate import PartialState
from accelerate.utils import parse_flag_from_env
from torch import distributed


def launched_processes() -> PartialState:
    """All processes of a run, as accelerate's Accelerator sees them.

    They disconnect when Python exits: a connection thread that is still running would abort the
    process, and a finished run would count as failed.
    """
    state = PartialState(cpu=parse_flag_from_env("ACCELERATE_USE_CPU"))
    atexit.unregister(_disconnect)
    atexit.register(_disconnect)
    return state


def _disconnect() -> None:
    if distributed.is_available() and distributed.is_initialized():
        gc.collect()  # trained modules, in reference cycles, hold the connection
        distributed.destroy_process_group()
