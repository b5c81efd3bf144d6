"""The AU term in ComfyUI's UNet: wrappers on a clone of a MODEL that change no module.

Before core batches the conditionings of a step, the AUs of each become the terms of all layers. At
every call of the UNet, each cross-attention gets a replacement that calls the one it finds there
(another pack's, another adapter's) or core's attention, and adds the term before the output
projection. Because this happens at call time, the order of the nodes does not matter. The terms
reach the UNet as tensors among its arguments, so a compiled UNet follows every change of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from au_adapter.models.adapter import AUAdapter, attend
from au_adapter.models.masks import mask_for_block

from .compat import CallbacksMP, ModelPatcher, WrappersMP, optimized_attention
from .conditioning import AUMaskCond, AUTermsCond, AUTokensCond, check_count
from .sd_unet import block_key

Replacement = Callable[[Tensor, Tensor, Tensor, dict], Tensor]
REMEMBERED = 8  # batches whose terms are kept in a run: a few regions, with and without guidance
BEFORE_PATCHES = "au_adapter.before_attn2_patches"


@dataclass
class AddAUTerm:
    """A replacement of one cross-attention: the previous one, plus the AU term.

    value: [N, T, C], strength included. key: [N, T, C], or None with one token, where the softmax
    over one key is 1. mask: [N, 1, H, W]. patches: the attn2_patches that run before.
    """

    previous: Replacement
    value: Tensor
    key: Tensor | None
    mask: Tensor | None
    patches: tuple[Callable, ...]

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, extra_options: dict[str, Any]) -> Tensor:
        out = self.previous(q, k, v, extra_options)
        mask = self.mask
        if mask is not None:
            mask = mask_for_block(mask, *extra_options["activations_shape"][-2:])
        value, key, mask = self._for_queries(len(q), extra_options, self.value, self.key, mask)
        term = value if key is None else attend(q, key, value, extra_options["n_heads"])
        return out + (term if mask is None else term * mask)

    def _for_queries(
        self, queries: int, extra_options: dict[str, Any], *tensors: Tensor | None
    ) -> list[Tensor | None]:
        """Tensors with a row for each picture, with one for each query instead: an attn2_patch may
        repeat pictures, as Attention Couple does for its regions."""
        query = extra_options.get(BEFORE_PATCHES, (None,))[0]
        if query is None or queries == len(query):
            return list(tensors)
        rows = _followed(self.patches, *extra_options[BEFORE_PATCHES], extra_options)
        return [x if x is None or len(x) == 1 else x[rows] for x in tensors]


@dataclass(eq=False)
class AdapterWrappers:
    """The wrappers of one adapter on one MODEL.

    key: of its AUs in CONDITIONING. layers: diffusers path -> module in ComfyUI's UNet. strength:
    factor on the AU term. It acts where start_sigma >= sigma >= end_sigma. mask: [N, 1, H, W], for
    conditioning without AUs of its own.
    """

    key: str
    adapter: AUAdapter
    layers: dict[str, str]
    strength: float
    start_sigma: float
    end_sigma: float
    mask: Tensor | None = None
    _known: list[tuple[Tensor, AUTermsCond]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.mask_key, self.terms_key = f"{self.key}.mask", f"{self.key}.terms"
        self._neutral = self.conds(self.adapter.encode_zero())
        self._widths = [self.adapter.config.layers[path] for path in self.layers]

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
        self, executor: Callable, model: Any, conds: list, x_in: Tensor, timestep: Tensor,
        *args: Any, **kwargs: Any,
    ) -> Any:  # fmt: skip
        """Give every conditioning its terms, those of the encoded zero vector where AUs are absent,
        and its mask the latent's size. Where the AUs do not act, take both away."""
        acts = self._acts(timestep)
        size = x_in.shape[-2:]
        conds = [entries and [self._complete(e, acts, *size) for e in entries] for entries in conds]
        return executor(model, conds, x_in, timestep, *args, **kwargs)

    def run_unet(
        self, executor: Callable, x: Tensor, timesteps: Any = None, context: Any = None,
        y: Any = None, control: Any = None, transformer_options: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:  # fmt: skip
        """One call of the UNet, with the terms in its cross-attentions."""
        options = transformer_options or {}
        terms, mask = kwargs.pop(self.terms_key, None), kwargs.pop(self.mask_key, None)
        tokens = kwargs.pop(self.key, None)
        if tokens is not None and self._acts(options.get("sigmas")):
            # a pack that batches conditionings by itself
            terms = self.terms(tokens.cpu()).cond.to(x)
        if terms is not None:
            _check_call(x, terms, mask)
            options = self._with_terms(options, executor.class_obj, terms, mask)
        return executor(x, timesteps, context, y, control, options, **kwargs)

    def terms(self, tokens: Tensor) -> AUTermsCond:
        """The terms of all layers for tokens [N, T, width]; computed once in a run."""
        for known, terms in self._known:
            if known.shape == tokens.shape and torch.equal(known, tokens):
                return terms
        terms = AUTermsCond(self._compute(tokens))
        self._known = [*self._known[1 - REMEMBERED :], (tokens, terms)]
        return terms

    def forget(self, *_: Any) -> None:
        """The run has ended or failed: keep nothing of it."""
        self._known = []

    @torch.no_grad()
    def _compute(self, tokens: Tensor) -> Tensor:
        """A few small products in float32 on the CPU, where tokens and weights are: the layers'
        values side by side, and the keys of several tokens, [N, T, sum of C]."""
        project, source = self.adapter.projection, tokens.to("cpu", torch.float32)
        parts = [self.strength * project("v", path)(source) for path in self.layers]
        if tokens.shape[1] > 1:
            parts += [project("k", path)(source) for path in self.layers]
        return torch.cat(parts, dim=-1)

    def _with_terms(
        self, options: dict[str, Any], network: nn.Module, terms: Tensor, mask: Tensor | None
    ) -> dict[str, Any]:
        count, attends = len(self._widths), terms.shape[1] > 1
        parts = terms.split(self._widths * (2 if attends else 1), dim=-1)
        keys = parts[count:] if attends else (None,) * count
        patches = options.get("patches", {})
        before = tuple(patches.get("attn2_patch", ()))
        ours = {
            module: partial(AddAUTerm, value=value, key=key, mask=mask, patches=before)
            for module, value, key in zip(self.layers.values(), parts, keys, strict=False)
        }
        if before:
            patches = {**patches, "attn2_patch": [_remember, *before]}
            options = {**options, "patches": patches}
        return with_replacements(options, network, ours)

    def _complete(
        self, entry: dict[str, Any], acts: bool, height: int, width: int
    ) -> dict[str, Any]:
        conds = dict(entry["model_conds"])
        if self.key not in conds:
            conds = {**self._neutral, **conds}
        tokens, mask = conds.pop(self.key), conds.pop(self.mask_key, None)
        if acts:
            conds[self.terms_key] = self.terms(tokens.cond)
            if mask is not None:
                conds[self.mask_key] = mask.fit(height, width)
        return {**entry, "model_conds": conds}

    def _acts(self, sigmas: Tensor | None) -> bool:
        if sigmas is None or (self.start_sigma == float("inf") and self.end_sigma <= 0):
            return True
        return self.start_sigma >= float(sigmas[0]) >= self.end_sigma


def with_replacements(
    options: dict[str, Any],
    network: nn.Module,
    ours: dict[str, Callable[[Replacement], Replacement]],
) -> dict[str, Any]:
    """Transformer options in which ours go around the attention that each module of the network
    has (".attn1" or ".attn2"), which is another pack's or its own."""
    replaces = dict(options.get("patches_replace", {}))
    for module, around in ours.items():
        name, block = module.rpartition(".")[2], block_key(module)
        found = replaces.get(name, {})
        own = partial(plain_attention, layer=network.get_submodule(module))
        previous = found.get(block) or found.get(block[:2]) or own
        replaces[name] = {**found, block: around(previous)}
    return {**options, "patches_replace": replaces}


def plain_attention(
    q: Tensor, k: Tensor, v: Tensor, extra_options: dict[str, Any], layer: nn.Module
) -> Tensor:
    """Core's attention of a layer, as the layer itself calls it, with other packs' overrides."""
    # Reference ControlNet of another pack leaves the precision out.
    told = {"attn_precision": extra_options.get("attn_precision", layer.attn_precision)}
    # Newer cores choose a function for each layer.
    preferred = extra_options.get("preferred_attention", getattr(layer, "comfy_attention", None))
    if preferred is not None:
        told["preferred_attention"] = preferred
    heads = extra_options["n_heads"]
    return optimized_attention(q, k, v, heads, transformer_options=extra_options, **told)


def _remember(query: Tensor, context: Tensor, value: Tensor, extra_options: dict) -> tuple:
    """The first attn2_patch: keep what the others get."""
    extra_options[BEFORE_PATCHES] = query, context, value
    return query, context, value


def _followed(
    patches: tuple[Callable, ...],
    query: Tensor,
    context: Tensor,
    value: Tensor,
    extra_options: dict[str, Any],
) -> Tensor:
    """The picture of each query after attn2_patches: they are asked with its number in the place
    of its query. ValueError for patches that do more than to repeat and reorder queries."""
    numbers = torch.arange(len(query), dtype=torch.float32, device=query.device)
    marked = numbers.view(-1, 1, 1).expand(query.shape)
    for patch in patches:
        marked, context, value = patch(marked, context, value, dict(extra_options))
    rows = marked[:, 0, 0]
    if not torch.isin(rows, numbers).all():
        raise ValueError(
            "Apply AU-Adapter: another node mixes the pictures of a batch before the text's "
            "attention, so their AUs cannot be told apart: sample without that node."
        )
    return rows.long()


def _check_call(x: Tensor, terms: Tensor, mask: Tensor | None) -> None:
    """ValueError when another node runs the model on parts of the batch or the latent."""
    if len(terms) not in (1, len(x)):
        raise ValueError(
            f"Apply AU-Adapter: the model was run on {len(x)} pictures or tiles with {len(terms)} "
            "AU vectors. Another node cuts the latent and does not hand on its conditioning; give "
            "one AU vector for all, or sample without that node."
        )
    if mask is not None and mask.shape[-2:] != x.shape[-2:]:
        raise ValueError(
            f"Apply AU-Adapter: the model was run on {x.shape[-2]} x {x.shape[-1]} of a latent of "
            f"{mask.shape[-2]} x {mask.shape[-1]}. Another node cuts it into tiles and not the "
            "mask: disconnect the mask here, and use core's Conditioning (Set Mask) instead."
        )
