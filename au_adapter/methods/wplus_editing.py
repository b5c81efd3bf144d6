"""Faces as codes in W+: invert, read, edit with AUEditNet, draw. The method and the nodes share it.

No file is opened here and no face is looked for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from ..facs import REGIONS, AUVector
from ..models.aueditnet import (
    AUEditNet,
    Embedded,
    estimated,
    with_change,
    with_expression,
    with_intensities,
)
from ..models.stylegan2 import StyleGAN2
from ..weights.wplus_files import WPlus

INTENSITIES, CHANGE = "intensities", "change"
MODES = (INTENSITIES, CHANGE)
ALL = "all"


@dataclass(frozen=True, eq=False)
class FaceLatent:
    """Codes [N, M, S] in W+ of N faces, and the name of the generator whose codes they are."""

    codes: Tensor
    space: str

    def __len__(self) -> int:
        return len(self.codes)


def invert(wplus: WPlus, pictures: Tensor) -> FaceLatent:
    """The codes of aligned pictures [N, H, W, 3] in 0..1. ValueError for NaN and infinity."""
    if not torch.isfinite(pictures).all():
        raise ValueError("the picture holds NaN or infinity: take the picture itself, as loaded")
    first = next(wplus.encoder.parameters())
    side = wplus.encoder.config.size
    seen = pictures[..., :3].movedim(-1, 1).to(first) * 2 - 1
    if seen.shape[-2:] != (side, side):
        seen = interpolate(seen, (side, side), mode="bilinear", antialias=True)
    return FaceLatent(wplus.invert(seen).float().cpu(), wplus.space)


@torch.no_grad()
def drawn(
    generator: StyleGAN2, latent: FaceLatent, on_picture: Callable[[int, int], None] | None = None
) -> Tensor:
    """Pictures [N, R, R, 3] in 0..1 of codes, one after the other: at 1024 pixels each takes 1 GB
    for a moment. on_picture: told after each how many of how many are done."""
    pictures, like = [], next(generator.parameters())
    for number, code in enumerate(latent.codes, 1):
        picture = generator(code[None].to(like))[0].movedim(0, -1)
        pictures.append((picture / 2 + 0.5).clamp(0, 1).float().cpu())
        if on_picture is not None:
            on_picture(number, len(latent))
    return torch.stack(pictures)


@torch.no_grad()
def read_aus(network: AUEditNet, latent: FaceLatent) -> AUVector:
    """The intensities 0..5 that AUEditNet itself reads off codes."""
    seen = _embedded(network, latent)
    return AUVector(network.config.units, estimated(network, seen).cpu())


@torch.no_grad()
def relaxed(network: AUEditNet, latent: FaceLatent) -> FaceLatent:
    """Codes without any AU: W_N of AUEditNet's Eq. 2."""
    codes = latent.codes.to(network.mean)
    return FaceLatent(network.neutral(codes, network.embed(codes)).cpu(), latent.space)


@torch.no_grad()
def edited(
    network: AUEditNet,
    latent: FaceLatent,
    aus: AUVector,
    mode: str = INTENSITIES,
    region: str = ALL,
    expression: FaceLatent | None = None,
) -> tuple[FaceLatent, AUVector]:
    """Codes with other AUs, and by how much each AU changed, as AUEditNet reads it.

    mode: "intensities", aus are what the face shall show, those left out being 0; "change", they
    are added to what it shows. expression: codes of a face whose expression is taken first; aus are
    then a change of that, in either mode. region: a name of facs.REGIONS; AUs elsewhere stay. Faces
    and vectors go one by one, or one with many. Where nothing changes, the codes are those given,
    to the bit. ValueError for AUs it does not know, sides that differ, codes of another generator.
    """
    columns = _columns(network, region)
    asked = _asked(network, aus).to(network.mean)
    rows = _row_count({"faces": len(latent), "AU vectors": len(asked)}, expression)
    codes = latent.codes.to(network.mean).expand(rows, -1, -1)
    seen = network.embed(codes)
    before, start = estimated(network, seen), seen
    asked = asked.expand(rows, -1)
    if columns is not None:
        asked = asked * columns
    if expression is not None:
        _check_space(latent, expression)
        start = _taken(network, seen, expression, rows, columns)
    if expression is not None or mode == CHANGE:
        target = with_change(network, start, asked)
        after = _after_change(network, start, expression, before, columns) + asked
    elif mode == INTENSITIES:
        target = with_intensities(network, seen, asked, columns)
        after = asked if columns is None else torch.where(columns, asked, before)
    else:
        raise ValueError(f"mode is one of {', '.join(MODES)}, not {mode!r}")
    moved = network.moved(codes, seen, target)
    same = (moved == codes).flatten(1).all(1)
    change = (after - before) * ~same[:, None]
    return FaceLatent(moved.cpu(), latent.space), AUVector(network.config.units, change.cpu())


