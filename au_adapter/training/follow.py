"""Run `au-adapter train` as a subprocess and follow its events.

Exhausted memory or a crash ends only that process. Imports nothing that only training needs.
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
# `python -m au_adapter train` with this copy of the library. The Python of ComfyUI's portable
# version for Windows ignores PYTHONPATH and the working directory.
START = (
    "import runpy, sys; sys.path.insert(0, sys.argv.pop(1)); "
    "runpy.run_module(sys.argv.pop(1), run_name='__main__', alter_sys=True)"
)
COMMAND = (sys.executable, "-c", START, str(ROOT), "au_adapter", "train")
LOG = "training.log"
LOCK = ".lock"  # held by the run that works in the folder
POLL_INTERVAL = 0.1  # seconds without an event after which `events` yields None
KILL_AFTER = 120  # seconds that a process has for giving up its step and saving
LAST_LINES = 5
KILLED = (-9, 128 + 9)  # exit codes after SIGKILL, of POSIX and of shells


_started: list[subprocess.Popen] = []


def is_training() -> bool:
    """Whether a training that this process started is still at work, if only saving."""
    _started[:] = [process for process in _started if process.poll() is None]
    return bool(_started)


class TrainingError(RuntimeError):
    """A training that failed. kind: the name of its exception, "killed" or "crash".

    The system kills a process mostly because memory runs out. checking: it failed during
    validation, which draws faces, and not during a step.
    """

    def __init__(self, text: str, kind: str, checking: bool = False):
        super().__init__(text)
        self.kind, self.checking = kind, checking


class Training:
    """A training in another process. As a context manager it asks the process to stop on exit; the
    process then saves, and nobody waits for it.

    arguments: of `au-adapter train`, without --output and --progress. output: the folder of the
    run, which also keeps its log, training.log. environment: more variables.
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
                env={
                    **os.environ,
                    "PYTHONIOENCODING": "utf-8",
                    "HF_HUB_OFFLINE": "1",
                    **(environment or {}),
                },
                creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
            )
        _started.append(self.process)
        threading.Thread(target=self._listen, daemon=True).start()

    def __enter__(self) -> Training:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def events(self) -> Iterator[Mapping[str, Any] | None]:
        """Events, see `progress`; None after every POLL_INTERVAL without one.

        TrainingError when the process fails.
        """
        failed: Mapping[str, Any] = {}
        while True:
            try:
                line = self._lines.get(timeout=POLL_INTERVAL)
            except queue.Empty:
                yield None
                continue
            if line is None:
                break
            try:
                event = json.loads(line)
            except json.JSONDecodeError:
                event = None
            if not isinstance(event, dict) or "event" not in event:  # of some library
                logger.info("the training says: %s", line.rstrip())
            elif event["event"] == "error":
                failed = event
            else:
                self._checking = event["event"] == "check"
                yield event
        self._check(failed)

    def stop(self) -> None:
        """Ask the process to stop and return at once. It saves after its current step, or gives the
        step up and saves, see `loop.GRACE`; after KILL_AFTER seconds it is killed."""
        self._stopped = True
        if self.process.poll() is None:
            threading.Thread(target=self._kill, daemon=True).start()
            # Windows has nothing gentler than Ctrl-Break, and without a console not even that; then
            # the closed pipe ends the run, see `progress.print_line`.
            with suppress(OSError):
                self.process.send_signal(getattr(signal, "CTRL_BREAK_EVENT", signal.SIGTERM))

    def _kill(self) -> None:
        try:
            self.process.wait(KILL_AFTER)
        except subprocess.TimeoutExpired:
            logger.warning("the training did not end within %d seconds: killed", KILL_AFTER)
            self.process.kill()

    def _listen(self) -> None:
        with self.process:  # closes the pipe and reaps the process
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
            with (self.output / LOG).open("rb") as log:
                log.seek(self._log_start)
                lines = log.read().decode(errors="replace").splitlines()
            raise TrainingError(
                f"the training process ended with code {code}. The end of {self.output / LOG}: "
                + " / ".join(lines[-LAST_LINES:]),
                "crash",
            )
