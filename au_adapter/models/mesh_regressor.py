"""A small network that reads AU intensities off a face's points and expression scores."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class MeshRegressorConfig:
    """units: AUs in the order of the output. middle: those of them that have no sides.
    points: how many of the mesh's points are looked at. scores: how many blendshapes.
    components: how many ways in which the points move together. hidden: the layers' widths."""

    units: tuple[int, ...]
    middle: tuple[int, ...]
    points: int
    scores: int = 52
    components: int = 64
    hidden: tuple[int, ...] = (160, 96)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; see `from_dict`."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> MeshRegressorConfig:
        """Read what `to_dict` wrote."""
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})


class MeshRegressor(nn.Module):
    """Aligned points and blendshapes of faces -> intensities of both sides, about 0..5.

    It knows the subject's left side alone: the right side is the left one of the mirrored face, so
    a mirrored picture gets exactly the mirrored answer.

    Its buffers, fitted to data before training: chosen [P], the points it looks at; mirror [P] and
    mirror_scores [S], which of them, and of the blendshapes, lies on the other side; centre and
    basis, the components of the points; shift and scale of the features.
    """

    def __init__(self, config: MeshRegressorConfig):
        super().__init__()
        self.config = config
        features = config.components + config.scores
        self.register_buffer("chosen", torch.zeros(config.points, dtype=torch.long))
        self.register_buffer("mirror", torch.zeros(config.points, dtype=torch.long))
        self.register_buffer("mirror_scores", torch.zeros(config.scores, dtype=torch.long))
        self.register_buffer("centre", torch.zeros(config.points * 3))
        self.register_buffer("basis", torch.zeros(config.points * 3, config.components))
        self.register_buffer("shift", torch.zeros(features))
        self.register_buffer("scale", torch.ones(features))
        middle = torch.tensor([unit in config.middle for unit in config.units])
        self.register_buffer("middle", middle, persistent=False)
        layers: list[nn.Module] = []
        width = 2 * features + 1
        for wide in config.hidden:
            layers += [nn.Linear(width, wide), nn.SiLU(), nn.Dropout(0.1)]
            width = wide
        self.layers = nn.Sequential(*layers, nn.Linear(width, len(config.units)))

    def forward(self, face: Tensor, resting: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        """Left and right, [F, K] each, of the features [F, 2, C] of faces and of their relaxed
        selves. known [F]: 1 where the relaxed one is given; where 0, it is not looked at."""
        known = known[:, None, None].expand(-1, 2, 1)
        left, right = self.layers(torch.cat([face, (face - resting) * known, known], -1)).unbind(1)
        both = (left + right) / 2
        return torch.where(self.middle, both, left), torch.where(self.middle, both, right)

    def features(self, points: Tensor, scores: Tensor) -> Tensor:
        """Features [F, 2, components + S] of the face and of the face in a mirror.

        points: [F, 478, 3] in centimetres, see faces.alignment; scores: [F, S] in 0..1.
        """
        points = points[:, self.chosen]
        turned = points[:, self.mirror] * points.new_tensor([-1.0, 1.0, 1.0])
        both = torch.stack([points, turned], 1).flatten(2)
        scores = torch.stack([scores, scores[:, self.mirror_scores]], 1)
        components = (both - self.centre) @ self.basis
        return (torch.cat([components, scores], -1) - self.shift) / self.scale

    @torch.no_grad()
    def read(
        self, points: Tensor, scores: Tensor, resting: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Left and right, [F, K] each, within 0..5; points and scores as `features` takes them.

        resting: points [1 or F, 478, 3] and scores [1 or F, S] of the person's relaxed face, if
        given. What the network still sees in that face beside itself is taken away, so that no
        change at all is exactly 0.
        """
        face = self.features(points, scores)
        if resting is None:
            left, right = self(face, face, torch.zeros(len(face)))
        else:
            reference, known = self.features(*resting).expand_as(face), torch.ones(len(face))
            sides, still = self(face, reference, known), self(reference, reference, known)
            left, right = (a - b.clamp(min=0) for a, b in zip(sides, still, strict=True))
        return left.clamp(0, 5), right.clamp(0, 5)
