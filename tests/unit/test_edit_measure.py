"""Identity, background and pose of edits, on renders whose people and poses are known."""

from __future__ import annotations

import functools
import math

import pytest
import torch
from face_pictures import landmarker, segmenter
from torch import Tensor

from au_adapter.data.rendered import SAMPLE, RenderedSet, load
from au_adapter.evaluation.appearance import WIDTH, Appearance
from au_adapter.evaluation.edits import MEASURES, EditMeasure

PEOPLE = 8  # four pictures of each


@functools.cache
def renders() -> RenderedSet:
    return load(SAMPLE, 4 * PEOPLE)


@functools.cache
def pictures() -> Tensor:
    return torch.from_numpy(renders().images).float() / 255


@functools.cache
def measure() -> EditMeasure:
    return EditMeasure(landmarker(), segmenter())


def test_people_are_told_apart() -> None:
    seen = Appearance(landmarker(), segmenter())(pictures())
    assert seen.shape == (4 * PEOPLE, WIDTH) and seen.isfinite().all()
    who = torch.from_numpy(renders().identity)
    same = (who[:, None] == who) & ~torch.eye(len(who), dtype=torch.bool)
    distances = torch.cdist(seen, seen)
    nearer = distances[same][:, None] < distances[who[:, None] != who]
    assert nearer.float().mean() > 0.85


def test_a_picture_is_itself() -> None:
    found = measure()(pictures()[:2], pictures()[:2])
    assert tuple(found) == MEASURES and all((value == 0).all() for value in found.values())


def test_the_background_is_what_lies_outside_the_person() -> None:
    photo = pictures()[:1]
    person = measure().person(photo)[..., None]
    assert measure()(torch.where(person, 1 - photo, photo), photo)["background_rmse"] == 0
    changed = measure()(torch.where(person, photo, (photo + 0.1).clamp(max=1)), photo)
    assert 0.05 < float(changed["background_rmse"]) <= 0.1 + 1e-6


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
    once, twice = measure()(torch.cat([photo * 0.75, photo * 0.5]), photo)["identity_l2"].tolist()
    assert 0.1 < once < twice


def test_one_photo_stands_for_all_of_its_edits() -> None:
    photo, edited = pictures()[:1], pictures()[1:3]
    alone, copies = (measure()(edited, of) for of in (photo, photo.expand_as(edited)))
    for name in MEASURES:
        torch.testing.assert_close(alone[name], copies[name])


def test_no_face_is_no_number() -> None:
    photo = pictures()[:1]
    found = measure()(torch.cat([torch.zeros_like(photo), photo]), photo.expand(2, -1, -1, -1))
    for name in ("identity_l2", "head_pose_rmse"):
        lost, there = found[name].tolist()
        assert math.isnan(lost) and there == pytest.approx(0, abs=1e-4)
