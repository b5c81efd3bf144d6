"""MaskGIT's parallel decoding (Chang et al. 2022, section 3.2): all codes at once, the surest kept,
the rest again, in a few steps."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .token_transformer import mask_ratio

# Codes [N, cells, depth] and which of them are masked -> logits [M, codes] at those M places. Every
# row has as many masked places as the others.
PredictCodes = Callable[[Tensor, Tensor], Tensor]
# Told after every step: how many of how many are done, and the codes as they are, with the guesses
# in the places that are still open.
OnCodes = Callable[[int, int, Tensor], None]


def guided(plain: Tensor, told: Tensor, scale: float) -> Tensor:
    """Classifier-free guidance on logits (Ho & Salimans 2022, Eq. 6): plain + scale (told - plain);
    1 is no guidance, 0 leaves the text unheard."""
    return plain + scale * (told - plain)


@torch.no_grad()
def parallel_decode(
    predict: PredictCodes,
    codes: Tensor,
    masked: int,
    steps: int,
    temperature: float,
    generator: torch.Generator,
    on_codes: OnCodes | None = None,
) -> Tensor:
    """The codes int64 [N, cells, depth] that `predict` and chance make of open places.

    codes: the start; places that are `masked` are filled, as many in each row, others stay.
    temperature: of the chance, which falls to none over the steps; 0 takes the likeliest. All rows
    take the same chance, so that they differ by what they were told alone. ValueError for less
    than one step.
    """
    if steps < 1 or temperature < 0:
        raise ValueError(
            f"steps is {steps} and temperature {temperature:g}: at least 1 and 0 are needed"
        )
    rows, places = len(codes), codes[0].numel()
    ids, open_places = codes.clone(), codes == masked
    total = int(open_places[0].sum())
    for step in range(1, steps + 1):
        heat = temperature * (1 - step / steps)
        logits = predict(ids, open_places).float().unflatten(0, (rows, -1))
        chance = _gumbel((places, logits.shape[-1]), generator, logits.device) if heat else None
        where = open_places.flatten(1)
        if chance is not None:
            noise = torch.stack([chance[row] for row in where])
            chosen = (logits + heat * noise).argmax(-1)
        else:
            chosen = logits.argmax(-1)
        sure = logits.log_softmax(-1).gather(-1, chosen[..., None])[..., 0]
        ids[open_places] = chosen.flatten()
        left = int(mask_ratio(step / steps) * total) if step < steps else 0
        if on_codes is not None:
            on_codes(step, steps, ids)
        again = _least(sure, where, left)
        open_places = again.reshape(ids.shape)
        ids = ids.masked_fill(open_places, masked)
        if not left:
            break
    return ids


def _gumbel(shape: tuple[int, ...], generator: torch.Generator, device: torch.device) -> Tensor:
    """Gumbel noise, drawn on the processor so that a seed means the same on every device."""
    uniform = torch.rand(shape, generator=generator).clamp(1e-9, 1 - 1e-7)
    return -(-uniform.log()).log().to(device)


def _least(sure: Tensor, where: Tensor, count: int) -> Tensor:
    """bool [N, places]: of the places `where`, which have `sure` [N, m], the `count` least sure."""
    found = torch.zeros_like(where)
    if count:
        ranked = sure.argsort(1)[:, :count]
        places = where.nonzero()[:, 1].reshape(len(where), -1)
        found.scatter_(1, places.gather(1, ranked), True)
    return found
