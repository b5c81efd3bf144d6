"""Stand-ins for other packs' nodes, by their public contracts; none of their code.

IPAdapter_plus, InstantID and PuLID replace cross-attention block by block under the key (kind, id).
Where a replacement sits already, they call its `add` with one callback more and its arguments; a
replacement of theirs attends to the text and then adds what every callback returns.

Attention Couple repeats the pictures of a batch before the text's attention, once for each region's
text, and adds them up by their masks behind it. Reference ControlNet runs the blocks by itself and
does not say the precision of their attention.

AnimateDiff Evolved puts a function of its own in the place of core's while it samples. It announces
in the transformer options which frames a window has, and calls the functions after guidance only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import comfy.samplers
import torch
from comfy.ldm.modules.attention import optimized_attention
from comfy.patcher_extension import WrappersMP
from sampling import Scene
from torch import Tensor, nn

IMAGE_TOKENS = 4


class SumOfAttentions:
    """The replacement that such a pack puts on a block."""

    def __init__(self, callback: Callable, **arguments: Any) -> None:
        self.callbacks = [(callback, arguments)]

    def add(self, callback: Callable, **arguments: Any) -> None:
        self.callbacks.append((callback, arguments))

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, extra_options: dict) -> Tensor:
        out = optimized_attention(q, k, v, extra_options["n_heads"])
        for callback, arguments in self.callbacks:
            out = out + callback(out, q, k, v, extra_options, **arguments)
        return out


def image_attention(
    out: Tensor, q: Tensor, k: Tensor, v: Tensor, extra_options: dict, *,
    weight: float, to_k: nn.Module, to_v: nn.Module, tokens: Tensor,
) -> Tensor:  # fmt: skip
    """weight * Attn(Q, image); `tokens` [2, T, width] of the picture and of none."""
    sides = extra_options["cond_or_uncond"]
    rows = tokens[sides].repeat_interleave(len(q) // len(sides), dim=0)
    return weight * optimized_attention(q, to_k(rows), to_v(rows), extra_options["n_heads"])


@dataclass
class ImageAdapter:
    """An IP-Adapter with random weights for every cross-attention of a scene's model."""

    weight: float
    tokens: Tensor
    projections: dict[str, tuple[nn.Module, nn.Module]]

    @classmethod
    def random(cls, scene: Scene, seed: int, weight: float = 0.8) -> ImageAdapter:
        torch.manual_seed(seed)
        config = scene.adapter.config
        return cls(
            weight,
            torch.randn(2, IMAGE_TOKENS, config.width),
            {
                path: (nn.Linear(config.width, c, bias=False), nn.Linear(config.width, c))
                for path, c in config.layers.items()
            },
        )

    def arguments(self, path: str) -> dict[str, Any]:
        to_k, to_v = self.projections[path]
        return {"weight": self.weight, "to_k": to_k, "to_v": to_v, "tokens": self.tokens}

    def patch(self, model: Any, blocks: dict[str, tuple]) -> Any:
        """A clone of `model` with this adapter on every block; `blocks`: path -> ComfyUI's key."""
        model = model.clone()
        options = model.model_options["transformer_options"]
        replaces = dict(options.get("patches_replace", {}))
        found = dict(replaces.get("attn2", {}))
        for path, block in blocks.items():
            key, arguments = block[:2], self.arguments(path)
            if key in found:
                found[key].add(image_attention, **arguments)
            else:
                found[key] = SumOfAttentions(image_attention, **arguments)
        options["patches_replace"] = {**replaces, "attn2": found}
        return model


@dataclass
class SlidingWindows:
    """A wrapper that predicts windows of some frames, overlapping by one and around the end."""

    length: int

    def __call__(
        self, executor: Callable, model: Any, conds: list, x: Tensor, timestep: Tensor,
        options: dict[str, Any],
    ) -> list[Tensor]:  # fmt: skip
        sums, counts = [torch.zeros_like(x) for _ in conds], x.new_zeros(len(x), 1, 1, 1)
        for start in range(0, len(x), self.length - 1):
            frames = [(start + i) % len(x) for i in range(self.length)]
            options["transformer_options"]["ad_params"]["sub_idxs"] = frames
            parts = [entries and [_cut(e, frames, len(x)) for e in entries] for entries in conds]
            outs = executor(model, parts, x[frames], timestep[frames], options)
            counts[frames] += 1
            for total, out in zip(sums, outs, strict=True):
                total[frames] += out
        return [total / counts for total in sums]


