"""What the AU estimator learns from: coded labels, natural expressions, other resting faces."""

from __future__ import annotations

import json
import tarfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from face_pictures import TASK, landmarker

from au_adapter.data.rendered import SAMPLE
from au_adapter.data.rendering.head import MIDDLE_UNITS, UNITS, coded
from au_adapter.data.rendering.sample import natural_sides
from au_adapter.estimators import LandmarkEstimator, MeshMeasure
from au_adapter.faces.blendshapes import BLENDSHAPE_NAMES
from au_adapter.training.landmark_cache import LandmarkedSet, read_renders
from au_adapter.training.recipes.estimator_recipe import EstimatorOptions, EstimatorRecipe
from au_adapter.training.resting import RestingFaces, resting_rows, same_person


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shard of the committed sample, its first renders only, where caches may be written."""
    target = tmp_path_factory.mktemp("faces")
    source = sorted(SAMPLE.glob("*.tar"))[0]
    with tarfile.open(source) as whole, tarfile.open(target / source.name, "w") as part:
        for entry in whole.getmembers()[: 3 * 12]:
            part.addfile(entry, whole.extractfile(entry))
    return target


@pytest.fixture(scope="module")
def faces(folder: Path) -> LandmarkedSet:
    return read_renders([folder], TASK)


# Labels


@pytest.mark.parametrize(
    ("units", "expected"),
    [
        ({"12": 3.0}, {"12": 3.0, "25": 0.0, "26": 0.0, "27": 0.0}),
        ({"26": 4.0}, {"25": 4.0, "26": 4.0, "27": 0.0}),
        ({"25": 4.5, "26": 1.0}, {"25": 4.5, "26": 1.0, "27": 0.0}),
        ({"27": 5.0}, {"25": 5.0, "26": 5.0, "27": 5.0}),
        ({"27": 2.75}, {"25": 2.75 * 0.65 / 0.36, "26": 5.0, "27": 0.0}),
        ({"16": 5.0}, {"16": 5.0, "25": 5 * 0.13 / 0.36, "26": 0.0, "27": 0.0}),
    ],
)
def test_a_dropped_jaw_parts_the_lips(units: dict, expected: dict) -> None:
    found = coded(units)
    assert found == pytest.approx(expected, abs=1e-6)


def test_natural_expressions_are_recipes_in_range() -> None:
    rng = np.random.default_rng(5)
    drawn = [natural_sides(rng) for _ in range(600)]
    counts: Counter[int] = Counter()
    for left, right in drawn:
        assert {*left, *right} <= {*UNITS}
        for unit in left:
            assert 0 <= left[unit] <= 5 and 0 <= right[unit] <= 5
            assert unit not in MIDDLE_UNITS or left[unit] == right[unit]
        counts.update(left.keys())
    smiles = [left for left, _ in drawn if left.get(12, 0) > 0.5]
    assert counts[4] > counts[16] and len(smiles) > 60
    assert sum(25 in left or 6 in left for left in smiles) > 0.4 * len(smiles)
    assert sum(left != right for left, right in drawn) > 100


# What the landmarker saw


def test_renders_are_read_once(folder: Path, faces: LandmarkedSet) -> None:
    assert faces.pictures == 12 and len(faces) >= 10
    (kept,) = (folder / "cache").glob("landmarks-*.safetensors")
    before = kept.stat().st_mtime_ns
    again = read_renders([folder, folder], TASK)
    assert kept.stat().st_mtime_ns == before and len(again) == 2 * len(faces)
    assert torch.equal(again.points[: len(faces)], faces.points)
    assert again.labels[0] == faces.labels[0]
    assert not list((folder / "cache").glob("*.partial"))


def test_aus_are_coded_by_side(faces: LandmarkedSet) -> None:
    left, right = (faces.aus(side, (12, 25, 26)) for side in ("left", "right"))
    assert left.shape == (len(faces), 3)
    label = faces.labels[5]
    assert left[5, 0] == pytest.approx(label["left"].get("12", 0.0))
    assert (left[:, 1] >= left[:, 2] - 1e-6).all() and (right[:, 1] >= right[:, 2] - 1e-6).all()


def test_a_persons_relaxed_picture_is_found() -> None:
    def label(person: int, value: float) -> dict:
        return {"identity": person, "left": {"12": value}, "right": {"4": value / 2}}

    labels = [label(1, 3.0), label(1, 0.4), label(2, 2.0), label(2, 1.0), label(1, 0.5)]
    faces = LandmarkedSet(torch.zeros(5, 478, 3), torch.zeros(5, 52), labels, 5)
    rows, known = resting_rows(faces)
    assert rows.tolist() == [1, 1, 3, 3, 1]
    assert known.tolist() == [1, 0, 0, 0, 1]


def test_pictures_of_one_person_are_found() -> None:
    rows = same_person(torch.tensor([7, 8, 7, 7]))
    assert rows.tolist() == [[0, 2, 3], [1, 1, 1], [0, 2, 3], [0, 2, 3]]


def test_scores_are_read_again_from_points(faces: LandmarkedSet) -> None:
    people = RestingFaces(faces, landmarker())
    with torch.no_grad():
        again = people._read_scores(people.points)
    assert (again - faces.blendshapes).abs().max() < 1e-3


def test_a_variant_gives_all_pictures_of_a_person_one_other_resting_face(
    faces: LandmarkedSet,
) -> None:
    people = RestingFaces(faces, landmarker())
    points, scores = people.variant(torch.Generator().manual_seed(3))
    assert (
        scores.shape == (len(faces), len(BLENDSHAPE_NAMES))
        and 0 <= scores.min() <= scores.max() <= 1
    )
    change = points - people.points
    persons = faces.identities()
    for person in persons.unique():
        mine = change[persons == person]
        assert (mine - mine[0]).abs().mean() < 0.05 < mine.abs().mean()
    again = people.variant(torch.Generator().manual_seed(3))
    assert torch.equal(again[0], points) and torch.equal(again[1], scores)


def test_without_a_relaxed_picture_it_says_what_to_render(faces: LandmarkedSet) -> None:
    labels = [{**label, "identity": row} for row, label in enumerate(faces.labels)]
    alone = LandmarkedSet(faces.points, faces.blendshapes, labels, faces.pictures)
    with pytest.raises(ValueError, match="render with --neutral-first"):
        RestingFaces(alone, landmarker())


# The recipe


def test_the_recipe_learns_and_what_it_saves_is_an_estimator(folder: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    recipe = EstimatorRecipe([folder], EstimatorOptions(TASK))
    optimizer = torch.optim.Adam(recipe.module.parameters(), 3e-3)
    losses = []
    for step in range(60):
        loss = recipe.module(recipe.batch(64, torch.Generator().manual_seed(step)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert np.mean(losses[-5:]) < 0.6 * np.mean(losses[:5])
    recipe.save(recipe.module, tmp_path)
    measure = MeshMeasure(tmp_path / "au_estimator.safetensors")
    people = RestingFaces(read_renders([folder], TASK), landmarker())
    points, scores = people.points, people.scores
    found = measure(points, scores)
    assert found.units == UNITS and len(found) == len(recipe.known)
    direct = recipe.module.eval().estimator.read(points, scores)
    assert torch.equal(found.left, direct[0]) and torch.equal(found.right, direct[1])
    assert LandmarkEstimator(measure, landmarker()).units == UNITS
    assert json.dumps(measure.reliability)
