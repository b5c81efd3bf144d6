"""Faces aligned as in FFHQ (Karras et al. 2019, supplement C), as StyleGAN2 and e4e know them: a
turned square that eyes and mouth place, out of dlib's 68 points or the landmarker's 478."""

from __future__ import annotations

import torch
from torch import Tensor

from ..weights.wplus_files import Framing
from .face import Face
from .jaw_background import fill, grown
from .quads import cut_quad, to_quad
from .squares import FaceCrop, picture_named, require_visible
from .topology import FACE_OVAL

# The subject's right eye, left eye and the corners of the mouth: of dlib's points, and of the mesh.
DLIB = (range(36, 42), range(42, 48), (48,), (54,))
MESH = ((33, 160, 158, 133, 153, 144), (362, 385, 387, 263, 373, 380), (61,), (291,))
EYES, MOUTH = 2.0, 1.8  # half the side, in distances of the eyes and from eyes to mouth
FFHQ = Framing()
GROWTH = 0.12  # how far an edit may reach beyond the face's outline, in sides of the square
VISIBLE = 0.5  # share of the square's middle half that must lie in the photo


def ffhq_quad(points: Tensor, framing: Framing = FFHQ) -> Tensor:
    """Corners [4, 2] of a face's square, from points [68 or 478, >= 2] in pixels.

    They begin at the upper left and go clockwise.
    """
    groups = DLIB if len(points) == 68 else MESH
    right, left, *corners = (points[list(group), :2].mean(0) for group in groups)
    eyes, mouth = (left + right) / 2, (corners[0] + corners[1]) / 2
    across, down = left - right, mouth - eyes
    x = across - torch.stack([-down[1], down[0]])
    x = x / x.norm() * max(EYES * across.norm(), MOUTH * down.norm()) * framing.zoom
    y = torch.stack([-x[1], x[0]])
    centre = eyes + framing.lower * down
    return torch.stack([centre - x - y, centre + x - y, centre + x + y, centre - x + y])


def align_faces(
    images: Tensor, chosen: list[tuple[int, Face]], size: int, framing: Framing = FFHQ
) -> tuple[FaceCrop, Tensor]:
    """Faces of images [N, H, W, 3 or 4], each with the number of its picture, cut out upright.

    Returns where they were, and pictures [F, size, size, 3]. The crop's masks cover face and brows.
    ValueError naming the picture in which too little of a face lies.
    """
    quads = torch.stack([ffhq_quad(face.points, framing) for _, face in chosen])
    pairs = list(zip(chosen, quads, strict=True))
    for (picture, _), quad in pairs:
        middle = torch.lerp(quad.mean(0), quad, 0.5)  # the middle half: eyes, nose and mouth
        with picture_named(picture):
            require_visible(middle.amin(0), middle.amax(0), *images.shape[1:3], VISIBLE)
    faces = torch.stack([cut_quad(images[i][..., :3], quad, size) for (i, _), quad in pairs])
    outlines = [to_quad(f.points[list(FACE_OVAL), :2], quad, size) for (_, f), quad in pairs]
    masks = torch.stack([grown(fill(line, size), GROWTH * size / 2).float() for line in outlines])
    boxes = torch.cat([quads.amin(1).floor(), quads.amax(1).ceil()], 1).long()
    numbers = tuple(picture for picture, _ in chosen)
    return FaceCrop(numbers, boxes, masks, tuple(images.shape[1:3]), quads), faces
