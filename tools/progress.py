"""The progress that a ComfyUI server reports over its web socket."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from types import TracebackType

import aiohttp


class ProgressListener:
    """Collects the progress of one prompt in a thread, as a context manager.

    Args:
        url: of the server, "http://...".
        client_id: the one the prompt was queued with; ComfyUI reports to no other.
        prompt_id: of the prompt.
    """

    def __init__(self, url: str, client_id: str, prompt_id: str) -> None:
        self._address = f"{url}/ws?clientId={client_id}"
        self._prompt_id = prompt_id
        self._steps: queue.SimpleQueue[tuple[int, int, str]] = queue.SimpleQueue()
        self._ended = threading.Event()
        # A thread of its own, as the caller may already be inside an event loop.
        self._thread = threading.Thread(target=lambda: asyncio.run(self._listen()), daemon=True)

    def __enter__(self) -> ProgressListener:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()

    def report(self, progress: Callable[[int, int, str], None]) -> None:
        """Call progress(step, of how many, node id) for every report since the last call."""
        while not self._steps.empty():
            progress(*self._steps.get())

    async def _listen(self) -> None:
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(self._address, max_msg_size=0) as socket,
        ):
            while not self._ended.is_set() and not socket.closed:
                await self._receive(socket)

    async def _receive(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        try:
            message = await socket.receive(timeout=0.1)
        except asyncio.TimeoutError:  # nothing said: look whether to end
            return
        if message.type is not aiohttp.WSMsgType.TEXT:
            return
        report = message.json()
        data = report["data"]
        if report["type"] == "progress" and data["prompt_id"] == self._prompt_id:
            self._steps.put((data["value"], data["max"], data["node"]))