def check_fit(network: AUEditNet, wplus: WPlus) -> None:
    """ValueError where an editor's codes have another size than the generator's."""
    config, style = network.config, wplus.generator.config.style
    if config.style != style or max(config.levels) >= wplus.generator.config.levels:
        raise ValueError(
            f"the editor edits codes of {config.style} numbers on levels up to "
            f"{max(config.levels) + 1}, the generator draws from {style} on "
            f"{wplus.generator.config.levels}: take the generator that the editor was trained on"
        )


def _embedded(network: AUEditNet, latent: FaceLatent) -> Embedded:
    return network.embed(latent.codes.to(network.mean))


def _columns(network: AUEditNet, region: str) -> Tensor | None:
    """Which AUs lie in a region, bool [K]; None for all."""
    if region not in REGIONS:
        raise ValueError(f"there is no region {region!r}; expected one of {', '.join(REGIONS)}")
    if region == ALL:
        return None
    here = [unit in REGIONS[region] for unit in network.config.units]
    return torch.tensor(here, device=network.mean.device)


def _asked(network: AUEditNet, aus: AUVector) -> Tensor:
    """Values [N, K]; ValueError for AUs that the network does not know and for sides apart."""
    known = aus.select(network.config.units)
    left, right = known.sides()
    if not torch.equal(left, right):
        raise ValueError(
            "left and right differ, and AUEditNet moves both sides alike: use equal sides, or AU "
            "Sides and an edit of each half"
        )
    return known.values


def _row_count(counts: dict[str, int], expression: FaceLatent | None) -> int:
    """The number of edits; ValueError where the inputs do not go together."""
    if expression is not None:
        counts["expressions"] = len(expression)
    most = max(counts.values())
    if not set(counts.values()) <= {1, most}:
        found = ", ".join(f"{n} {what}" for what, n in counts.items())
        raise ValueError(f"{found} do not go together: give one of each, or as many")
    return most


def _check_space(latent: FaceLatent, other: FaceLatent) -> None:
    if latent.space != other.space or latent.codes.shape[1:] != other.codes.shape[1:]:
        raise ValueError(
            f"the expression is a code of another generator ({other.space}, here {latent.space}): "
            "invert both faces with the same Load AUEditNet"
        )


def _taken(
    network: AUEditNet, seen: Embedded, expression: FaceLatent, rows: int, columns: Tensor | None
) -> Embedded:
    """A face's embedding with another's expression, all of it or that of a region."""
    codes = expression.codes.to(network.mean).expand(rows, -1, -1)
    other = network.embed(codes)
    return Embedded(other.conditions, with_expression(network, seen, other, columns))


def _after_change(
    network: AUEditNet,
    start: Embedded,
    expression: FaceLatent | None,
    before: Tensor,
    columns: Tensor | None,
) -> Tensor:
    """What a change is added to: the face's own AUs, with those of an expression in a region."""
    if expression is None:
        return before
    shown = estimated(network, start)
    return shown if columns is None else torch.where(columns, shown, before)