def _cut(entry: dict[str, Any], frames: list[int], full_length: int) -> dict[str, Any]:
    """A conditioning's entry for a window: what has a row for each frame of the clip is cut."""
    conds = {
        key: cond._copy_with(cond.cond[frames]) if len(cond.cond) == full_length else cond
        for key, cond in entry["model_conds"].items()
    }
    return {**entry, "model_conds": conds}


def _guide_windows(
    model: Any, x: Tensor, timestep: Tensor, uncond: Any, cond: Any, scale: float,
    model_options: dict, seed: int | None = None,
) -> Tensor:  # fmt: skip
    """What stands in the place of core's `sampling_function`."""
    told = {**model_options["transformer_options"], "ad_params": {"full_length": len(x)}}
    options = {**model_options, "transformer_options": told}
    conds = [cond, None if scale == 1 else uncond]
    outs = comfy.samplers.calc_cond_batch(model, conds, x, timestep, options)
    return comfy.samplers.cfg_function(model, *outs, scale, x, timestep, options, cond, uncond)


def _sample_windows(executor: Callable, *args: Any, **options: Any) -> Any:
    cores = comfy.samplers.sampling_function
    comfy.samplers.sampling_function = _guide_windows
    try:
        return executor(*args, **options)
    finally:
        comfy.samplers.sampling_function = cores


def sliding(scene: Scene, length: int) -> Scene:
    """The scene behind a node that samples by windows of `length` frames."""
    model = scene.model.clone()
    model.add_wrapper_with_key(WrappersMP.OUTER_SAMPLE, "slide", _sample_windows)
    model.add_wrapper_with_key(WrappersMP.CALC_COND_BATCH, "slide", SlidingWindows(length))
    return replace(scene, model=model)


@dataclass
class AttentionCouple:
    """Two functions around the text's attention: the positive's pictures once for its own text and
    once for each region's, [1, L, width]; masks [regions + 1, H, W] add up to 1."""

    texts: list[Tensor]
    masks: Tensor
    in_turn: bool = False  # the copies of a picture beside each other, not batch after batch

    def patch(self, scene: Scene) -> Scene:
        model = scene.model.clone()
        model.set_model_attn2_patch(self.before)
        model.set_model_attn2_output_patch(self.behind)
        return replace(scene, model=model)

    def before(self, query: Tensor, context: Tensor, value: Tensor, extra_options: dict) -> tuple:
        sides, copies = extra_options["cond_or_uncond"], len(self.texts) + 1
        queries, contexts = [], []
        for side, q, text in zip(
            sides, query.chunk(len(sides)), context.chunk(len(sides)), strict=True
        ):
            if side == 1:
                queries.append(q)
                contexts.append(text)
                continue
            texts = [text, *(each.expand_as(text) for each in self.texts)]
            spread = [q] * copies
            stack = torch.stack if self.in_turn else torch.cat
            arguments = {"dim": 1} if self.in_turn else {}
            queries.append(stack(spread, **arguments).reshape(-1, *q.shape[1:]))
            contexts.append(stack(texts, **arguments).reshape(-1, *text.shape[1:]))
        contexts = torch.cat(contexts)
        return torch.cat(queries), contexts, contexts

    def behind(self, out: Tensor, extra_options: dict) -> Tensor:
        sides, copies = extra_options["cond_or_uncond"], len(self.texts) + 1
        size = extra_options["activations_shape"][-2:]
        masks = torch.nn.functional.interpolate(self.masks[:, None], size)
        masks = masks.reshape(copies, 1, -1, 1)
        one = len(out) // (sum(1 if side == 1 else copies for side in sides))
        parts = []
        for side in sides:
            count = one * (1 if side == 1 else copies)
            part, out = out[:count], out[count:]
            if side != 1:
                shape = (one, copies) if self.in_turn else (copies, one)
                part = part.reshape(*shape, *part.shape[1:])
                part = (part.transpose(0, 1) if self.in_turn else part) * masks
                part = part.sum(0)
            parts.append(part)
        return torch.cat(parts)


def without_precision(scene: Scene) -> Scene:
    """The scene behind a node that runs the blocks by itself."""

    def run(executor: Callable, *args: Any, **kwargs: Any) -> Any:
        *args, options = args
        replaces = {
            name: {block: _untold(replacement) for block, replacement in found.items()}
            for name, found in options.get("patches_replace", {}).items()
        }
        return executor(*args, {**options, "patches_replace": replaces}, **kwargs)

    model = scene.model.clone()
    model.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, "reference", run)
    return replace(scene, model=model)


def _untold(replacement: Callable) -> Callable:
    def call(q: Tensor, k: Tensor, v: Tensor, extra_options: dict) -> Tensor:
        told = {name: value for name, value in extra_options.items() if name != "attn_precision"}
        return replacement(q, k, v, told)

    return call
