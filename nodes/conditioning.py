"""AU tokens and masks in CONDITIONING, so that areas, timestep ranges and batches reach them."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from .compat import CONDNoiseShape, CONDRegular

Conditioning = list[tuple[Tensor, dict[str, Any]]]


class AUTokensCond(CONDRegular):
    """Tokens [N, T, width]: one for all pictures of the latent batch, or one for each."""

    def process_cond(self, batch_size: int, **kwargs: Any) -> CONDRegular:
        check_count(len(self.cond), batch_size, "AU vectors")
        return super().process_cond(batch_size, **kwargs)


class AUTermsCond(AUTokensCond):
    """What the tokens mean to all layers, [N, T, sum of C]; takes their place while sampling."""


class AUMaskCond(CONDNoiseShape):
    """A mask [N, 1, H, W]; core crops it with areas once it has the latent's size."""

    def process_cond(self, batch_size: int, area: Any, **kwargs: Any) -> CONDNoiseShape:
        check_count(len(self.cond), batch_size, "masks")
        return super().process_cond(batch_size, area, **kwargs)

    def fit(self, height: int, width: int) -> AUMaskCond:
        """This mask at the size of the latent."""
        if tuple(self.cond.shape[-2:]) == (height, width):
            return self
        return AUMaskCond(adaptive_avg_pool2d(self.cond, (height, width)))


def check_count(found: int, batch: int, what: str) -> None:
    """ValueError for a number that does not match the batch: core would silently repeat or cut."""
    if found not in (1, batch):
        raise ValueError(
            f"Apply AU-Adapter: {found} {what} for a latent batch of {batch} pictures. Give one "
            f"for all of them, or {batch}, or set the batch size of the latent to {found}."
        )


def with_conds(conditioning: Conditioning, conds: dict[str, CONDRegular]) -> Conditioning:
    """A copy of CONDITIONING with `conds` added to every entry."""
    return [
        (text, {**extra, "model_conds": {**extra.get("model_conds", {}), **conds}})
        for text, extra in conditioning
    ]


def without_tokens(conditioning: Conditioning) -> Conditioning:
    """A copy of CONDITIONING without AUs, which then gets the neutral face; masks stay."""
    return [(text, {**extra, "model_conds": _others(extra)}) for text, extra in conditioning]


def has_tokens(conditioning: Conditioning) -> bool:
    """Whether any entry carries AUs."""
    return any(len(_others(extra)) < len(extra.get("model_conds", {})) for _, extra in conditioning)


def _others(extra: dict[str, Any]) -> dict[str, CONDRegular]:
    conds = extra.get("model_conds", {})
    return {key: cond for key, cond in conds.items() if not isinstance(cond, AUTokensCond)}
