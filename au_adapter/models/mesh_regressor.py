"""A small network that reads AU intensities from a face's points and blendshape scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class MeshRegressorConfig:
    """units: AUs in the order of the output. middle: those without sides. points: number of mesh
    points used. scores: number of blendshapes. components: number of principal components of the
    points. hidden: widths of the layers."""

    units: tuple[int, ...]
    middle: tuple[int, ...]
    points: int
    scores: int = 52
    components: int = 64
    hidden: tuple[int, ...] = (160, 96)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> MeshRegressorConfig:
        """The config of what `dataclasses.asdict` made of one, also from JSON."""
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})


class MeshRegressor(nn.Module):
    """Aligned points and blendshapes of faces -> intensities of both sides, about 0..5.

    It reads only the subject's left side; the right side is the left of the mirrored face, so a
    mirrored picture gives exactly the mirrored result.

    Buffers, fitted to data before training: chosen [P], the points used; mirror [P] and
    mirror_scores [S], the counterparts of points and blendshapes on the other side; centre and
    basis, the principal components of the points; shift and scale of the features.
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

    def forward(self, face: Tensor, neutral: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        """Left and right, [F, K] each, from features [F, 2, C] of faces and of the same people's
        neutral faces. known [F]: 1 where the neutral face is given; where 0, it is ignored."""
        known = known[:, None, None].expand(-1, 2, 1)
        left, right = self.layers(torch.cat([face, (face - neutral) * known, known], -1)).unbind(1)
        both = (left + right) / 2
        return torch.where(self.middle, both, left), torch.where(self.middle, both, right)

    def features(self, points: Tensor, scores: Tensor) -> Tensor:
        """Features [F, 2, components + S] of the face and of the mirrored face.

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
        self, points: Tensor, scores: Tensor, neutral: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Left and right, [F, K] each, within 0..5; points and scores as `features` takes them.

        neutral: points [1 or F, 478, 3] and scores [1 or F, S] of the person's neutral face, if
        given. Its reading relative to itself is subtracted, so that no change reads exactly 0.
        """
        face = self.features(points, scores)
        if neutral is None:
            left, right = self(face, face, torch.zeros(len(face)))
        else:
            reference, known = self.features(*neutral).expand_as(face), torch.ones(len(face))
            sides, bias = self(face, reference, known), self(reference, reference, known)
            left, right = (a - b.clamp(min=0) for a, b in zip(sides, bias, strict=True))
        return left.clamp(0, 5), right.clamp(0, 5)
