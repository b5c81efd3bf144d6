"""What a run says while it trains, as lines of JSON for whoever started it.

{"event": "data", "folder", "faces", "steps", ...}   of the data card, for each source of faces
{"event": "waiting"}                            another run is still at work in the folder
{"event": "start", "step", "steps"}             step: where it goes on, 0 at first
{"event": "step", "step", "loss", "seconds"}    after each step; of the step alone
{"event": "check"}                              faces are drawn and read, which may take minutes
{"event": "validation", "step", "pictures", "best", "au_error", "response", ...}
{"event": "saved", "step", "folder"}
{"event": "end", "step", "result"}              also after a stop: the step tells
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

GONE = (errno.EPIPE, errno.EINVAL)  # how systems, and Windows, say that nobody reads a pipe


class JSONLines:
    """Writes each event as a line to standard output.

    When nobody reads them any more, whoever started the run is gone: it is asked to stop, which
    saves it.
    """

    def __call__(self, event: Mapping[str, Any]) -> None:
        try:
            sys.stdout.write(json.dumps(event) + "\n")
            sys.stdout.flush()
        except OSError as error:
            if error.errno not in GONE:
                raise
            # Python writes once more when it ends, which must not fail as well.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            signal.raise_signal(signal.SIGTERM)


def quiet(event: Mapping[str, Any]) -> None:
    """Nobody listens."""


REPORTS = {"text": quiet, "json": JSONLines()}  # text: the log says what happens
