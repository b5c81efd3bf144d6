"""Head pose: a 4x4 matrix from the mesh, and its angles.

The method is MediaPipe's face geometry: weighted orthogonal Procrustes with scale fits the
canonical face to the mesh, which is un-projected for a camera of 63 degrees.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .alignment import similarity

FIELD_OF_VIEW = math.radians(63)  # vertical
NEAR = 1.0  # centimetres from the camera to the plane on which the picture lies
VERTEX = 5  # numbers of a vertex: x, y, z, u, v


@dataclass(frozen=True, eq=False)
class Geometry:
    """The canonical face. vertices [468, 3] in centimetres, x to the subject's left, y up, z
    forward; triangles [898, 3]; basis [33] and weights [33]: the points used for the fit."""

    vertices: Tensor
    triangles: Tensor
    basis: Tensor
    weights: Tensor


def read_geometry(data: bytes, name: str) -> Geometry:
    """The canonical face from a .task file's metadata; ValueError for other data."""
    try:
        parts = _grouped(data)
        mesh, references = _grouped(parts[1][-1]), [_grouped(one) for one in parts.get(2, [])]
        vertices = np.frombuffer(b"".join(mesh[3]), "<f4").reshape(-1, VERTEX)[:, :3]
        weights = [np.frombuffer(reference[2][0], "<f4")[0] for reference in references]
        return Geometry(
            vertices=torch.tensor(vertices, dtype=torch.float64),
            triangles=torch.tensor(mesh[4]).reshape(-1, 3),
            basis=torch.tensor([(reference.get(1) or [0])[0] for reference in references]),
            weights=torch.tensor(weights, dtype=torch.float64),
        )
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{name} is not the geometry of a face, or damaged") from error


def _grouped(data: bytes) -> dict[int, list]:
    """Field number -> values in a protocol buffer: integers as int, all else as bytes."""
    groups, position = {}, 0
    while position < len(data):
        key, position = _variable_integer(data, position)
        kind = key & 7
        value, position = _variable_integer(data, position) if kind in (0, 2) else (0, position)
        if kind != 0:
            length = {1: 8, 2: value, 5: 4}[kind]
            value = data[position : position + length]
            position += length
        groups.setdefault(key >> 3, []).append(value)
    return groups


def _variable_integer(data: bytes, position: int) -> tuple[int, int]:
    """An integer of seven bits a byte, lowest first, and the position after it."""
    result, shift = 0, 0
    while True:
        byte = data[position]
        result |= (byte & 127) << shift
        position, shift = position + 1, shift + 7
        if byte < 128:
            return result, position


def head_pose(points: Tensor, size: tuple[int, int], geometry: Geometry) -> Tensor:
    """The matrices [F, 4, 4] that move the canonical face, in centimetres, in front of the camera.

    points [F, 478, 3] in pixels of pictures of `size` (height, width). The camera looks along -z,
    x to the right of the picture, y up.
    """
    height, width = size
    plane = 2 * NEAR * math.tan(FIELD_OF_VIEW / 2) / height  # centimetres of a pixel
    centre = points.new_tensor([width / 2, height / 2, 0.0], dtype=torch.float64)
    screen = (points[:, : len(geometry.vertices)].double() - centre) * plane
    screen = screen * screen.new_tensor([1.0, -1.0, 1.0])
    offset = screen[..., 2].mean(-1)
    first = _scale(screen * screen.new_tensor([1.0, 1.0, -1.0]), geometry)
    second = _scale(_unproject(screen, offset, first), geometry)
    return _procrustes(_unproject(screen, offset, first * second), geometry).float()


def _unproject(screen: Tensor, offset: Tensor, scale: Tensor) -> Tensor:
    """Move points from the picture's plane to the depth of a head of that scale."""
    depth = (screen[..., 2] - offset[:, None] + NEAR) / scale[:, None]
    flat = screen[..., :2] * depth[..., None] / NEAR
    return torch.cat([flat, -depth[..., None]], -1)


def _scale(points: Tensor, geometry: Geometry) -> Tensor:
    return _procrustes(points, geometry)[:, :3, 0].norm(dim=-1)


def _procrustes(points: Tensor, geometry: Geometry) -> Tensor:
    """The matrix [F, 4, 4] = (scale x rotation, translation) that fits the canonical face to
    points [F, 468, 3] in weighted least squares."""
    source, target = geometry.vertices[geometry.basis], points[:, geometry.basis]
    rotation, scale, translation = similarity(source, target, geometry.weights)
    matrix = torch.eye(4, dtype=points.dtype).repeat(len(points), 1, 1)
    matrix[:, :3, :3] = scale[:, None, None] * rotation
    matrix[:, :3, 3] = translation
    return matrix


def head_angles(pose: Tensor) -> Tensor:
    """Yaw, pitch and roll [..., 3] in degrees of poses [..., 4, 4], by R = Ry Rx Rz.

    Positive yaw turns the face to the picture's right, positive pitch lowers the chin, positive
    roll turns the head counter-clockwise.
    """
    rotation = pose[..., :3, :3] / pose[..., :3, :1].norm(dim=-2, keepdim=True)
    yaw = torch.atan2(rotation[..., 0, 2], rotation[..., 2, 2])
    pitch = torch.asin((-rotation[..., 1, 2]).clamp(-1, 1))
    roll = torch.atan2(rotation[..., 1, 0], rotation[..., 1, 1])
    return torch.stack([yaw, pitch, roll], -1).rad2deg()
