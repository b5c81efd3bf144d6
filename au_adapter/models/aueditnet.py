"""AUEditNet (Jin et al., CVPR 2024, arXiv 2404.05063): AU intensities of a code in W+ removed and
added, by numbers or by the expression of another code.

The supplement with sizes is not public. Ours: sizes, the differentiable choice of directions
(Eq. 1), what a level edits at rest (nothing), and codes brought to unit deviation on the way in.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..facs import SET_A
from .leveled import LeveledMLP

TOP = 5.0  # the highest intensity; the network counts in fifths
SURE = 4.0  # logit of an AU that is there, before anything is learned


@dataclass(frozen=True)
class AUEditNetConfig:
    """units: the AUs. levels: rows of W+ that are edited. style: width of such a row. width: of the
    embedding z. hidden, layers: of Phi; 0 layers make it linear. labels: width of Psi, 0 for none:
    every level then gets the labels themselves. shared: one T for all levels, else one for each.
    hard: an AU is there or not, nothing between (straight-through)."""

    units: tuple[int, ...] = SET_A
    levels: tuple[int, ...] = tuple(range(18))
    style: int = 512
    width: int = 512
    hidden: int = 512
    layers: int = 2
    labels: int = 64
    shared: bool = True
    hard: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; see `from_dict`."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> AUEditNetConfig:
        """Read what `to_dict` wrote."""
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})


@dataclass(frozen=True)
class Conditions:
    """What every level knows of every AU, N faces, J edited levels, K AUs: active [N, J, K] in
    0..1 and intensity [N, J, K] in fifths of the scale."""

    active: Tensor
    intensity: Tensor

    def only(self, columns: Tensor) -> Conditions:
        """The same of the AUs in columns (bool [K]); nothing of the others."""
        return Conditions(self.active, self.intensity * columns)


@dataclass(frozen=True)
class Embedded:
    """Codes as AUEditNet sees them (Eq. 1): estimated conditions and embeddings z [N, J, D]."""

    conditions: Conditions
    embedding: Tensor


class LabelMap(nn.Module):
    """Psi of Eq. 3, for each AU apart: its label -> its pseudo-label on every level, and back."""

    def __init__(self, units: int, levels: int, hidden: int):
        super().__init__()
        self.encoder = LeveledMLP(units, (2, hidden, 2 * levels), at_rest=0.0)
        self.decoder = LeveledMLP(units, (2 * levels, hidden, 2), at_rest=0.0)

    def encode(self, active: Tensor, intensity: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and intensities [N, J, K] of labels [N, K]."""
        change = self.encoder(torch.stack([active, intensity], -1)).unflatten(-1, (2, -1))
        logits, scales = change.movedim(1, -1).unbind(1)
        return logits + SURE * (2 * active[:, None] - 1), scales + intensity[:, None]

    def decode(self, conditions: Conditions) -> tuple[Tensor, Tensor]:
        """Logits and intensities [N, K] of pseudo-labels."""
        active, intensity = (t.movedim(1, -1) for t in (conditions.active, conditions.intensity))
        logits, scales = self.decoder(torch.cat([active, intensity], -1)).unbind(-1)
        return logits + SURE * (2 * active.mean(-1) - 1), scales + intensity.mean(-1)


