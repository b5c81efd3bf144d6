"""A ComfyUI server of the project's own: started, talked to over HTTP, and stopped.

    with ComfyServer() as server:
        prompt_id = server.post_prompt(graph)          # graph: ComfyUI's API format
        pictures = server.images(server.wait(prompt_id))

It runs the ComfyUI found by `comfyui_folder` on a base directory in `.cache/comfyui/`, so nothing
is ever written into a person's own ComfyUI. `python -m tools.server` opens it in a browser.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
import webbrowser
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil
from PIL import Image

from tools import face_files
from tools.progress import ProgressListener
from tools.prompt_errors import (
    PromptError,
    ServerError,
    raise_failure,
    refusal_text,
)
from tools.prompt_errors import PromptInterrupted as PromptInterrupted  # for callers
from tools.templates import TEMPLATES

ROOT = Path(__file__).resolve().parent.parent
BASE = ROOT / ".cache" / "comfyui"
BASE_FOLDERS = (
    "custom_nodes",
    "input",
    "logs",
    "models/au_adapter",
    "models/face_analysis",
    "models/magicface",
    "output",
    "temp",
    "user",
)
LOGS_KEPT = 10
Graph = dict[str, dict[str, Any]]


def comfyui_folder() -> Path:
    """The folder of the ComfyUI to run: COMFYUI_PATH, else the pinned copy in `.comfyui/`."""
    folder = Path(os.environ.get("COMFYUI_PATH") or ROOT / ".comfyui").expanduser().resolve()
    if not (folder / "main.py").is_file():
        raise FileNotFoundError(
            f"There is no ComfyUI in {folder}: main.py is missing. "
            "Run `python tools/setup.py`, or set COMFYUI_PATH to the folder of your ComfyUI."
        )
    return folder


def prepare_base(base: Path = BASE) -> Path:
    """Make the base directory with this project linked as a custom node, and return it."""
    for folder in BASE_FOLDERS:
        (base / folder).mkdir(parents=True, exist_ok=True)
    _link(base / "custom_nodes" / "au-adapter", ROOT)
    return base


def _link(link: Path, target: Path) -> None:
    """Make or repair a folder link. Windows asks no rights for a junction, but for a symlink."""
    if os.path.lexists(link):
        if link.resolve() == target:
            return
        link.unlink()
    if sys.platform == "win32":
        import _winapi

        _winapi.CreateJunction(str(target), str(link))
    else:
        link.symlink_to(target, target_is_directory=True)


def free_port() -> int:
    """A TCP port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def device_arguments() -> list[str]:
    """ComfyUI's arguments for this machine: without CUDA, the processor and torch's attention."""
    import torch

    return [] if torch.cuda.is_available() else ["--cpu", "--use-pytorch-cross-attention"]


def _environment() -> dict[str, str]:
    """The server's environment: not even byte code is written into a person's own ComfyUI."""
    if "COMFYUI_PATH" not in os.environ:
        return dict(os.environ)
    return {"PYTHONPYCACHEPREFIX": str(ROOT / ".cache" / "bytecode"), **os.environ}


