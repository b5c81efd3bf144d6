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
from .node import FACTOR, Node
from .picture_record import write_record
from .queued_graph import QueuedGraph, file_times
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
            family="draw a face",
            aliases=["FACS", "action units", "control expression", "expression adapter"],
            inputs=[
                io.Model.Input("model"),
                io.Conditioning.Input("positive"),
                io.Conditioning.Input("negative"),
                AUAdapterSocket.Input("au_adapter"),
                AUTokensSocket.Input("au_tokens"),
                io.Float.Input("strength", **FACTOR),
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
    def fingerprint_inputs(cls, **_: Any) -> str:
        write_record()  # core asks every node when a graph begins to run, cached ones too
        return ""

    @classmethod
    def record(cls, graph: QueuedGraph, key: str) -> dict[str, Any]:
        encoder = graph.source(key, "au_tokens")
        aus = graph.vector(encoder, "au_vector")
        before = graph.upstream(key, "au_adapter")
        loader = next((n for n in before if not getattr(graph.kind(n), "passes", "")), None)
        files = graph.weight_files(loader)
        return {
            "adapter": _hash(files[0], file_times(adapter_files(files[0]))) if files else None,
            "lora_strength": graph.widgets(loader).get("lora_strength", 1.0) if files else None,
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
        write_record()  # where core keeps no cache, it has not asked
        if strength == 0 or (mask is not None and not mask.any()):
            return io.NodeOutput(model, positive, negative)
        unet = read_unet(model)
        check_layers(au_adapter.config, unet.layers, unet.width)
        expected, found = [au_adapter.config.tokens, unet.width], list(au_tokens.shape[1:])
        if found != expected:
            raise ValueError(
                f"the AU_TOKENS are {found} (tokens, width), this AU_ADAPTER needs {expected}: "
                "connect the same AU_ADAPTER to AU Encoder and here."
            )
        patched = model.clone()
        key, earlier = _applied_before(model, au_adapter)
        applied = AdapterWrappers(
            key=key,
            adapter=au_adapter,
            layers=unet.modules,
            strength=strength,
            mask=None if mask is None else mask.reshape(-1, 1, *mask.shape[-2:]),
            **_sigma_range(model, start, end),
        )
        applied.attach(patched)
        # A LoRA has no region: two regions apply it once, as strongly as the stronger of them.
        there = max((other.strength for other in earlier), key=abs, default=0.0)
        if au_adapter.lora and au_adapter.lora_strength and abs(strength) > abs(there):
            _add_lora(patched, unet, au_adapter, (strength - there) * au_adapter.lora_strength)
        return io.NodeOutput(
            patched,
            with_conds(positive, applied.conds(au_tokens)),
            with_conds(negative, applied.conds(au_adapter.encode_zero())),
            ui=show_text(cls, base_warning(model, unet, au_adapter)),
        )


@lru_cache(maxsize=16)
def _hash(path: Path, changed: tuple[int, ...]) -> str:
    """Hash of an adapter; `changed` are its files' times, for the cache."""
    return adapter_hash(path)


def _applied_before(model: ModelPatcher, adapter: AUAdapter) -> tuple[str, list[AdapterWrappers]]:
    """A free key for the adapter in CONDITIONING, and what earlier nodes have put on this MODEL.

    The key follows from the adapter, not from the node, so CONDITIONING of several of our nodes,
    for example for regions, works on the MODEL of any of them.
    """
    first = key = f"au_adapter.{adapter.instance}"
    applied: list[AdapterWrappers] = []
    while found := model.get_wrappers(WrappersMP.DIFFUSION_MODEL, key):
        applied += [wrapper.__self__ for wrapper in found]
        key = f"{first}.{len(applied) + 1}"
    return key, applied


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
