"""`au-adapter train` as a process of its own, followed from another program.

What happens to it, out of memory or a crash, happens to nobody else. Needs nothing that a training
needs: the program that follows has no use for it.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

logger = logging.getLogger("au_adapter")
ROOT = Path(__file__).resolve().parents[2]
# As `python -m au_adapter train`, of this copy of the library. The Python of ComfyUI's portable
# version for Windows heeds neither PYTHONPATH nor the folder it is started in.
START = (
    "import runpy, sys; sys.path.insert(0, sys.argv.pop(1)); "
    "runpy.run_module(sys.argv.pop(1), run_name='__main__', alter_sys=True)"
)
COMMAND = (sys.executable, "-c", START, str(ROOT), "au_adapter", "train")
LOG = "training.log"
LOCK = ".lock"  # held by the run that works in the folder
LOOK = 0.1  # seconds without an event after which the follower gets the word
LAST_LINES = 5
KILLED = (-9, 128 + 9)  # by the system, as POSIX and shells count it


class TrainingError(RuntimeError):
    """A training that failed; the text says why, `kind` is the name of its exception or "killed".

    Killed is what the system does to a process, mostly for want of memory. checking: in the middle
    of a check, which draws faces, not of a step.
    """

    def __init__(self, text: str, kind: str, checking: bool = False):
        super().__init__(text)
        self.kind, self.checking = kind, checking


class Training:
    """A training in another process; as a context manager, which asks it to stop where its user
    ends early. It saves then, on its own time.

    arguments: of `au-adapter train`, without --output and --progress. output: the folder of the
    run, where what it writes for people is kept in training.log. environment: variables in addition
    to this process's.
    """

    def __init__(
        self, arguments: Sequence[str], output: Path, environment: Mapping[str, str] | None = None
    ):
        self.output = Path(output)
        self.output.mkdir(parents=True, exist_ok=True)
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._stopped = self._checking = False
        with (self.output / LOG).open("ab") as log:
            self._log_start = log.tell()
            self.process = subprocess.Popen(
                [*COMMAND, *arguments, "--output", str(self.output), "--progress", "json"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                encoding="utf-8",
                errors="replace",
                env=_environment(environment or {}),
                creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
            )
        threading.Thread(target=self._listen, daemon=True).start()

    def __enter__(self) -> Training:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def events(self) -> Iterator[Mapping[str, Any] | None]:
        """What happens, see `progress`; None whenever nothing has for a tenth of a second.

        TrainingError when the process fails.
        """
        failed: Mapping[str, Any] = {}
        while True:
            try:
                line = self._lines.get(timeout=LOOK)
            except queue.Empty:
                yield None
                continue
            if line is None:
                break
            event = _read_event(line)
            if event is None:
                logger.info("the training says: %s", line.rstrip())
            elif event["event"] == "error":
                failed = event
            else:
                self._checking = event["event"] == "check"
                yield event
        self._check(failed)

    def stop(self) -> None:
        """Ask for the end; returns at once. What was trained is saved after the step that runs."""
        self._stopped = True
        if self.process.poll() is None:
            # Windows has no gentler way than Ctrl-Break, and not even that without a console; then
            # it is the closed pipe that ends the run, see `JSONLines`.
            with suppress(OSError):
                self.process.send_signal(getattr(signal, "CTRL_BREAK_EVENT", signal.SIGTERM))

    def _listen(self) -> None:
        with self.process:  # at its end the pipe is closed and the process gone from the system
            for line in self.process.stdout:
                self._lines.put(line)
                if self._stopped:
                    break
        self._lines.put(None)

    def _check(self, failed: Mapping[str, Any]) -> None:
        code = self.process.returncode
        if failed:
            raise TrainingError(failed["message"], failed["kind"], self._checking)
        if code in KILLED:
            raise TrainingError(
                f"the training process was ended by the system (code {code}), most often because "
                "the memory was used up",
                "killed",
                self._checking,
            )
        if code:
            raise TrainingError(
                f"the training process ended with code {code}. The end of {self.output / LOG}: "
                + self._last_lines(),
                "crash",
            )

    def _last_lines(self) -> str:
        with (self.output / LOG).open("rb") as log:
            log.seek(self._log_start)
            lines = log.read().decode(errors="replace").splitlines()
        return " / ".join(lines[-LAST_LINES:])


def _read_event(line: str) -> Mapping[str, Any] | None:
    """What a run says in a line; None where some library wrote to standard output too."""
    try:
        event = json.loads(line)
    except json.JSONDecodeError:
        return None
    return event if isinstance(event, dict) and "event" in event else None


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    """Text in UTF-8, and nothing by way of the network."""
    return {**os.environ, "PYTHONIOENCODING": "utf-8", "HF_HUB_OFFLINE": "1", **more}
