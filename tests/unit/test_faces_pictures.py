"""What the landmarker makes of pictures of every kind: many faces, none, damaged, tiny, huge."""

from __future__ import annotations

import logging

import av
import numpy as np
import pytest
import torch
import torch.nn.functional as functional
from face_pictures import PHOTOS, RENDERS, far_landmarker, landmarker, picture, segmenter
from torch import Tensor

from au_adapter.faces import Face, head_angles
from au_adapter.faces.detector import Detections
from au_adapter.faces.search import search, windows
from tools import face_files

ASTRONAUT, GROUP, LANDSCAPE = "astronaut.png", "multi_face.jpg", "free-mountain-vector-01.jpg"


def _resized(image: Tensor, height: int, width: int) -> Tensor:
    channels_first = image.movedim(-1, 1)
    resized = functional.interpolate(channels_first, (height, width), mode="bilinear")
    return resized.movedim(1, -1)


def _crowd(size: int = 100) -> Tensor:
    """Thirty times the same face, in five rows of six."""
    head = picture(ASTRONAUT)[:, :300, 90:390]
    return _resized(head, size, size).repeat(1, 5, 6, 1)


def _read(image: Tensor, **settings: float) -> list[Face]:
    return landmarker().detect(image, **settings)[0]


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_a_plain_picture_has_no_face(value: float) -> None:
    assert landmarker().detect(torch.full((2, 90, 60, 3), value)) == [[], []]


def test_a_landscape_has_no_face() -> None:
    assert _read(picture(LANDSCAPE), levels=3) == []


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (2, 3)])
def test_a_tiny_picture_has_no_face(size: tuple[int, int]) -> None:
    image = torch.rand(1, *size, 3)
    assert _read(image, levels=2) == []
    assert segmenter().mask(image).shape == (1, *size)


def test_no_pictures() -> None:
    assert landmarker().detect(torch.zeros(0, 64, 64, 3)) == []
    assert segmenter().mask(torch.zeros(0, 64, 64, 3)).shape == (0, 64, 64)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_picture_that_is_not_finite_is_named(
    value: float, caplog: pytest.LogCaptureFixture
) -> None:
    images = picture(ASTRONAUT).repeat(3, 1, 1, 1)
    images[1, 0, 0, 0] = value
    with caplog.at_level(logging.WARNING, "au_adapter"):
        assert [len(faces) for faces in landmarker().detect(images)] == [1, 0, 1]
    assert "Picture 2 of 3 has values that are not finite" in caplog.text
    masks = segmenter().mask(images)
    assert masks[1].max() == 0 and masks[0].max() > 0.9


def test_the_surest_comes_first_and_no_more_than_asked() -> None:
    faces = _read(picture(GROUP), levels=2)
    scores = [face.score for face in faces]
    assert len(faces) == 5 and scores == sorted(scores, reverse=True)
    few = _read(picture(GROUP), levels=2, maximum_faces=2)
    assert [face.score for face in few] == scores[:2]
    assert _read(picture(GROUP), levels=2, minimum_confidence=0.96) != faces
    assert _read(picture(GROUP), minimum_presence=0.9999) == []


def test_a_box_in_which_the_mesh_sees_no_face_hides_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def mistaken(*arguments: object) -> list[Detections]:
        """The detector's faces after a box at the left edge of the picture, surer than they are."""
        (faces,) = search(*arguments)
        keypoints = faces.keypoints[:1] - faces.boxes[:1, None, :2]
        return [
            Detections(
                torch.cat([torch.tensor([[0.0, 0, 120, 120]]), faces.boxes]),
                torch.cat([keypoints, faces.keypoints]),
                torch.cat([torch.tensor([0.999]), faces.scores]),
            )
        ]

    expected = _read(picture(ASTRONAUT))
    monkeypatch.setattr("au_adapter.faces.landmarker.search", mistaken)
    (found,) = _read(picture(ASTRONAUT), maximum_faces=1)
    assert (found.points - expected[0].points).abs().max() < 0.01


