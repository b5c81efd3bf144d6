"""What ComfyUI says about a graph that it refuses, or that fails, as exceptions."""

from __future__ import annotations

from typing import Any


class ServerError(RuntimeError):
    """The server did not start, stopped, or did not answer."""


class PromptError(RuntimeError):
    """ComfyUI refused a graph or a node of it failed; the text is ComfyUI's own."""


class PromptInterrupted(PromptError):
    """The prompt was interrupted."""


def refusal_text(answer: dict[str, Any]) -> str:
    """ComfyUI's errors about a graph: one for the whole, then one line for each node's error."""
    whole = answer.get("error") or {}
    lines = [f"{whole['message']} {whole['details']}".strip()] if whole else []
    for node, found in answer.get("node_errors", {}).items():
        for error in found["errors"]:
            place = f"node {node} ({found['class_type']})"
            lines.append(f"{place}: {error['message']}: {error['details']}")
    return "\n".join(lines)


def raise_failure(entry: dict[str, Any]) -> None:
    """Raise what a history entry says about a prompt that did not succeed."""
    status = entry["status"]
    if status["status_str"] == "success":
        return
    for event, data in status["messages"]:
        place = f"node {data.get('node_id')} ({data.get('node_type')})"
        if event == "execution_interrupted":
            raise PromptInterrupted(f"Interrupted at {place}.")
        if event == "execution_error":
            kind, text = data["exception_type"], data["exception_message"].strip()
            raise PromptError(f"{place}: {kind}: {text}")
    raise PromptError(f"The prompt ended as {status['status_str']!r} without a message.")
