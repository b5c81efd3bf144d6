"""Faces cut out of photos of every kind, MagicFace's condition picture, and edits pasted back."""

from __future__ import annotations

import pytest
import torch
from face_pictures import landmarker, picture, segmenter
from torch import Tensor

from au_adapter.faces import Face
from au_adapter.faces.jaw_background import (
    JAW_POINTS,
    dots,
    fill,
    jaw_colours,
    jaw_line,
    prepare_faces,
)
from au_adapter.faces.squares import (
    SPAN,
    FaceCrop,
    cut_square,
    paste_square,
    square_around,
    to_square,
)

ASTRONAUT = "astronaut.png"


def box(*corners: float) -> Tensor:
    return torch.tensor(corners)


def test_a_square_is_as_wide_as_released() -> None:
    assert pytest.approx(2.18, abs=0.01) == SPAN
    assert square_around(box(450, 400, 550, 530), 1000, 1000).tolist() == [391, 356, 609, 574]


@pytest.mark.parametrize(
    ("corners", "expected"),
    [
        ((0, 0, 100, 130), [0, 0, 218, 218]),  # moved into the picture
        ((900, 880, 1000, 1000), [782, 782, 1000, 1000]),
        ((200, 200, 800, 900), [0, 0, 1000, 1000]),  # no more room than the picture has
        ((50, 50, 950, 990), [-41, -41, 1040, 1040]),  # a face that fills it gets a border
        ((-30, 200, 70, 330), [0, 156, 218, 374]),  # cut by the border, most of it visible
    ],
)
def test_a_square_stays_inside_where_it_can(corners: tuple, expected: list[int]) -> None:
    assert square_around(box(*corners), 1000, 1000).tolist() == expected


def test_half_a_face_is_refused() -> None:
    with pytest.raises(ValueError, match="only 45 % of the face lies in the picture"):
        square_around(box(-55, 100, 45, 200), 1000, 1000)


def test_a_square_cut_at_its_own_size_is_the_photo() -> None:
    photo = torch.rand(40, 50, 3)
    square = torch.tensor([10, 5, 30, 25])
    assert torch.equal(cut_square(photo, square, 20), photo[5:25, 10:30])


def test_beyond_the_photo_its_edge_goes_on() -> None:
    photo = torch.rand(10, 10, 3)
    cut = cut_square(photo, torch.tensor([-5, -5, 15, 15]), 20)
    assert torch.equal(cut[5:15, 5:15], photo)
    assert torch.equal(cut[0, 5:15], photo[0]) and torch.equal(cut[0, 0], photo[0, 0])


def test_points_follow_their_square() -> None:
    points = to_square(
        torch.tensor([[10.0, 20.0], [60.0, 70.0]]), torch.tensor([10, 20, 110, 120]), 50
    )
    assert points.tolist() == [[0, 0], [25, 25]]


def whole(size: int) -> Tensor:
    return torch.ones(size, size)


