"""Apply AU-Adapter: the AUs on a MODEL and its CONDITIONING."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from au_adapter.models.adapter import AUAdapter, check_layers
from au_adapter.weights.adapter_files import adapter_files, adapter_hash

from .attention import AdapterWrappers
from .base_check import base_warning
from .compat import ModelPatcher, WrappersMP, io, load_lora, show_text
from .conditioning import Conditioning, with_conds
from .node import Node
from .queued_graph import QueuedGraph
from .sd_unet import SDUNet, read_unet
from .sockets import AUAdapterSocket, AUTokensSocket


class ApplyAUAdapter(Node):
    """Makes the faces of a picture follow Action Units. Connect its three outputs to a sampler in
    place of the model, positive and negative that come in.

    model: The base that the adapter was trained on.
    positive: The prompt; it gets the AUs.
    negative: The negative prompt; it gets the encoded neutral face, against which guidance (CFG
        above 1) strengthens the AUs.
    au_tokens: From AU Encoder: one AU vector for all pictures of the batch, or one for each.
    strength: Factor on the adapter: 1 as trained, 0 off (everything passes through untouched). The
        LoRA is scaled with it: LoRA strength x strength.
    start: Where in sampling the AUs begin to act, 0 = first step. The LoRA is not gated: it changes
        the weights for the whole run.
    end: Where in sampling the AUs cease to act, 1 = last step. The LoRA is not gated.
    mask: Where in the picture the AUs act: white fully, black not at all; any size. One mask, or
        one for each picture of the batch. The LoRA is not masked.
    """

    @classmethod
    def define_schema(cls) -> io.Schema:
        return cls.schema(
            "Apply AU-Adapter",
            aliases=["expression", "FACS", "action units", "FineFace", "smile", "emotion"],
            inputs=[
                io.Model.Input("model"),
                io.Conditioning.Input("positive"),
                io.Conditioning.Input("negative"),
                AUAdapterSocket.Input("au_adapter"),
                AUTokensSocket.Input("au_tokens"),
                io.Float.Input("strength", default=1.0, min=-10.0, max=10.0, step=0.05),
                io.Float.Input("start", default=0.0, min=0.0, max=1.0, step=0.01, advanced=True),
                io.Float.Input("end", default=1.0, min=0.0, max=1.0, step=0.01, advanced=True),
                io.Mask.Input("mask", optional=True),
            ],
            outputs=[
                io.Model.Output(),
                io.Conditioning.Output(display_name="positive"),
                io.Conditioning.Output(display_name="negative"),
            ],
            shows_text=True,
        )

    @classmethod
    def record(cls, graph: QueuedGraph, key: str) -> dict[str, Any]:
        encoder = graph.source(key, "au_tokens")
        aus = graph.vector(encoder, "au_vector")
        return {
            **_weights(graph, key),
            **{name: graph.constant(key, name) for name in ("strength", "start", "end")},
            "aus": aus and json.loads(aus.to_json()),
            "calibrated": graph.widgets(encoder).get("calibrated", False) if encoder else None,
        }

    @classmethod
    def execute(
        cls,
        model: ModelPatcher,
        positive: Conditioning,
        negative: Conditioning,
        au_adapter: AUAdapter,
        au_tokens: Tensor,
        strength: float,
        start: float = 0.0,
        end: float = 1.0,
        mask: Tensor | None = None,
    ) -> io.NodeOutput:
        if strength == 0 or (mask is not None and not mask.any()):
            return io.NodeOutput(model, positive, negative)
        unet = read_unet(model)
        check_layers(au_adapter.config, unet.layers, unet.width)
        _check_tokens(au_adapter, au_tokens)
        patched = model.clone()
        earlier = _applied_before(model, au_adapter)
        applied = AdapterWrappers(
            key=_free_key(au_adapter, len(earlier)),
            adapter=au_adapter,
            blocks=unet.blocks,
            strength=strength,
            mask=None if mask is None else mask.reshape(-1, 1, *mask.shape[-2:]),
            **_sigma_range(model, start, end),
        )
        applied.attach(patched)
        more = _lora_to_add(strength, [other.strength for other in earlier])
        if au_adapter.lora and au_adapter.lora_strength and more:
            _add_lora(patched, unet, au_adapter, more * au_adapter.lora_strength)
        warning = base_warning(model, unet, au_adapter)
        return io.NodeOutput(
            patched,
            with_conds(positive, applied.conds(au_tokens)),
            with_conds(negative, applied.conds(au_adapter.encode_zero())),
            ui=show_text(cls, warning),
        )


def _weights(graph: QueuedGraph, key: str) -> dict[str, Any]:
    """The hash of the AU-Adapter and the strength of its LoRA, null where the graph does not tell.
    Nodes in between that keep the weights are skipped."""
    kind = loader = None
    for loader in graph.upstream(key, "au_adapter"):
        kind = graph.kind(loader)
        if kind is None or not kind.passes:
            break
    widgets = graph.widgets(loader) if kind else {}
    files = () if kind is None or None in widgets.values() else kind.weight_files(**widgets)
    if not files:
        return {"adapter": None, "lora_strength": None}
    changed = tuple(file.stat().st_mtime_ns for file in adapter_files(files[0]))
    return {"adapter": _hash(files[0], changed), "lora_strength": widgets.get("lora_strength", 1.0)}


@lru_cache(maxsize=16)
def _hash(path: Path, changed: tuple[int, ...]) -> str:
    """Hash of an adapter; `changed` are its files' times, for the cache."""
    return adapter_hash(path)


