"""The AU term in ComfyUI's UNet: wrappers on a clone of a MODEL that change no module.

At every call of the UNet, each cross-attention gets a replacement that calls the one it finds there
(another pack's, another adapter's) or core's attention, and adds the AU term before the output
projection. Because this happens at call time, the order of the nodes does not matter.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor

from au_adapter.models.adapter import AUAdapter, attend
from au_adapter.models.masks import mask_for_block

from .compat import CallbacksMP, ModelPatcher, WrappersMP, optimized_attention
from .conditioning import AUMaskCond, AUTokensCond, check_count
from .sd_unet import BlockKey

Replacement = Callable[[Tensor, Tensor, Tensor, dict], Tensor]
REMEMBERED = 8  # batches whose terms are kept in a run: a few regions, with and without guidance


@dataclass
class AUTerm:
    """The AU term of one batch in one cross-attention, strength included.

    value: [N, T, C]. key: [N, T, C], or None with one token, where the softmax over one key is 1.
    """

    value: Tensor
    key: Tensor | None

    def __call__(self, query: Tensor, heads: int) -> Tensor:
        """[N, 1 or L, C] for the query [N, L, C] of the layer."""
        return self.value if self.key is None else attend(query, self.key, self.value, heads)


@dataclass
class AddAUTerm:
    """A replacement of one cross-attention: the previous one, plus the AU term."""

    previous: Replacement
    term: AUTerm
    mask: Tensor | None

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, extra_options: dict[str, Any]) -> Tensor:
        out = self.previous(q, k, v, extra_options)
        term = self.term(q, extra_options["n_heads"])
        if self.mask is not None:
            height, width = extra_options["activations_shape"][-2:]
            term = term * mask_for_block(self.mask, height, width)
        return out + term


@dataclass(eq=False)
class AdapterWrappers:
    """The wrappers of one adapter on one MODEL.

    key: of its AUs in CONDITIONING. blocks: diffusers path -> ComfyUI's key of the block.
    strength: factor on the AU term. It acts where start_sigma >= sigma >= end_sigma. mask:
    [N, 1, H, W], for conditioning without AUs of its own.
    """

    key: str
    adapter: AUAdapter
    blocks: dict[str, BlockKey]
    strength: float
    start_sigma: float
    end_sigma: float
    mask: Tensor | None = None
    _known: list[tuple[Tensor, dict[str, AUTerm]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.mask_key = f"{self.key}.mask"
        self._neutral = self.conds(self.adapter.encode_zero())

    def conds(self, tokens: Tensor) -> dict[str, Any]:
        """The entries of CONDITIONING for this adapter."""
        conds: dict[str, Any] = {self.key: AUTokensCond(tokens)}
        return conds if self.mask is None else {**conds, self.mask_key: AUMaskCond(self.mask)}

    def attach(self, model: ModelPatcher) -> None:
        """Register the wrappers on `model`, which must be a clone."""
        model.add_wrapper_with_key(WrappersMP.SAMPLER_SAMPLE, self.key, self.check_counts)
        model.add_wrapper_with_key(WrappersMP.CALC_COND_BATCH, self.key, self.complete_conds)
        model.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, self.key, self.run_unet)
        model.add_callback_with_key(CallbacksMP.ON_CLEANUP, self.key, self.forget)

    def check_counts(
        self, executor: Callable, guider: Any, sigmas: Tensor, extra_args: dict[str, Any],
        callback: Any, noise: Tensor, *args: Any, **kwargs: Any,
    ) -> Any:  # fmt: skip
        """Check the AUs and masks against the whole batch, before context windows split it."""
        for entry in (entry for entries in guider.conds.values() for entry in entries):
            for key, what in ((self.key, "AU vectors"), (self.mask_key, "masks")):
                if key in entry["model_conds"]:
                    check_count(len(entry["model_conds"][key].cond), len(noise), what)
        return executor(guider, sigmas, extra_args, callback, noise, *args, **kwargs)

    def complete_conds(
        self, executor: Callable, model: Any, conds: list, x_in: Tensor, *args: Any, **kwargs: Any
    ) -> Any:
        """Add the encoded zero vector where AUs are absent, and resize every mask to the latent."""
        size = x_in.shape[-2:]
        conds = [entries and [self._complete(e, *size) for e in entries] for entries in conds]
        return executor(model, conds, x_in, *args, **kwargs)

    def run_unet(
        self,
        executor: Callable,
        x: Tensor,
        timesteps: Tensor | None = None,
        context: Tensor | None = None,
        y: Tensor | None = None,
        control: Any = None,
        transformer_options: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        """One call of the UNet, with the AU term in its cross-attentions where sigma allows."""
        options = transformer_options or {}
        tokens, mask = kwargs.pop(self.key, None), kwargs.pop(self.mask_key, None)
        if self._in_range(options):
            if tokens is None:
                tokens = self.adapter.encode_zero().to(x).expand(len(x), -1, -1)
            _check_call(x, tokens, mask)
            terms = self.terms(tokens)
            ours = {
                block: partial(AddAUTerm, term=terms[path], mask=mask)
                for path, block in self.blocks.items()
            }
            options = with_replacements(options, "attn2", ours)
        return executor(x, timesteps, context, y, control, options, **kwargs)

    def terms(self, tokens: Tensor) -> dict[str, AUTerm]:
        """The term of each layer for tokens [N, T, width]; computed once for all steps of a run."""
        for known, terms in self._known:
            if _same(known, tokens):
                return terms
        terms = self._compute(tokens)
        self._known = [*self._known[1 - REMEMBERED :], (tokens, terms)]
        return terms

    def forget(self, *_: Any) -> None:
        """The run has ended or failed: keep nothing of it."""
        self._known = []

    @torch.no_grad()
    def _compute(self, tokens: Tensor) -> dict[str, AUTerm]:
        """A few small products, computed where the weights are: on the CPU in float32."""
        project, attends = self.adapter.projection, tokens.shape[1] > 1
        source = tokens.to("cpu", torch.float32)
        return {
            path: AUTerm(
                value=(self.strength * project("v", path)(source)).to(tokens),
                key=project("k", path)(source).to(tokens) if attends else None,
            )
            for path in self.blocks
        }

    def _complete(self, entry: dict[str, Any], height: int, width: int) -> dict[str, Any]:
        conds = entry["model_conds"]
        if self.key not in conds:
            conds = {**self._neutral, **conds}
        if self.mask_key in conds:
            conds = {**conds, self.mask_key: conds[self.mask_key].fit(height, width)}
        return {**entry, "model_conds": conds}

    def _in_range(self, options: dict[str, Any]) -> bool:
        sigmas = options.get("sigmas")
        if sigmas is None or (self.start_sigma == float("inf") and self.end_sigma <= 0):
            return True
        return self.start_sigma >= float(sigmas[0]) >= self.end_sigma


def _check_call(x: Tensor, tokens: Tensor, mask: Tensor | None) -> None:
    """ValueError when another node runs the model on parts of the batch or the latent."""
    if len(tokens) not in (1, len(x)):
        raise ValueError(
            f"Apply AU-Adapter: the model was run on {len(x)} pictures or tiles with {len(tokens)} "
            "AU vectors. Another node cuts the latent and does not hand on its conditioning; give "
            "one AU vector for all, or sample without that node."
        )
    if mask is not None and mask.shape[-2:] != x.shape[-2:]:
        raise ValueError(
            f"Apply AU-Adapter: the model was run on {x.shape[-2]} x {x.shape[-1]} of a latent of "
            f"{mask.shape[-2]} x {mask.shape[-1]}. Another node cuts it into tiles and not the "
            "mask: disconnect the mask here, and use core's Conditioning (Set Mask) instead."
        )


def with_replacements(
    options: dict[str, Any], name: str, ours: dict[BlockKey, Callable[[Replacement], Replacement]]
) -> dict[str, Any]:
    """Transformer options in which ours go around the attention that each block has, which is
    another pack's or core's. name: "attn1" or "attn2"."""
    replaces = options.get("patches_replace", {})
    found, added = replaces.get(name, {}), {}
    for block, around in ours.items():
        added[block] = around(found.get(block) or found.get(block[:2]) or plain_attention)
    return {**options, "patches_replace": {**replaces, name: {**found, **added}}}


def _same(a: Tensor, b: Tensor) -> bool:
    return (a.shape, a.dtype, a.device) == (b.shape, b.dtype, b.device) and torch.equal(a, b)


def plain_attention(q: Tensor, k: Tensor, v: Tensor, extra_options: dict[str, Any]) -> Tensor:
    """Core's attention of the block, with other packs' overrides."""
    return optimized_attention(
        q,
        k,
        v,
        extra_options["n_heads"],
        attn_precision=extra_options["attn_precision"],
        transformer_options=extra_options,
    )
