"""Least-squares alignment of points by rotation, translation and one scale.

It removes pose and size from a face, so that its expression is measured in centimetres of the
canonical face.
"""

from __future__ import annotations

import torch
from torch import Tensor

# Points that expressions hardly move: canthi, bridge of the nose, temples, sides and top of the
# forehead. The coordinates are those of MediaPipe's canonical face, in centimetres: x to the
# subject's left, y up, z forward.
STEADY_POINTS = {
    33: (-4.4459, 2.6640, 3.1734), 133: (-1.8564, 2.5852, 3.7579),
    362: (1.8564, 2.5852, 3.7579), 263: (4.4459, 2.6640, 3.1734),
    168: (0.0, 3.2710, 5.2360), 6: (0.0, 2.4733, 5.7886),
    197: (0.0, 1.7284, 6.3168), 195: (0.0, 1.0594, 6.7746),
    127: (-7.7431, 2.3650, -2.0052), 356: (7.7431, 2.3650, -2.0052),
    234: (-7.6642, 0.6731, -2.4359), 454: (7.6642, 0.6731, -2.4359),
    21: (-7.0880, 5.4348, 0.0996), 251: (7.0880, 5.4348, 0.0996),
    10: (0.0, 8.2618, 4.4815),
}  # fmt: skip
DOWN_TO_UP = (1.0, -1.0, -1.0)  # a picture's y goes down, and its depth away from the camera


def similarity(source: Tensor, target: Tensor, weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The transform of source [..., P, 3] to target [..., P, 3], weights [P] (Umeyama 1991).

    Returns rotation [..., 3, 3], scale [...] and translation [..., 3], so that
    target = scale * rotation @ source + translation, without reflections.
    """
    weights = (weights / weights.sum())[:, None]
    source_mean, target_mean = (source * weights).sum(-2), (target * weights).sum(-2)
    centred = source - source_mean[..., None, :]
    moved = target - target_mean[..., None, :]
    u, _, v = torch.linalg.svd(moved.transpose(-1, -2) @ (centred * weights))
    flip = torch.ones_like(u[..., 0])
    flip[..., 2] = torch.linalg.det(u @ v).sign()
    rotation = (u * flip[..., None, :]) @ v
    turned = centred @ rotation.transpose(-1, -2)
    scale = (turned * moved * weights).sum((-1, -2)) / (centred.square() * weights).sum((-1, -2))
    translation = target_mean - scale[..., None] * (rotation @ source_mean[..., None])[..., 0]
    return rotation, scale, translation


def align(points: Tensor) -> tuple[Tensor, Tensor]:
    """Points [F, 478, 3] of faces in any unit (see Face.points) -> points of the same faces seen
    from the front, float32 [F, 478, 3] in centimetres of the canonical face, and the rotations
    [F, 3, 3] applied to the upright points."""
    upright = points.double() * points.new_tensor(DOWN_TO_UP).double()
    steady = torch.tensor(list(STEADY_POINTS.values()), dtype=torch.float64)
    rotation, scale, translation = similarity(
        upright[:, list(STEADY_POINTS)], steady.expand(len(points), -1, -1), torch.ones(len(steady))
    )
    turned = upright @ rotation.transpose(-1, -2)
    placed = scale[:, None, None] * turned + translation[:, None]
    return placed.float(), rotation.float()


def turned_back(points: Tensor, rotation: Tensor) -> Tensor:
    """Undo the rotation of aligned points [F, 478, 3]: centimetres in the picture's axes."""
    return (points @ rotation) * points.new_tensor(DOWN_TO_UP)