def test_thirty_faces() -> None:
    crowd = _crowd()
    assert len(_read(crowd)) == 0  # each fills a tenth of the picture: too small for one look
    faces = _read(crowd, levels=3)
    centres = torch.stack([(face.box[:2] + face.box[2:]) / 2 for face in faces])
    cells = {(int(x) // 100, int(y) // 100) for x, y in centres.tolist()}
    assert len(faces) == 30 and len(cells) == 30
    assert all(face.blendshapes["mouthSmileLeft"] > 0.5 for face in faces)


def test_the_full_range_detector_sees_smaller_faces() -> None:
    near, far = (reader.detect(picture(GROUP))[0] for reader in (landmarker(), far_landmarker()))
    assert len(near) == 2 and len(far) == 5


def test_a_level_more_finds_the_same_single_face() -> None:
    one, two = (_read(picture(ASTRONAUT), levels=levels) for levels in (1, 2))
    assert len(one) == len(two) == 1
    assert (one[0].points - two[0].points)[:, :2].norm(dim=-1).mean() < 3


def test_windows_cover_the_picture_and_halve() -> None:
    frames = windows(300, 400, 3)
    sides = frames[:, 2].tolist()
    assert sides == [400.0] + [200.0] * 6 + [100.0] * 35
    with pytest.raises(ValueError, match="levels is 0, expected 1 or more"):
        _read(picture(ASTRONAUT), levels=0)
    for side in (200, 100):
        part = frames[frames[:, 2] == side]
        low, high = part[:, :2] - side / 2, part[:, :2] + side / 2
        assert low.amin(0).tolist() == [0, 0] and high.amax(0).tolist() == [400, 300]


def test_a_big_picture() -> None:
    small = _read(picture(ASTRONAUT))[0]
    big = _read(_resized(picture(ASTRONAUT), 3072, 3072))[0]
    assert (big.points / 6 - small.points)[:, :2].norm(dim=-1).mean() < 1
    assert abs(big.blendshapes["mouthSmileLeft"] - small.blendshapes["mouthSmileLeft"]) < 0.05


def test_a_batch_equals_its_pictures() -> None:
    names = RENDERS[:20]
    images = torch.cat([picture(name) for name in names])
    together = landmarker().detect(images)
    for faces, name in zip(together, names, strict=True):
        for face, single in zip(faces, _read(picture(name)), strict=True):
            assert (face.points - single.points).abs().max() < 0.01
            assert (face.pose - single.pose).abs().max() < 0.01
    masks = segmenter().mask(images[:2])
    assert (masks[1] - segmenter().mask(images[1:2])[0]).abs().max() < 1e-3


def test_half_precision_alpha_and_views() -> None:
    image = picture(RENDERS[0])
    expected = _read(image)[0].points
    alpha = torch.cat([image, torch.ones_like(image[..., :1])], -1)
    view = image.transpose(1, 2).contiguous().transpose(1, 2)
    for variant in (alpha, view):
        assert torch.equal(_read(variant)[0].points, expected)
    assert (_read(image.half())[0].points - expected).abs().max() < 0.5


def test_other_arrays_are_refused() -> None:
    image = torch.zeros(1, 8, 8, 3)
    for wrong in (image[0], image.movedim(-1, 1), image[..., :2], image[:, :0]):
        with pytest.raises(ValueError, match=r"\[N, height, width, 3\] with values 0..1, found \("):
            landmarker().detect(wrong)
    with pytest.raises(TypeError, match="found torch.uint8; divide by 255"):
        landmarker().detect(image.to(torch.uint8))


@pytest.mark.parametrize("name", [name for name in PHOTOS if name[0].isdigit()])
def test_a_mirrored_face_turns_the_other_way(name: str) -> None:
    image = picture(name)
    left, right = _read(image)[0], _read(image.flip(2))[0]
    yaw, pitch, roll = head_angles(left.pose).tolist()
    mirrored = head_angles(right.pose).tolist()
    assert mirrored == pytest.approx([-yaw, pitch, -roll], abs=3)
    for name in ("eyeSquint", "mouthSmile", "browDown"):
        difference = left.blendshapes[f"{name}Left"] - right.blendshapes[f"{name}Right"]
        assert abs(difference) < 0.25


def _drawn_over(rows: slice, columns: slice) -> Tensor:
    image = picture(ASTRONAUT).clone()
    image[:, rows, columns] = 0.02
    return image


def test_dark_glasses_and_a_mask_drawn_over() -> None:
    """A face half hidden is found at the same place; one that is hidden as a whole is not."""
    open_face = _read(picture(ASTRONAUT))[0]
    glasses, mask = slice(100, 130), slice(145, 200)
    for rows in (glasses, mask):
        (face,) = _read(_drawn_over(rows, slice(170, 275)))
        assert (face.points - open_face.points)[:, :2].norm(dim=-1).mean() < 5
        assert all(0 <= score <= 1 for score in face.blendshapes.values())
    assert _read(_drawn_over(slice(60, 220), slice(150, 290))) == []


def test_every_frame_of_a_clip() -> None:
    with av.open(str(face_files.PHOTOS / "single_face.mp4")) as clip:
        frames = [frame.to_ndarray(format="rgb24") for frame in clip.decode(video=0)][:40:4]
    images = torch.tensor(np.stack(frames)) / 255
    faces = landmarker().detect(images)
    assert [len(found) for found in faces] == [1] * len(frames)
    points = torch.stack([found[0].points[:, :2] for found in faces])
    steps = (points[1:] - points[:-1]).norm(dim=-1).mean(-1)
    assert steps.max() < 0.05 * images.shape[2]


def test_expressions_are_what_the_photos_show() -> None:
    happy = _read(picture("0-f15-hao-ph.jpg"))[0].blendshapes
    surprised = _read(picture("0-f1-su-ph.jpg"))[0].blendshapes
    assert happy["mouthSmileLeft"] > 0.6 > 0.1 > surprised["mouthSmileLeft"]
    assert surprised["jawOpen"] > 0.4 > 0.2 > happy["jawOpen"]


def test_the_mask_covers_the_person_only() -> None:
    mask = segmenter().mask(picture(ASTRONAUT))[0]
    assert mask[250:400, 180:260].min() > 0.9 and mask[:60, :60].max() < 0.5
    assert mask.min() >= 0 and mask.max() <= 1