class AUEditNet(nn.Module):
    """Edits codes [N, M, S]. Buffers `mean` and `deviation` [J, S] describe the codes that it was
    trained on."""

    def __init__(self, config: AUEditNetConfig):
        super().__init__()
        self.config = config
        levels, units = len(config.levels), len(config.units)
        inner = (config.hidden,) * config.layers
        told = 2 * units + config.width
        self.encoder = LeveledMLP(levels, (config.style, *inner, told))
        self.decoder = LeveledMLP(levels, (config.width, *inner, config.style), at_rest=0.01)
        rows = () if config.shared else (levels,)
        self.directions = nn.Parameter(torch.randn(*rows, units, config.width))
        self.label_map = LabelMap(units, levels, config.labels) if config.labels else None
        self.register_buffer("mean", torch.zeros(levels, config.style))
        self.register_buffer("deviation", torch.ones(levels, config.style))

    def embed(self, codes: Tensor) -> Embedded:
        """Eq. 1: Phi_enc of every level of codes [N, M, S]."""
        rows = (codes[:, list(self.config.levels)] - self.mean) / self.deviation
        units = len(self.config.units)
        logits, intensity, embedding = self.encoder(rows).split(
            [units, units, self.config.width], dim=-1
        )
        return Embedded(Conditions(self._chosen(logits), intensity), embedding)

    def conditions(self, aus: Tensor) -> Conditions:
        """Eq. 3, first row: Psi_enc of intensities [N, K], any number; an AU is there unless it is
        0."""
        active, intensity = (aus != 0).to(aus), aus / TOP
        if self.label_map is None:
            shape = (-1, len(self.config.levels), -1)
            return Conditions(active[:, None].expand(shape), intensity[:, None].expand(shape))
        logits, scales = self.label_map.encode(active, intensity)
        return Conditions(self._chosen(logits), scales)

    def labels(self, conditions: Conditions) -> tuple[Tensor, Tensor]:
        """Eq. 3, second row: Psi_dec, the active share 0..1 and intensities 0..5, [N, K] each."""
        if self.label_map is None:
            return conditions.active.mean(1), TOP * conditions.intensity.mean(1)
        logits, scales = self.label_map.decode(conditions)
        return logits.sigmoid(), TOP * scales

    def offset(self, conditions: Conditions) -> Tensor:
        """sum_i a_i T(c_i) on every level, [N, J, D] (section 3.2)."""
        amounts = conditions.active * conditions.intensity
        rule = "njk,kd->njd" if self.config.shared else "njk,jkd->njd"
        return torch.einsum(rule, amounts, self.directions)

    def normalised(self, seen: Embedded) -> Tensor:
        """z_N = z - sum_i a_i T(c_i): the embedding with its own AUs taken away (section 3.2)."""
        return seen.embedding - self.offset(seen.conditions)

    def residual(self, embedding: Tensor) -> Tensor:
        """Phi_dec: steps in W+, [N, J, S], of embeddings [N, J, D]."""
        return self.decoder(embedding) * self.deviation

    def neutral(self, codes: Tensor, seen: Embedded) -> Tensor:
        """W_N of Eq. 2: codes [N, M, S] without their own AUs."""
        return self._stepped(codes, -self.residual(seen.embedding))

    def moved(self, codes: Tensor, seen: Embedded, target: Tensor) -> Tensor:
        """W_tar of Eq. 2: codes [N, M, S] with target embeddings [N, J, D] in place of their own.

        The residuals are subtracted from each other first, and computed on as many rows, so that
        equal embeddings give the codes themselves to the last bit.
        """
        step = self.residual(target) - self.residual(seen.embedding.expand_as(target))
        return self._stepped(codes, step)

    def _stepped(self, codes: Tensor, step: Tensor) -> Tensor:
        count = max(len(codes), len(step))
        result = codes.expand(count, -1, -1).clone()
        result[:, list(self.config.levels)] += step
        return result

    def _chosen(self, logits: Tensor) -> Tensor:
        soft = logits.sigmoid()
        return (soft > 0.5).to(soft) + (soft - soft.detach()) if self.config.hard else soft


def with_intensities(
    network: AUEditNet, seen: Embedded, aus: Tensor, columns: Tensor | None = None
) -> Tensor:
    """z_tar of N intensities [N, K]: the face's own AUs are taken away and these added, those in
    columns (bool [K]) alone (section 3.2, as in testing)."""
    return _replaced(network, seen, network.conditions(aus), columns)


def with_change(network: AUEditNet, seen: Embedded, change: Tensor) -> Tensor:
    """z_tar of N changes [N, K] of intensities. No change is the source's embedding to the bit.

    Not in the paper: z + sum a_i T(c_i) of what the face will show, minus that of what it shows.
    """
    now = estimated(network, seen)
    before, after = network.conditions(now), network.conditions(now + change)
    step = network.offset(after) - network.offset(before)
    return seen.embedding + step * (change != 0).any(1)[:, None, None]


def with_expression(
    network: AUEditNet, seen: Embedded, other: Embedded, columns: Tensor | None = None
) -> Tensor:
    """z_tar that shows another face's expression (section 4.5): its embedding as it is.

    columns (bool [K]): of those AUs alone, whose estimates change places (not in the paper).
    """
    if columns is None:
        return other.embedding
    return _replaced(network, seen, other.conditions, columns)


def estimated(network: AUEditNet, seen: Embedded) -> Tensor:
    """Intensities [N, K] within 0..5 that the network reads off codes; 0 where no AU is active."""
    active, intensity = network.labels(seen.conditions)
    return intensity.clamp(0, TOP) * (active > 0.5)


def _replaced(
    network: AUEditNet, seen: Embedded, wanted: Conditions, columns: Tensor | None
) -> Tensor:
    own = seen.conditions
    if columns is not None:
        own, wanted = own.only(columns), wanted.only(columns)
    # The offsets are subtracted from each other first: the face's own AUs then change nothing.
    return seen.embedding + (network.offset(wanted) - network.offset(own))


def label_loss(network: AUEditNet, seen: Embedded, aus: Tensor) -> Tensor:
    """L_L, Eq. 8: what the levels estimate must give the labels [N, K] of the faces, and what
    Psi_enc makes of the labels must be what the levels estimate. Intensities count in fifths."""
    active, intensity = network.labels(seen.conditions)
    wanted = network.conditions(aus)
    pairs = (
        (active, (aus != 0).to(aus)),
        (intensity / TOP, aus / TOP),
        (seen.conditions.active, wanted.active),
        (seen.conditions.intensity, wanted.intensity),
    )
    return sum(functional.l1_loss(*pair) for pair in pairs)
