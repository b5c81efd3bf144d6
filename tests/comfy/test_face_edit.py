"""Prepare MagicFace and Paste Face on photos of every kind, up to a whole edit in this process."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from au_adapter_pack.nodes import face_edit
from face_parsing import all_of_class
from face_pictures import landmarker, picture
from sampling import NODE, run
from torch import Tensor
from torch.nn.functional import interpolate

from au_adapter import AUVector
from au_adapter.faces import to_face_landmarks
from tools import face_files

ASTRONAUT, GROUP, LANDSCAPE = "astronaut.png", "multi_face.jpg", "free-mountain-vector-01.jpg"
NOTHING, SMILE = AUVector.zeros(), AUVector.parse("12D")


@pytest.fixture(autouse=True)
def models(monkeypatch: pytest.MonkeyPatch) -> None:
    """The face reader's files where a person's models/face_analysis would have them."""
    folders = {"face_analysis": [str(face_files.MODELS)]}
    monkeypatch.setattr(face_edit.folder_paths, "get_folder_paths", folders.__getitem__)


def prepare(image: Tensor, **changes: object) -> tuple:
    inputs = {"face": 0, "mask_rule": "whole person", "size": 128, **changes}
    return run("AUA_PrepareMagicFace", image=image, **inputs)


def paste(image: Tensor, crop: object, change: AUVector, edited: Tensor | None) -> Tensor:
    return run(
        "AUA_PasteFace",
        image=image,
        face_crop=crop,
        au_vector=change,
        feather=4.0,
        edited=edited,
    )[0]


def notes(image: Tensor, **changes: object) -> str:
    inputs = {"face": 0, "mask_rule": "face only", "size": 64, **changes}
    shown = NODE["AUA_PrepareMagicFace"].execute(image=image, **inputs).ui
    return "" if shown is None else shown.as_dict()["text"][0]


def enlarged(image: Tensor, factor: int) -> Tensor:
    return interpolate(image.movedim(-1, 1), scale_factor=factor, mode="bilinear").movedim(1, -1)


def test_no_face_is_a_sentence() -> None:
    with pytest.raises(ValueError, match="Prepare MagicFace: no face found in picture 1"):
        prepare(picture(LANDSCAPE))
    with pytest.raises(ValueError, match="Prepare MagicFace: no face found in picture 1"):
        prepare(torch.zeros_like(picture(ASTRONAUT)).repeat(2, 1, 1, 1))


def test_a_frame_without_a_face_passes_through_with_a_note() -> None:
    """A clip has an AU vector for each frame, so each frame keeps its row."""
    photo = picture(ASTRONAUT)
    clip = torch.cat([photo, torch.rand_like(photo), photo])
    crop, faces, backgrounds = prepare(clip)
    alone = prepare(photo)
    assert crop.pictures == (0, 1, 2) and len(faces) == len(backgrounds) == 3
    for row in (0, 2):
        assert torch.equal(crop.squares[row], alone[0].squares[0])
        assert torch.equal(faces[row], alone[1][0])
        assert torch.equal(backgrounds[row], alone[2][0])
    assert not crop.masks[1].any() and crop.masks[0].any()
    changes = AUVector.stack([SMILE] * 3)
    result = paste(clip, crop, changes, torch.zeros_like(faces))
    assert torch.equal(result[1], clip[1])
    assert not torch.equal(result[0], clip[0]) and not torch.equal(result[2], clip[2])
    said = notes(clip)
    assert "no face found in picture 2" in said and "passes through as it is" in said
    every, found, _ = prepare(clip, face=-1)
    assert every.pictures == (0, 2) and len(found) == 2


def test_one_of_many_faces_by_number_and_order() -> None:
    image = picture(GROUP)
    crops = [
        prepare(image, face=number, order="left to right", mask_rule="face only")[0]
        for number in range(5)
    ]
    centres = [float(crop.squares[0, 0] + crop.squares[0, 2]) for crop in crops]
    assert centres == sorted(centres) and len(set(centres)) == 5
    with pytest.raises(ValueError, match="face 5 asked for, but picture 1 has 5"):
        prepare(image, face=5, mask_rule="face only")


def test_all_faces_at_once() -> None:
    crop, faces, backgrounds = prepare(picture(GROUP), face=-1, mask_rule="face only")
    assert len(crop) == 5 and crop.pictures == (0,) * 5
    assert faces.shape == backgrounds.shape == (5, 128, 128, 3)


def test_a_mask_chooses_the_face_under_it() -> None:
    image = picture(GROUP)
    face = landmarker().detect(image, levels=3)[0][3]
    x0, y0, x1, y1 = face.box.round().int().tolist()
    mask = torch.zeros(1, *image.shape[1:3])
    mask[:, y0:y1, x0:x1] = 1
    (square,) = prepare(image, mask=mask, mask_rule="face only")[0].squares
    assert square[0] < x0 and square[1] < y0 and square[2] > x1 and square[3] > y1
    smaller = interpolate(mask[None], scale_factor=0.25)[0]
    assert torch.equal(prepare(image, mask=smaller, mask_rule="face only")[0].squares[0], square)
    with pytest.raises(ValueError, match="none of the 5 face"):
        prepare(image, mask=torch.zeros_like(mask), mask_rule="face only")


def test_cores_landmarks_are_taken_as_they_are() -> None:
    image = picture(ASTRONAUT)
    frames = landmarker().detect(image)
    landmarks = to_face_landmarks(frames, (512, 512), landmarker().geometry.triangles)
    given = prepare(image, face_landmarks=landmarks)
    found = prepare(image)
    assert (given[0].squares - found[0].squares).abs().max() <= 4
    with pytest.raises(ValueError, match=r"FACE_LANDMARKS are of 1 picture\(s\) of 512 x 512"):
        prepare(picture(GROUP), face_landmarks=landmarks)


def test_a_grey_photo_and_one_with_alpha() -> None:
    image = picture(ASTRONAUT)
    grey = image.mean(-1, keepdim=True)
    alpha = torch.cat([image, torch.rand_like(grey)], -1)
    for photo in (grey, alpha):
        crop, face, _ = prepare(photo)
        edited = paste(photo, crop, SMILE, 1 - face)
        assert edited.shape == photo.shape and not torch.equal(edited, photo)
        assert torch.equal(paste(photo, crop, NOTHING, None), photo)
    assert torch.equal(edited[..., 3], alpha[..., 3])


def test_bisenet_tells_a_person_and_a_face_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save(all_of_class(17), tmp_path / "79999_iter.pth")  # hair everywhere
    known = {"face_analysis": ([str(tmp_path)], {".pth"})}
    monkeypatch.setattr(face_edit.folder_paths, "folder_names_and_paths", known)
    inputs = {"segmenter": "79999_iter.pth"}
    _, face, behind = prepare(picture(ASTRONAUT), mask_rule="whole person", **inputs)
    assert (behind.amax(-1) == 0).float().mean() > 0.9  # all but the jaw's dots
    _, face, behind = prepare(picture(ASTRONAUT), mask_rule="face only", **inputs)
    assert (behind == face).float().mean() > 0.9


def test_a_profile_is_noted() -> None:
    """The photo of a face that is turned by 45 degrees, turned on by squeezing it."""
    image = picture("45-m7-di-ph.jpg")
    yaw = abs(float(face_edit.head_angles(landmarker().detect(image)[0][0].pose)[0]))
    assert ("turned" in notes(image)) == (yaw > face_edit.PROFILE)
    assert "turned" not in notes(picture(ASTRONAUT))


def test_a_small_face_is_noted() -> None:
    assert "small" in notes(picture(ASTRONAUT), size=512)
    note = notes(picture(ASTRONAUT), size=128)
    assert "small" not in note and "looks like a photograph (200 pixels of face)" in note


def test_a_face_cut_by_the_border() -> None:
    image = picture(ASTRONAUT)[:, :, 210:]  # most of the face, its right third is missing
    crop, face, _ = prepare(image)
    assert crop.squares[0, 0] == 0
    edited = paste(image, crop, SMILE, 1 - face)
    assert edited.shape == image.shape and (edited != image).any()


def test_a_6000_pixel_photo() -> None:
    image = enlarged(picture(ASTRONAUT)[:, :, 80:], 12)
    crop, face, _ = prepare(image)
    edited = paste(image, crop, SMILE, 1 - face)
    assert edited.shape == (1, 6144, 5184, 3)
    outside = torch.ones(6144, 5184, dtype=torch.bool)
    x0, y0, x1, y1 = crop.squares[0].tolist()
    outside[y0:y1, x0:x1] = False
    assert torch.equal(edited[0][outside], image[0][outside])


def test_without_a_change_the_photo_itself_comes_out() -> None:
    image = picture(ASTRONAUT)
    crop, face, _ = prepare(image)
    assert paste(image, crop, NOTHING, None) is image
    assert paste(image, crop, NOTHING, face) is image
    asked = NODE["AUA_PasteFace"].check_lazy_status
    assert asked(au_vector=NOTHING) == [] and asked(au_vector=SMILE) == ["edited"]
    assert asked(au_vector=AUVector.parse("L12C")) == ["edited"]


def test_each_picture_of_a_batch_by_itself() -> None:
    images = torch.cat([picture(ASTRONAUT), picture(ASTRONAUT).flip(2)])
    crop, faces, _ = prepare(images)
    result = paste(images, crop, AUVector.stack([NOTHING, SMILE]), 1 - faces)
    assert torch.equal(result[0], images[0]) and not torch.equal(result[1], images[1])


def test_many_changes_of_one_photo() -> None:
    image = picture(ASTRONAUT)
    crop, face, _ = prepare(image)
    change = AUVector.stack([NOTHING, SMILE, AUVector.parse("4C")])
    edited = torch.cat([face, 1 - face, face * 0.5])
    result = paste(image, crop, change, edited)
    assert result.shape == (3, *image.shape[1:])
    assert torch.equal(result[0], image[0])
    for row in (1, 2):
        alone = paste(image, crop, change.face(row), edited[row : row + 1])
        assert torch.equal(result[row], alone[0])


def test_several_faces_of_one_photo() -> None:
    image = picture(GROUP)
    crop, faces, _ = prepare(image, face=-1, mask_rule="face only")
    change = AUVector.stack([SMILE, NOTHING, SMILE, NOTHING, NOTHING])
    result = paste(image, crop, change, 1 - faces)
    assert result.shape == image.shape
    changed = (result[0] != image[0]).any(-1)
    for row, moved in enumerate((True, False, True, False, False)):
        x0, y0, x1, y1 = crop.squares[row].clamp(min=0).tolist()
        centre = changed[(y0 + y1) // 2 - 5 : (y0 + y1) // 2 + 5, (x0 + x1) // 2]
        assert bool(centre.all()) == moved


MISTAKES = {
    "photo": (lambda i, c: (i[:, :100], c, SMILE, i), "IMAGE is 1 picture.s. of 512 x 100"),
    "vectors": (lambda i, c: (i, c, AUVector.stack([SMILE, SMILE]), i), "2 AU vectors, 1 faces, 1"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_a_sentence(mistake: str) -> None:
    make, sentence = MISTAKES[mistake]
    image = picture(ASTRONAUT)
    with pytest.raises(ValueError, match=f"Paste Face: .*{sentence}"):
        paste(*make(image, prepare(image)[0]))


def test_missing_model_files_say_how_to_get_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(face_edit.folder_paths, "get_folder_paths", lambda _: [str(tmp_path)])
    monkeypatch.setenv("AU_ADAPTER_CACHE", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="au-adapter download face-landmarker"):
        prepare(picture(ASTRONAUT))
