"""Look, background and pose of edits, on renders whose people and poses are known."""

from __future__ import annotations

import functools
import math

import pytest
import torch
from face_pictures import SEGMENTER, TASK, landmarker, segmenter
from torch import Tensor

from au_adapter.data.rendered import SAMPLE, RenderedSet, load
from au_adapter.evaluation.comparison import Comparison, comparison
from au_adapter.evaluation.observed import WIDTH, Observed

MEASURES = ("background_rmse", "person_rmse", "head_pose_rmse", "look")
PEOPLE = 8  # four pictures of each


@functools.cache
def renders() -> RenderedSet:
    return load(SAMPLE, 4 * PEOPLE)


@functools.cache
def pictures() -> Tensor:
    return torch.from_numpy(renders().images).float() / 255


@functools.cache
def measure() -> Comparison:
    return comparison([TASK.parent, SEGMENTER.parent])


def observed(images: Tensor) -> Observed:
    return Observed(images, landmarker(), segmenter())


def test_people_are_told_apart() -> None:
    seen = observed(pictures()).appearance
    assert seen.shape == (4 * PEOPLE, WIDTH) and seen.isfinite().all()
    who = torch.from_numpy(renders().identity)
    same = (who[:, None] == who) & ~torch.eye(len(who), dtype=torch.bool)
    distances = torch.cdist(seen, seen)
    nearer = distances[same][:, None] < distances[who[:, None] != who]
    assert nearer.float().mean() > 0.85


def test_a_picture_is_itself() -> None:
    found = measure()(pictures()[:2], pictures()[:2])
    assert tuple(found) == ("picture_rmse", *MEASURES)
    assert all((value == 0).all() for value in found.values())


@pytest.mark.parametrize(
    ("metric", "mask"), [("background_rmse", "ovals"), ("person_rmse", "people")]
)
def test_the_background_is_what_lies_outside_the_mask(metric: str, mask: str) -> None:
    """Pixels that change inside the mask of the photo cost nothing, those outside cost what they
    changed by. The mask of the edit is held to the photo's, as inverted faces are lost."""
    photo = pictures()[:1]
    inside = getattr(observed(photo), mask)[..., None] > 0
    inner = torch.where(inside, (photo + 0.1).clamp(max=1), photo)
    outer = torch.where(inside, photo, (photo + 0.1).clamp(max=1))
    assert measure()(inner, photo)[metric] == 0
    assert 0.05 < float(measure()(outer, photo)[metric]) <= 0.1 + 1e-6


def test_the_face_is_a_part_of_the_person_and_hair_is_background() -> None:
    seen = observed(pictures()[:4])
    face, person = seen.ovals > 0, seen.people > 0
    assert (face & person).sum() > 0.95 * face.sum() and person.sum() > 1.3 * face.sum()
    hair = (person & ~face)[..., None]
    cut = torch.where(hair, 1 - pictures()[:4], pictures()[:4])
    found = measure()(cut, pictures()[:4])
    assert (found["background_rmse"] > 2 * found["person_rmse"]).all()


def test_the_pose_is_the_renders_own() -> None:
    """Against the angles that the heads were turned by."""
    rows = [(a, a + 1) for a in range(0, 16, 2)]
    first, second = (pictures()[list(side)] for side in zip(*rows, strict=True))
    found = measure()(second, first)["head_pose_rmse"]
    angles = ("yaw", "pitch", "roll")
    poses = torch.tensor([[label["pose"][name] for name in angles] for label in renders().labels])
    turned = torch.stack([poses[b] - poses[a] for a, b in rows]).square().mean(1).sqrt()
    assert torch.corrcoef(torch.stack([found, turned]))[0, 1] > 0.8


def test_a_darker_picture_is_another_look() -> None:
    photo = pictures()[:1]
    once, twice = measure()(torch.cat([photo * 0.75, photo * 0.5]), photo)["look"].tolist()
    assert 0.1 < once < twice


def test_one_photo_stands_for_all_of_its_edits() -> None:
    photo, edited = pictures()[:1], pictures()[1:3]
    alone, copies = (measure()(edited, of) for of in (photo, photo.expand_as(edited)))
    for name in MEASURES:
        torch.testing.assert_close(alone[name], copies[name])


def test_no_face_is_no_number() -> None:
    photo = pictures()[:1]
    found = measure()(torch.cat([torch.zeros_like(photo), photo]), photo.expand(2, -1, -1, -1))
    for name in ("look", "background_rmse", "head_pose_rmse"):
        lost, there = found[name].tolist()
        assert math.isnan(lost) and there == pytest.approx(0, abs=1e-4)
