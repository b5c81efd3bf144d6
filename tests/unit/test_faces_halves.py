"""Half-face masks on points put by hand, and on real faces."""

from __future__ import annotations

import math

import pytest
import torch
from face_pictures import landmarker, picture
from torch import Tensor

from au_adapter.faces import Face, half_masks
from au_adapter.faces.halves import LEFT_EAR, MIDLINE, RIGHT_EAR


def face(centre: tuple[float, float], angle: float = 0.0, side: float = 100.0) -> Face:
    """A face of `side` pixels, upright and seen from the front, then turned by `angle` degrees
    clockwise in the picture."""
    points = torch.zeros(478, 3)
    points[list(MIDLINE), 1] = torch.linspace(-side / 2, side / 2, len(MIDLINE))
    points[LEFT_EAR, 0], points[RIGHT_EAR, 0] = side / 2, -side / 2
    turn = math.radians(angle)
    x, y = points[:, 0].clone(), points[:, 1].clone()
    points[:, 0] = x * math.cos(turn) - y * math.sin(turn) + centre[0]
    points[:, 1] = x * math.sin(turn) + y * math.cos(turn) + centre[1]
    return Face(points, points, 1.0, 1.0, {}, torch.eye(4))


def left_half(faces: list[Face], size: tuple[int, int] = (200, 200), **options: float) -> Tensor:
    left, right = half_masks([faces], size, **options)
    assert torch.equal(left + right, torch.ones(1, *size))
    return left[0]


def test_the_subjects_left_is_the_viewers_right() -> None:
    left = left_half([face((100, 100))])
    assert left[100, 150] == 1 and left[100, 50] == 0
    assert left[:, 99:101].mean() == pytest.approx(0.5)


def test_the_halves_pass_into_each_other_over_the_softness() -> None:
    """Pixel centres lie at n + 0.5; softness 0.2 of 100 pixels is a ramp from 90 to 110."""
    row = left_half([face((100, 100))], softness=0.2)[0]
    assert row[89] == 0 and row[110] == 1
    assert row[[90, 94, 105, 109]].tolist() == pytest.approx([0.025, 0.225, 0.775, 0.975])


def test_no_softness_is_one_pixel() -> None:
    row = left_half([face((100.5, 100))], softness=0.0)[0]
    assert row[[99, 100, 101]].tolist() == pytest.approx([0, 0.5, 1])


@pytest.mark.parametrize("angle", [30, 90, 150, 180, -120])
def test_the_midline_turns_with_the_head(angle: float) -> None:
    left = left_half([face((100, 100), angle)])
    turn = math.radians(angle)
    x, y = round(60 * math.cos(turn)), round(60 * math.sin(turn))
    assert left[100 + y, 100 + x] == 1 and left[100 - y, 100 - x] == 0


def test_every_face_has_its_own_halves() -> None:
    left = left_half([face((100, 50)), face((300, 50))], (100, 400))
    assert left[50, [60, 140, 260, 340]].tolist() == [0, 1, 0, 1]


def test_without_a_face_a_vertical_line_parts_the_picture() -> None:
    left, right = half_masks([[], [face((100, 100))]], (200, 200), midline=0.25, softness=0.1)
    assert left.shape == right.shape == (2, 200, 200)
    assert left[0, 0, [39, 60]].tolist() == [0, 1] and left[1, 0, 60] == 0


def test_real_faces() -> None:
    """Left eye, brow and corner of the mouth lie in the left half, the others in the right one."""
    photo = picture("astronaut.png")
    (found,) = landmarker().detect(photo)
    left, _ = half_masks([found], tuple(photo.shape[1:3]))
    for points, expected in (((263, 300, 291), 1), ((33, 70, 61), 0)):
        for x, y in found[0].points[list(points), :2].long().tolist():
            assert left[0, y, x] == expected
