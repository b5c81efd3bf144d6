"""MagicFace's condition picture: the background, the person black, the jaw line drawn on it.

The jaw line gives the head's pose. In the released code it comes from a 3D fit with a neutral
expression, so an open mouth does not move it; here the mesh's jaw is closed instead.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor
from torch.nn.functional import max_pool2d

from .face import Face
from .squares import FaceCrop, cut_square, picture_named, square_around, to_square
from .topology import FACE_OVAL, JAW

JAW_POINTS = 17
UPPER_LIP, LOWER_LIP = 13, 14  # inner edges, in the middle
JAW_OPEN = 0.5  # score from which only the jaw explains the gap between the lips
PERSON = 0.1  # least confidence of the segmenter; closest to the released masks
DOT_RADIUS = 3 / 512  # of the picture's side
GROWTH = 0.15  # how far an edit may reach beyond the outline, in widths of the face
RULES = ("whole person", "face only")


def prepare_faces(
    images: Tensor,
    chosen: list[tuple[int, Face]],
    size: int,
    person_mask: Callable[[Tensor], Tensor] | None,
) -> tuple[FaceCrop, Tensor, Tensor]:
    """Crop faces for an edit by MagicFace.

    images: [N, H, W, 3 or 4] in 0..1. chosen: the faces and the index of their picture. size: side
    of the results in pixels. person_mask: cropped faces [F, S, S, 3] -> [F, S, S], as
    PersonSegmenter.mask; the whole person becomes black, as in the training of the released
    weights. None blackens only the face, as the later version of the released script does. Returns
    the crops' positions, and faces and backgrounds with jaw, both [F, S, S, 3]. ValueError naming
    the picture.
    """
    squares = []
    for index, face in chosen:
        with picture_named(index):
            squares.append(square_around(face.box, *images.shape[1:3]))
    pairs = list(zip(chosen, squares, strict=True))
    faces = torch.stack([cut_square(images[i][..., :3], square, size) for (i, _), square in pairs])
    ovals = torch.stack(
        [fill(to_square(f.points[list(FACE_OVAL), :2], s, size), size) for (_, f), s in pairs]
    )
    people = ovals if person_mask is None else person_mask(faces).to(faces) > PERSON
    jaws = torch.stack([dots(to_square(jaw_line(f), s, size), size) for (_, f), s in pairs])
    backgrounds = (faces * ~people[..., None] + jaws.to(faces)).clamp(0, 1)
    reach = [GROWTH * float(f.box[2] - f.box[0]) * size / float(s[2] - s[0]) for (_, f), s in pairs]
    wider = torch.stack([grown(o, r) for o, r in zip(ovals, reach, strict=True)])
    shown = wider if person_mask is None else wider & people
    pictures, photo = tuple(index for index, _ in chosen), tuple(images.shape[1:3])
    crop = FaceCrop(pictures, torch.stack(squares), shown.float(), photo)
    return crop, faces, backgrounds


def jaw_line(face: Face) -> Tensor:
    """17 points [17, 2] along the closed jaw in pixels, from the picture's left side."""
    line = _resampled(face.points[list(JAW), :2], JAW_POINTS)
    opened = min(max(face.blendshapes["jawOpen"] / JAW_OPEN, 0.0), 1.0)
    drop = opened * (face.points[LOWER_LIP, :2] - face.points[UPPER_LIP, :2])
    # The jaw rotates around the ears: the chin moves most, the ends not at all.
    share = 1 - torch.linspace(-1, 1, JAW_POINTS).abs()
    return line - share[:, None] * drop


def jaw_colours() -> Tensor:
    """The colours [17, 3] of the points: the start of a rainbow of 70, red and blue swapped."""
    place = torch.div(torch.arange(JAW_POINTS) * 256, 69, rounding_mode="floor") / 255
    rainbow = [(math.pi * place / 2).cos(), (math.pi * place).sin(), (2 * place - 0.5).abs()]
    return torch.stack(rainbow, -1)


def dots(points: Tensor, size: int) -> Tensor:
    """Soft coloured dots at points [17, 2] on black, [size, size, 3]."""
    line = torch.arange(size) + 0.0
    x, y = (points[:, i, None, None].round() for i in (0, 1))
    distance = ((line - x) ** 2 + (line[:, None] - y) ** 2).sqrt()
    strength = (DOT_RADIUS * size + 0.5 - distance).clamp(0, 1)
    return (strength[..., None] * jaw_colours()[:, None, None]).amax(0)


def fill(outline: Tensor, size: int) -> Tensor:
    """The inside of a polygon [P, 2] in pixels, bool [size, size]."""
    canvas = Image.new("L", (size, size))
    ImageDraw.Draw(canvas).polygon([tuple(point) for point in outline.tolist()], fill=255)
    return torch.from_numpy(np.array(canvas) > 0)


def _resampled(line: Tensor, count: int) -> Tensor:
    """`count` points at equal distances along a line [P, 2]."""
    steps = (line[1:] - line[:-1]).norm(dim=-1)
    places = torch.cat([steps.new_zeros(1), steps.cumsum(0)])
    wanted = torch.linspace(0, float(places[-1]), count)
    after = torch.searchsorted(places, wanted).clamp(1, len(line) - 1)
    start, end = places[after - 1], places[after]
    part = ((wanted - start) / (end - start).clamp(min=1e-6))[:, None]
    return torch.lerp(line[after - 1], line[after], part)


def grown(mask: Tensor, pixels: float) -> Tensor:
    """The mask [S, S] grown by `pixels` on every side."""
    radius = max(1, round(pixels))
    square = 2 * radius + 1
    wide = max_pool2d(mask[None, None].float(), (1, square), 1, (0, radius))
    return max_pool2d(wide, (square, 1), 1, (radius, 0))[0, 0] > 0
