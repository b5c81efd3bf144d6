"""Short ways to run nodes, and core's samplers on them, in this process."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from au_adapter_pack.nodes import NODES
from au_adapter_pack.nodes.demo_model import load_clip, load_model
from torch import Tensor

import nodes as core
from au_adapter import AUAdapter, AUVector, load_adapter

NODE = {node.define_schema().node_id: node for node in NODES}
STEPS = 3
SIZE = 8


def run(node_id: str, **inputs: Any) -> tuple:
    """The outputs of one of our nodes."""
    return NODE[node_id].execute(**inputs).args


@dataclass(frozen=True)
class Scene:
    """What a graph has before a sampler: MODEL, two CONDITIONINGs, an adapter."""

    model: Any
    positive: list
    negative: list
    adapter: AUAdapter

    def apply(self, aus: str | AUVector, strength: float = 1.0, **inputs: Any) -> Scene:
        """The scene behind an Apply AU-Adapter; `aus` in FACS notation or as a vector."""
        vector = AUVector.parse(aus) if isinstance(aus, str) else aus
        inputs = {"start": 0.0, "end": 1.0, "au_adapter": self.adapter, **inputs}
        model, positive, negative = run(
            "AUA_ApplyAUAdapter",
            model=self.model,
            positive=self.positive,
            negative=self.negative,
            au_tokens=run("AUA_AUEncoder", au_adapter=inputs["au_adapter"], au_vector=vector)[0],
            strength=strength,
            **inputs,
        )
        return replace(self, model=model, positive=positive, negative=negative)

    def sample(self, batch: int = 1, cfg: float = 3.0, seed: int = 1, **latent: Any) -> Tensor:
        """Latents [batch, 4, SIZE, SIZE] from the stock KSampler."""
        samples = {"samples": torch.zeros(batch, 4, SIZE, SIZE), **latent}
        (out,) = core.KSampler().sample(
            self.model, seed, STEPS, cfg, "euler", "normal", self.positive, self.negative, samples
        )
        return out["samples"]


def assert_near(a: Tensor, b: Tensor) -> None:
    """Equal but for the order of float32 sums: up to 1e-5 of the largest number, which the steps of
    a random network make hundreds of."""
    tolerance = max(1e-3, 1e-5 * b.abs().max().item())
    torch.testing.assert_close(a, b, atol=tolerance, rtol=0)


def first_step(scene: Scene, cfg: float, batch: int = 1) -> Tensor:
    """Latents [batch, 4, SIZE, SIZE] after the first of the steps: one guided prediction."""
    samples = {"samples": torch.zeros(batch, 4, SIZE, SIZE)}
    (out,) = core.KSamplerAdvanced().sample(
        scene.model, "enable", 1, STEPS, cfg, "euler", "normal", scene.positive, scene.negative,
        samples, 0, 1, "enable",
    )  # fmt: skip
    return out["samples"]


def demo_scene(folder: Path, lora: bool = True) -> Scene:
    """The scene of the bundled model in `folder`."""
    clip = load_clip(folder)
    positive, negative = (core.CLIPTextEncode().encode(clip, t)[0] for t in ("a young man", ""))
    adapter = load_adapter(folder / "adapter.safetensors").requires_grad_(False)
    if not lora:
        adapter.lora_strength = 0.0
    return Scene(load_model(folder), positive, negative, adapter)
