"""Faces cut out as in FFHQ, at any turn and size, and pasted back where they were."""

from __future__ import annotations

import math

import pytest
import torch
from face_pictures import landmarker, picture
from torch import Tensor

from au_adapter.data.rendered import SAMPLE, load
from au_adapter.faces import Face
from au_adapter.faces.ffhq_alignment import align_faces, ffhq_quad
from au_adapter.faces.quads import cut_quad, paste_quad, soft_mask, to_quad
from au_adapter.weights.wplus_files import Framing

ASTRONAUT = "astronaut.png"


def ramp(height: int, width: int) -> Tensor:
    """A picture whose red and green are the place of each pixel's middle, in hundreds of pixels."""
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    return torch.stack([x, y, torch.zeros_like(x)], -1) / 100


def turned(side: float, angle: float, centre: tuple[float, float]) -> Tensor:
    """The corners of a square."""
    unit = torch.tensor([[-1.0, -1], [1, -1], [1, 1], [-1, 1]]) * side / 2
    c, s = math.cos(angle), math.sin(angle)
    return unit @ torch.tensor([[c, s], [-s, c]]) + torch.tensor(centre)


@pytest.mark.parametrize("angle", [0.0, 0.4, -1.2])
def test_a_quad_is_cut_out_upright(angle: float) -> None:
    quad = turned(40, angle, (45.0, 40.0))
    cut = cut_quad(ramp(80, 90), quad, 20)
    line = (torch.arange(20) + 0.5) / 20
    places = quad[0] + line[:, None, None] * (quad[3] - quad[0])
    places = places + line[None, :, None] * (quad[1] - quad[0])
    torch.testing.assert_close(cut[..., :2], places / 100, atol=5e-3, rtol=0)


def test_beyond_the_picture_its_edge_repeats() -> None:
    flat = torch.ones(20, 20, 3)
    cut = cut_quad(flat, turned(40, 0.0, (0.0, 0.0)), 16)
    torch.testing.assert_close(cut, torch.ones(16, 16, 3))


def test_points_go_where_the_pixels_go() -> None:
    quad = turned(30, 0.5, (20.0, 25.0))
    corners = to_quad(quad, quad, 64)
    wanted = torch.tensor([[0.0, 0], [64, 0], [64, 64], [0, 64]])
    torch.testing.assert_close(corners, wanted, atol=1e-4, rtol=0)


@pytest.mark.parametrize("angle", [0.0, 0.7])
@pytest.mark.parametrize("size", [16, 120])
def test_what_was_cut_out_pastes_back_where_it_was(angle: float, size: int) -> None:
    photo, quad = ramp(80, 90), turned(40, angle, (45.0, 40.0))
    mask = torch.zeros(size, size)
    mask[size // 4 : -size // 4, size // 4 : -size // 4] = 1
    pasted = paste_quad(photo, cut_quad(photo, quad, size), quad, mask, 0.0)
    torch.testing.assert_close(pasted, photo, atol=0.02, rtol=0)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_pixels_outside_the_mask_stay_to_the_bit(channels: int) -> None:
    photo = torch.rand(60, 70, channels)
    quad, mask = turned(30, 0.3, (30.0, 30.0)), torch.zeros(24, 24)
    mask[8:16, 8:16] = 1
    pasted = paste_quad(photo, torch.ones(24, 24, 3), quad, mask, 0.05)
    changed = (pasted != photo).any(-1)
    assert 0.5 * 100 < changed.sum() < 1.6 * 100  # of the 10 x 10 pixels under the mask
    rows, columns = changed.nonzero().T
    assert rows.min() >= 22 and rows.max() <= 38 and columns.min() >= 22 and columns.max() <= 38
    if channels == 4:
        assert torch.equal(pasted[..., 3], photo[..., 3])


def test_a_quad_beside_the_photo_changes_nothing() -> None:
    photo, quad = torch.rand(20, 20, 3), turned(10, 0.2, (-50.0, 10.0))
    assert torch.equal(paste_quad(photo, torch.ones(8, 8, 3), quad, torch.ones(8, 8), 0.0), photo)


def test_a_soft_edge_lies_inside_the_mask() -> None:
    mask = torch.zeros(40, 40)
    mask[10:30, 10:30] = 1
    soft = soft_mask(mask, 0.1)
    assert soft[20, 20] == 1 and soft[:10].sum() == 0 and 0 <= soft[10, 20] < soft[13, 20]


def test_the_published_square_by_hand() -> None:
    """Eyes 40 apart on y 50, mouth 36 below them: 1.8 x 36 is less than 2 x 40."""
    points = torch.zeros(68, 2)
    points[36:42], points[42:48] = torch.tensor([30.0, 50]), torch.tensor([70.0, 50])
    points[48], points[54] = torch.tensor([40.0, 86]), torch.tensor([60.0, 86])
    quad = ffhq_quad(points)
    torch.testing.assert_close(quad.mean(0), torch.tensor([50.0, 53.6]))
    torch.testing.assert_close(quad[1] - quad[0], torch.tensor([160.0, 0.0]))
    small = ffhq_quad(points, Framing(zoom=0.5, lower=0.5))
    torch.testing.assert_close(small[1] - small[0], torch.tensor([80.0, 0.0]))
    torch.testing.assert_close(small.mean(0), torch.tensor([50.0, 68.0]))


def test_the_landmarkers_points_place_renders_as_their_own_68_do() -> None:
    faces = load(SAMPLE, 8)
    images = torch.from_numpy(faces.images).float() / 255
    for found, points in zip(landmarker().detect(images), faces.landmarks, strict=True):
        ours, theirs = ffhq_quad(found[0].points), ffhq_quad(torch.from_numpy(points))
        side = float((theirs[1] - theirs[0]).norm())
        assert float((ours - theirs).norm(dim=1).max()) < 0.05 * side


def test_an_aligned_face_has_its_eyes_level_and_in_their_place() -> None:
    photo = picture(ASTRONAUT)
    (faces,) = landmarker().detect(photo)
    crop, cut = align_faces(photo, [(0, faces[0])], 128)
    assert cut.shape == (1, 128, 128, 3) and crop.quads.shape == (1, 4, 2)
    (again,) = landmarker().detect(cut)
    right, left = (again[0].points[[a, b], :2].mean(0) for a, b in ((33, 133), (362, 263)))
    assert abs(float(right[1] - left[1])) < 2 and 40 < float(right[1]) < 66
    assert crop.masks.shape == (1, 128, 128) and 0.1 < float(crop.masks.mean()) < 0.6


def test_a_face_that_lies_outside_is_refused() -> None:
    points = torch.zeros(478, 3)
    points[[33, 160, 158, 133, 153, 144]] = torch.tensor([-60.0, 10, 0])
    points[[362, 385, 387, 263, 373, 380]] = torch.tensor([-40.0, 10, 0])
    points[[61, 291]] = torch.tensor([-50.0, 30, 0])
    face = Face(points, points, 1.0, 1.0, {}, torch.eye(4))
    with pytest.raises(ValueError, match="picture 1: only 0 % of the face lies in the picture"):
        align_faces(torch.zeros(1, 40, 40, 3), [(0, face)], 16)