class ComfyServer:
    """The real ComfyUI with this project's nodes, as a context manager.

    Args:
        extra_arguments: added to ComfyUI's command line. The default lets no result pass from
            one prompt to the next.
        base: the base directory, `.cache/comfyui/` if None.
        port: a free one if None.
    """

    def __init__(
        self,
        extra_arguments: Sequence[str] = ("--cache-none",),
        base: Path | str | None = None,
        port: int | None = None,
    ) -> None:
        self.base = prepare_base(Path(base).resolve() if base else BASE)
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.client_id = str(uuid.uuid4())
        self.log_file = self.base / "logs" / f"server-{self.port}.log"
        self._temporary = self.base / "temp" / str(self.port)
        self._extra_arguments = tuple(extra_arguments)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> ComfyServer:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def command(self) -> list[str]:
        """The command line that starts the server."""
        return [
            sys.executable,
            str(comfyui_folder() / "main.py"),
            *("--base-directory", str(self.base)),
            *("--temp-directory", str(self._temporary)),
            *("--database-url", "sqlite:///:memory:"),
            *("--port", str(self.port)),
            *("--disable-api-nodes", "--disable-auto-launch"),
            *device_arguments(),
            *self._extra_arguments,
        ]

    def start(self, timeout: float = 300.0) -> ComfyServer:
        """Start the server and return once it answers; `timeout` in seconds.

        Raises:
            ServerError: it ended or did not answer; the end of its log is in the text.
        """
        self._remove_old_logs()
        self._temporary.mkdir(parents=True, exist_ok=True)
        with self.log_file.open("wb") as log:
            self._process = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.base,
                env=_environment(),
            )
        try:
            self._wait_until_it_answers(timeout)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End the server; harmless when it does not run."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None
        shutil.rmtree(self._temporary, ignore_errors=True)

    @property
    def log(self) -> str:
        """What the server has written so far."""
        text = self.log_file.read_text(encoding="utf-8", errors="replace")
        return re.sub(r"\x1b\[\d+m", "", text)

    def memory(self) -> int:
        """Bytes of memory that the server's process holds."""
        self._check_alive()
        return psutil.Process(self._process.pid).memory_info().rss

    def get(self, path: str) -> Any:
        """The JSON answer to a GET of a path such as "/object_info"."""
        return json.loads(self._request(path))

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """POST JSON; returns the JSON answer, or None where ComfyUI answers nothing."""
        answer = self._request(path, body)
        return json.loads(answer) if answer else None

    def post_prompt(self, graph: Graph) -> str:
        """Queue a graph in API format and return its prompt id.

        Raises:
            PromptError: ComfyUI found errors in the graph, even if part of it could run.
        """
        try:
            answer = self.post("/prompt", {"prompt": graph, "client_id": self.client_id})
        except urllib.error.HTTPError as refusal:
            raise PromptError(refusal_text(json.loads(refusal.read()))) from refusal
        if answer["node_errors"]:
            self.post("/queue", {"delete": [answer["prompt_id"]]})
            self.interrupt(answer["prompt_id"])
            raise PromptError(refusal_text(answer))
        return answer["prompt_id"]

    def wait(
        self,
        prompt_id: str,
        progress: Callable[[int, int, str], None] | None = None,
        timeout: float = 600.0,
    ) -> dict[str, Any]:
        """Wait for a prompt and return its history entry.

        Args:
            progress: called here as progress(step, of how many, node id) while nodes report it.
            timeout: seconds to wait for a prompt that is not in the server's queue; for one that
                is, as long as it takes.

        Raises:
            PromptError: a node failed. PromptInterrupted: it was interrupted.
            ServerError: the server ended, or the time ran out.
        """
        if progress is None:
            return self._wait_for_history(prompt_id, timeout, lambda: None)
        with ProgressListener(self.url, self.client_id, prompt_id) as listener:
            return self._wait_for_history(prompt_id, timeout, lambda: listener.report(progress))

    def run(self, graph: Graph) -> list[Image.Image]:
        """Queue a graph, wait for it, and return its pictures."""
        return self.images(self.wait(self.post_prompt(graph)))

    def images(self, history: dict[str, Any], node: str | None = None) -> list[Image.Image]:
        """The pictures of a history entry in order, of one node if asked; metadata in `.info`."""
        outputs = history["outputs"]
        chosen = outputs.values() if node is None else [outputs.get(node, {})]
        references = [reference for output in chosen for reference in output.get("images", [])]
        return [Image.open(io.BytesIO(self._view(reference))) for reference in references]

    def interrupt(self, prompt_id: str | None = None) -> None:
        """Interrupt what runs, or only the given prompt if that is what runs."""
        self.post("/interrupt", {"prompt_id": prompt_id} if prompt_id else {})

    def _view(self, reference: dict[str, str]) -> bytes:
        names = {key: reference[key] for key in ("filename", "subfolder", "type")}
        return self._request("/view?" + urllib.parse.urlencode(names))

    def _request(self, path: str, body: dict[str, Any] | None = None) -> bytes:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, data=data, headers=headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.read()

    def _wait_until_it_answers(self, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            self._check_alive()
            try:
                self.get("/system_stats")
                return
            except OSError:  # not listening yet
                time.sleep(0.1)
        raise ServerError(f"ComfyUI did not answer in {timeout:.0f} s.{self._log_end()}")

    def _wait_for_history(
        self, prompt_id: str, timeout: float, meanwhile: Callable[[], None]
    ) -> dict[str, Any]:
        deadline = time.monotonic() + timeout
        expected = True
        while expected:
            # Asked before the history is: what has left the queue is in it.
            expected = time.monotonic() < deadline or self._is_queued(prompt_id)
            self._check_alive()
            history = self.get(f"/history/{prompt_id}")
            meanwhile()
            if prompt_id in history:
                raise_failure(history[prompt_id])
                return history[prompt_id]
            time.sleep(0.05)
        raise ServerError(f"Prompt {prompt_id} did not end in {timeout:.0f} s.{self._log_end()}")

    def _is_queued(self, prompt_id: str) -> bool:
        """Whether a prompt runs, or waits for its turn."""
        waiting = self.get("/queue").values()
        return any(prompt_id == entry[1] for entries in waiting for entry in entries)

    def _check_alive(self) -> None:
        if self._process is None:
            raise ServerError("The server is not running: use `with ComfyServer() as server`.")
        if self._process.poll() is not None:
            code = self._process.returncode
            raise ServerError(f"ComfyUI ended with code {code}.{self._log_end()}")

    def _log_end(self) -> str:
        lines = self.log.splitlines()[-30:]
        return f" The end of {self.log_file}:\n" + "\n".join(lines)

    def _remove_old_logs(self) -> None:
        logs = sorted(self.log_file.parent.glob("*.log"), key=lambda path: path.stat().st_mtime)
        for old in logs[:-LOGS_KEPT]:
            old.unlink(missing_ok=True)


def template_path(name: str) -> str:
    """What follows a server's address so that its page opens a shipped workflow.

    name: of its API form, or its title on the page.
    """
    title = TEMPLATES[name].title if name in TEMPLATES else name
    return f"/?template={title}&source=au-adapter"


def stop_on_signals() -> None:
    """Let a polite end of this process (SIGTERM, a closed terminal) end its server too, as Ctrl-C
    does. For the main thread of a program."""
    for name in ("SIGTERM", "SIGHUP"):
        if (number := getattr(signal, name, None)) is not None:
            signal.signal(number, _raise_exit)


def _raise_exit(number: int, _: object) -> None:
    raise SystemExit(128 + number)


def main() -> None:
    """Open ComfyUI with this project's nodes in a browser until Ctrl-C."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--port", type=int, help="default: a free one")
    parser.add_argument("--template", default="au_generate", help="workflow to open")
    parser.add_argument("--no-browser", action="store_true", help="only say the address")
    options, extra_arguments = parser.parse_known_args()
    stop_on_signals()
    server = ComfyServer(extra_arguments, port=options.port)
    face_files.lend(server.base)
    with server:
        address = server.url + template_path(options.template)
        print(f"ComfyUI runs at {address}\nIts log: {server.log_file}\nCtrl-C ends it.", flush=True)
        if not options.no_browser:
            webbrowser.open(address)
        try:
            while server.get("/system_stats"):
                time.sleep(1)
        except KeyboardInterrupt:
            print("\nStopping.")


if __name__ == "__main__":
    main()