def middle(size: int) -> Tensor:
    mask = torch.zeros(size, size)
    mask[size // 4 : -size // 4, size // 4 : -size // 4] = 1
    return mask


@pytest.mark.parametrize("feather", [0.0, 0.05, 0.2])
@pytest.mark.parametrize("square", [[10, 5, 30, 25], [4, -6, 44, 34], [0, 0, 13, 13]])
def test_outside_the_mask_every_pixel_stays_to_the_bit(square: list[int], feather: float) -> None:
    photo = torch.rand(40, 50, 3)
    mask = middle(20)
    pasted = paste_square(photo, torch.zeros(20, 20, 3), torch.tensor(square), mask, feather)
    side = square[2] - square[0]
    cell = side / 20
    x = ((torch.arange(50) + 0.5 - square[0]) / cell).floor()
    y = ((torch.arange(40) + 0.5 - square[1]) / cell).floor()
    inside = ((x >= 5) & (x < 15))[None] & ((y >= 5) & (y < 15))[:, None]
    assert torch.equal(pasted[~inside], photo[~inside])
    centre = (square[1] + square[3]) // 2, (square[0] + square[2]) // 2
    assert pasted[centre].max() < 0.02


def test_a_feather_rises_from_the_edge_of_the_mask() -> None:
    pasted = paste_square(
        torch.zeros(40, 40, 3), torch.ones(40, 40, 3), torch.tensor([0, 0, 40, 40]), middle(40), 0.1
    )
    row = pasted[20, :, 0]
    assert row[9] == 0 and 0 < row[10] < 0.2 and row[14] == 1
    assert (row[10:15].diff() >= 0).all() and torch.allclose(row, row.flip(0))


def test_a_hard_edge() -> None:
    pasted = paste_square(
        torch.zeros(40, 40, 3), torch.ones(40, 40, 3), torch.tensor([0, 0, 40, 40]), middle(40), 0.0
    )
    assert torch.equal(pasted[..., 0], middle(40))


def test_grey_and_alpha_stay_what_they_are() -> None:
    edited, square = torch.rand(20, 20, 3), torch.tensor([5, 5, 25, 25])
    grey = paste_square(torch.zeros(40, 40, 1), edited, square, whole(20), 0.0)
    assert torch.allclose(grey[5:25, 5:25, 0], edited.mean(-1))
    photo = torch.rand(40, 40, 4)
    pasted = paste_square(photo, edited, square, whole(20), 0.0)
    assert torch.equal(pasted[..., 3], photo[..., 3])
    assert torch.allclose(pasted[5:25, 5:25, :3], edited)


def face_of(name: str) -> Face:
    return landmarker().detect(picture(name))[0][0]


def prepare(name: str, whole_person: bool = True) -> tuple[FaceCrop, Tensor, Tensor]:
    people = segmenter().mask if whole_person else None
    return prepare_faces(picture(name), [(0, face_of(name))], 256, people)


def test_the_person_is_black_and_the_background_stays() -> None:
    crop, faces, backgrounds = prepare(ASTRONAUT)
    assert faces.shape == backgrounds.shape == (1, 256, 256, 3) and len(crop) == 1
    assert crop.pictures == (0,) and crop.size == (512, 512)
    assert torch.equal(backgrounds[0, :40, :30], faces[0, :40, :30])
    assert backgrounds[0, 100:120, 110:146].max() == 0  # the face
    assert 0 < crop.masks.mean() < 0.5 and crop.masks[0, 110, 128] == 1


def test_the_face_alone_leaves_hair_and_clothes() -> None:
    _, faces, backgrounds = prepare(ASTRONAUT, whole_person=False)
    assert torch.equal(backgrounds[0, 20:40, 100:160], faces[0, 20:40, 100:160])  # hair
    assert backgrounds[0, 100:120, 110:146].max() == 0


def test_an_edit_shows_only_where_a_person_is() -> None:
    crop, faces, _ = prepare(ASTRONAUT)
    people = segmenter().mask(faces)[0] > 0.1
    assert not (crop.masks[0].bool() & ~people).any()


def test_the_jaw_has_the_released_colours() -> None:
    colours = (255 * jaw_colours()).round().int()
    assert colours.shape == (JAW_POINTS, 3)
    for index, expected in ((0, (255, 0, 127)), (8, (250, 89, 69)), (16, (238, 169, 9))):
        assert (colours[index] - torch.tensor(expected)).abs().max() <= 1


def test_the_jaw_goes_round_the_chin_from_left_to_right() -> None:
    face = face_of(ASTRONAUT)
    jaw = jaw_line(face)
    assert (jaw[:, 0].diff() > -2).all() and jaw[8, 1] == pytest.approx(jaw[:, 1].max(), abs=2)
    gaps = jaw.diff(dim=0).norm(dim=-1)
    assert gaps.max() / gaps.min() < 1.5
    assert (jaw[8] - face.points[152, :2]).norm() < 0.1 * float(face.box[3] - face.box[1])


def test_an_open_mouth_does_not_lower_the_jaw() -> None:
    """A wide open mouth of a photo: with the jaw closed the face is no longer than one at rest."""
    opened = face_of("0-f1-su-ph.jpg")
    gap = float(opened.points[14, 1] - opened.points[13, 1])
    drop = gap * min(1.0, 2 * opened.blendshapes["jawOpen"])
    closed = jaw_line(opened)
    assert drop > 10 and closed[8, 1] < opened.points[152, 1] - 0.8 * drop
    assert (closed[0] - opened.points[127, :2]).norm() < 1e-3  # the ear's end stays


def test_dots_are_soft_and_small() -> None:
    drawn = dots(torch.full((17, 2), 100.0), 256)
    lit = (drawn.amax(-1) > 0).nonzero()
    assert (lit.amin(0) >= 97).all() and (lit.amax(0) <= 103).all() and len(lit) > 5


def test_a_polygon_is_filled() -> None:
    corners = torch.tensor([[2.0, 2.0], [7.0, 2.0], [7.0, 5.0], [2.0, 5.0]])
    assert fill(corners, 10).nonzero().amin(0).tolist() == [2, 2]
    assert fill(corners, 10).sum() == 24


def test_a_big_photo_keeps_its_pixels() -> None:
    small = picture(ASTRONAUT)
    big = torch.nn.functional.interpolate(small.movedim(-1, 1), scale_factor=6).movedim(1, -1)
    face = landmarker().detect(big)[0][0]
    crop, faces, _ = prepare_faces(big, [(0, face)], 256, segmenter().mask)
    side = int(crop.squares[0, 2] - crop.squares[0, 0])
    assert 1000 < side < 1500 and faces.shape == (1, 256, 256, 3)
    pasted = paste_square(big[0], faces[0], crop.squares[0], crop.masks[0], 0.04)
    changed = (pasted != big[0]).any(-1).float().mean()
    assert pasted.shape == big[0].shape and 0 < changed < 0.06