def _applied_before(model: ModelPatcher, adapter: AUAdapter) -> list[AdapterWrappers]:
    """The same adapter on this MODEL by earlier nodes, for example with another mask."""
    applied: list[AdapterWrappers] = []
    while found := model.get_wrappers(WrappersMP.DIFFUSION_MODEL, _free_key(adapter, len(applied))):
        applied += [wrapper.__self__ for wrapper in found]
    return applied


def _free_key(adapter: AUAdapter, earlier: int) -> str:
    """The adapter's key in CONDITIONING; each further time on the same MODEL it gets another one.

    It follows from the adapter, not from the node, so CONDITIONING of several of our nodes, for
    example for regions, works on the MODEL of any of them.
    """
    return f"au_adapter.{adapter.instance}" + (f".{earlier + 1}" if earlier else "")


def _lora_to_add(strength: float, earlier: list[float]) -> float:
    """The strength missing to the strongest of the adapter's nodes. A LoRA has no region, so two
    regions must not apply it twice."""
    there = max(earlier, key=abs, default=0.0)
    return strength - there if abs(strength) > abs(there) else 0.0


def _add_lora(model: ModelPatcher, unet: SDUNet, adapter: AUAdapter, strength: float) -> None:
    """Add the LoRA to a clone of the MODEL as weight patches; strength 1 is as trained."""
    config, names, tensors = adapter.config, {}, {}
    for path, (down, up) in adapter.lora.items():
        weight = "diffusion_model." + unet.weights[f"{path}.weight"]
        module = weight.removesuffix(".weight")
        names[module] = weight
        tensors[f"{module}.lora_A.weight"], tensors[f"{module}.lora_B.weight"] = down, up
        tensors[f"{module}.alpha"] = torch.tensor(config.lora_scale * config.lora_rank)
    applied = model.add_patches(load_lora(tensors, names), strength)
    if len(applied) != len(names):
        raise ValueError(
            f"{len(names) - len(applied)} of the {len(names)} weights that the "
            "LoRA changes were not found in the MODEL; load the adapter with LoRA strength 0."
        )


def _sigma_range(model: ModelPatcher, start: float, end: float) -> dict[str, float]:
    if start >= end:
        raise ValueError(f"start {start:g} must be below end {end:g}; 0 and 1 are the whole run.")
    sampling = model.get_model_object("model_sampling")
    return {
        "start_sigma": float(sampling.percent_to_sigma(start)) if start > 0 else float("inf"),
        "end_sigma": float(sampling.percent_to_sigma(end)) if end < 1 else 0.0,
    }


def _check_tokens(adapter: AUAdapter, tokens: Tensor) -> None:
    expected = [adapter.config.tokens, adapter.config.width]
    if list(tokens.shape[1:]) != expected:
        raise ValueError(
            f"the AU_TOKENS are {list(tokens.shape[1:])} (tokens, width), this "
            f"AU_ADAPTER needs {expected}: connect the same AU_ADAPTER to AU Encoder and here."
        )
