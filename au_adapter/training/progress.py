"""The events of a run, which `--progress json` prints as lines of JSON.

{"event": "data", "folder", "faces", "steps", ...}   the data card of each source of faces
{"event": "waiting"}                            another run is still at work in the folder
{"event": "start", "step", "steps"}             step: where the run resumes, 0 for a new one
{"event": "step", "step", "loss", "seconds"}    after each step
{"event": "check"}                              validation begins, which may take minutes
{"event": "validation", "step", "pictures", "best", "au_error", "response", ...}
{"event": "saved", "step", "folder"}
{"event": "end", "step", "result"}              also after a stop, at an earlier step
{"event": "error", "kind", "message"}           the last line of a failed run; its exception
"""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
from collections.abc import Mapping
from typing import Any

GONE = (errno.EPIPE, errno.EINVAL)  # nobody reads the pipe, on POSIX and on Windows


def print_line(event: Mapping[str, Any]) -> None:
    """Write the event as a line to standard output.

    When nobody reads the pipe any more, the program that started the run has ended: the run is
    asked to stop, and saves.
    """
    try:
        sys.stdout.write(json.dumps(event) + "\n")
        sys.stdout.flush()
    except OSError as error:
        if error.errno not in GONE:
            raise
        # Python flushes standard output again on exit, which must not fail too.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        signal.raise_signal(signal.SIGTERM)


def quiet(event: Mapping[str, Any]) -> None:
    """Ignore the event."""


REPORTS = {"text": quiet, "json": print_line}  # with text, the log tells the progress
