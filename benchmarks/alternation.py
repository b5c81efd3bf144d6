"""Does an adapter leave anything behind? Many prompts on one server, with and without adapters.

Every picture without adapter must be a fresh server's, bit for bit, and the server's memory must
stay where it is. Nothing is cached between prompts, so each of them loads and samples.

    python -m benchmarks alternation            # AU_ADAPTER_PROMPTS=20 for fewer than 200
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import click
import numpy as np
import torch

from au_adapter import load_adapter
from au_adapter.bundled import demo_folder
from au_adapter.weights.adapter_files import save_adapter
from tools.demo_graphs import Graph, face_graph, node_of
from tools.server import ComfyServer

RESULTS = Path(__file__).parent / "results"
PROMPTS = int(os.environ.get("AU_ADAPTER_PROMPTS", "200"))
PROMPT = "a portrait of a young woman with light skin and short brown hair, blue background"
STEPS = 4
ORDER = ("on", "off", "other", "off")
OTHER = "other_adapter.safetensors"
WARM_UP = 20  # prompts until the allocator has what it needs
FLAT = 20.0  # MB that the memory may grow after that


@dataclass
class Alternation:
    """What was seen. different: numbers of the prompts without adapter whose picture was not the
    fresh server's. sampled: prompts of which no node came from a cache. memory: resident MB after
    each prompt."""

    kinds: list[str]
    different: list[int] = field(default_factory=list)
    sampled: int = 0
    memory: list[float] = field(default_factory=list)

    def growth(self, warm_up: int = WARM_UP) -> float:
        """MB from just after the warm-up to the end, medians of ten prompts."""
        return float(np.median(self.memory[-10:]) - np.median(self.memory[warm_up : warm_up + 10]))


def main() -> None:
    """Run and write results/alternation.md. SystemExit if a picture differed or memory grew."""
    with ComfyServer() as server:
        fresh = picture(server, graph("off"))
    with ComfyServer() as server:
        seen = alternate(server, fresh, PROMPTS)
    text = report(seen)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "alternation.md").write_text(text, encoding="utf-8")
    click.echo(text)
    if seen.different or seen.sampled < len(seen.kinds) or seen.growth() > FLAT:
        raise SystemExit("something of an adapter stayed behind; see the figures above")


def report(seen: Alternation) -> str:
    """The result as Markdown."""
    start, end = np.median(seen.memory[WARM_UP:][:10]), np.median(seen.memory[-10:])
    return (
        "# Prompts with and without adapters, in turn\n\n"
        f"`python -m benchmarks alternation`: {len(seen.kinds)} prompts on one server started with "
        f"`--cache-none`, bundled model, 128 px, {STEPS} steps; in turn {', '.join(ORDER)}. Other "
        "is a second adapter file (values negated) at strength 0.7 with other AUs.\n\n"
        f"- Prompts that ran every node, the sampler among them: {seen.sampled} of "
        f"{len(seen.kinds)}.\n"
        f"- Pictures without adapter: {seen.kinds.count('off')}; not bit-identical to that of "
        f"another, freshly started server: {len(seen.different)}.\n"
        f"- Resident memory after {WARM_UP} prompts {start:.0f} MB, at the end {end:.0f} MB: "
        f"{seen.growth():+.1f} MB (aim: at most {FLAT:.0f}).\n"
    )


def alternate(server: ComfyServer, fresh: np.ndarray, prompts: int) -> Alternation:
    """Queue `prompts` graphs one after another; `fresh` is what "off" must give."""
    write_other_adapter(server)
    seen = Alternation([ORDER[number % len(ORDER)] for number in range(prompts)])
    for number, kind in enumerate(seen.kinds):
        history = server.wait(server.post_prompt(graph(kind)))
        seen.sampled += not dict(history["status"]["messages"])["execution_cached"]["nodes"]
        (drawn,) = server.images(history)
        if kind == "off" and not np.array_equal(np.asarray(drawn.convert("RGB")), fresh):
            seen.different.append(number)
        seen.memory.append(server.memory() / 1e6)
    return seen


def picture(server: ComfyServer, drawn: Graph) -> np.ndarray:
    """The one picture of a graph, uint8 [H, W, 3]."""
    (found,) = server.run(drawn)
    return np.asarray(found.convert("RGB"))


def graph(kind: str) -> Graph:
    """A graph of one picture without an adapter, with the bundled one, or with the other."""
    aus, strength = ("4D+1B", 0.7) if kind == "other" else ("6C+12D", 1.0)
    drawn = face_graph(aus, PROMPT, 7, "alternation", strength=strength)
    node_of(drawn, "KSampler")["steps"] = STEPS
    preview = next(node for node in drawn.values() if node["class_type"] == "SaveImage")
    preview.update(class_type="PreviewImage", inputs={"images": preview["inputs"]["images"]})
    if kind == "off":
        _take_out(drawn, "AUA_ApplyAUAdapter")
    if kind == "other":
        drawn["other"] = {
            "class_type": "AUA_LoadAUAdapter",
            "inputs": {"file": OTHER, "lora_strength": 1.0},
        }
        for user in ("AUA_ApplyAUAdapter", "AUA_AUEncoder"):
            node_of(drawn, user)["au_adapter"] = ["other", 0]
    return drawn


def _take_out(drawn: Graph, kind: str) -> None:
    """Remove a node, its first inputs going where its outputs went, as bypassing does."""
    (key,) = (key for key, node in drawn.items() if node["class_type"] == kind)
    inputs = list(drawn.pop(key)["inputs"].values())
    for node in drawn.values():
        for name, value in node["inputs"].items():
            if isinstance(value, list) and value[0] == key:
                node["inputs"][name] = inputs[value[1]]


def write_other_adapter(server: ComfyServer) -> None:
    """The bundled adapter with its values negated, where Load AU-Adapter finds it."""
    adapter = load_adapter(demo_folder() / "adapter.safetensors")
    with torch.no_grad():
        for projection in adapter.to_v.values():
            projection.weight.neg_()
    save_adapter(adapter, server.base / "models" / "au_adapter" / OTHER)


if __name__ == "__main__":
    main()
