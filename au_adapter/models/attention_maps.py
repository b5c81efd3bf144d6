"""Where the attentions of MagicFace's denoising UNet look, step after step (Fig. 9 of its paper).

The paper does not say how it draws its maps. Ours are means over heads and layers, of the edit and
not of its unconditioned half:

    self    how much of the attention of all places each place receives, in the picture that is
            drawn and, where the photo is seen through the ID encoder, in the photo: 1 is as much as
            if all received the same
    cross   how much each place takes from the words and not from the token that begins the text
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from .adapter import split_heads

MOST_PLACES = 32 * 32  # of a layer that is looked at; larger ones cost a gigabyte each
KINDS = {"attn1": "self", "attn2": "cross"}


@dataclass
class AttentionMaps:
    """Maps [steps, h, w] of "self" and "cross", one a step, in the cells of the finest layer that
    is looked at."""

    steps: dict[str, list[Tensor]] = field(default_factory=lambda: {k: [] for k in KINDS.values()})

    def maps(self, kind: str) -> Tensor:
        return torch.stack(self.steps[kind])


@contextmanager
def watched(unet: nn.Module) -> Iterator[AttentionMaps]:
    """While it is open, each call of a denoising UNet (diffusers) adds a map of each kind. The last
    row of a batch is looked at. The UNet is left as it was."""
    found = AttentionMaps()
    layers: dict[str, list[Tensor]] = {kind: [] for kind in KINDS.values()}
    hooks = [
        module.register_forward_pre_hook(
            partial(_look, layers[KINDS[path.rpartition(".")[2]]], path.endswith("attn1")),
            with_kwargs=True,
        )
        for path, module in unet.named_modules()
        if path.rpartition(".")[2] in KINDS
    ]

    def end_step(*call: object) -> None:
        for kind, maps in layers.items():
            size = max(len(one) for one in maps)
            # Maps of the same mean in as many cells as the finest has.
            fine = [interpolate(one[None, None], (size, size), mode="nearest") for one in maps]
            found.steps[kind].append(torch.cat(fine)[:, 0].mean(0))
            maps.clear()

    hooks.append(unet.register_forward_hook(end_step))
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


@torch.no_grad()
def _look(
    maps: list[Tensor], own: bool, attention: nn.Module, arguments: tuple, options: dict
) -> None:
    """Before an attention runs, note the map that it makes."""
    hidden = arguments[0][-1:]
    if hidden.shape[1] > MOST_PLACES:
        return
    source = hidden if own else options["encoder_hidden_states"][-1:]
    key = attention.to_k(source)
    block = getattr(attention.processor, "block", None)
    identity = (options.get("identity") or {}) if own else {}
    if block in identity:
        key = torch.cat([key, identity[block][0][-1:].to(key)], 1)
    q, k = (split_heads(rows, attention.heads).float() for rows in (attention.to_q(hidden), key))
    shares = (q @ k.mT / q.shape[-1] ** 0.5).softmax(-1)[0].mean(0)  # [places, keys]
    if own:
        flat = shares.mean(0).unflatten(0, (-1, len(shares))).sum(0) * len(shares)
    else:
        flat = 1 - shares[:, 0]
    side = round(len(flat) ** 0.5)
    maps.append(flat.reshape(side, side).cpu())
