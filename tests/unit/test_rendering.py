"""The renderer on a stand-in mesh: same layout as ICT-FaceKit's light model, made of spheres."""

from __future__ import annotations

import json
import sys
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from au_adapter.data import rendered
from au_adapter.data.card import read_card
from au_adapter.data.rendering import dataset, sample
from au_adapter.data.rendering.captions import vocabulary
from au_adapter.data.rendering.head import (
    AU_SHAPES,
    GAZE_SHAPES,
    LANDMARKS_68,
    PARTS,
    VERTEX_COUNT,
    HeadModel,
)
from au_adapter.data.rendering.renderer import Renderer

SIDE = 97  # 97 x 97 is exactly the number of the face's vertices
GRIDS = {"head": (36, 51), "mouth_socket": (33, 62), "teeth": (30, 40),
         "inner_eye_left": (25, 32), "inner_eye_right": (25, 32)}  # fmt: skip
MIDDLE_SHAPES = {"jawOpen", "mouthPucker", "mouthFunnel", "mouthShrugLower", "mouthShrugUpper",
                 "mouthRollUpper", "mouthRollLower"}  # fmt: skip
# Outline of half a face: x to the subject's left and y, cm, by landmark number.
HALF_FACE = {
    8: (0, -7.6), 9: (1.5, -7.2), 10: (3, -6.9), 11: (4.3, -6.2), 12: (5.7, -4.5), 13: (6.5, -2.4),
    14: (6.9, -0.5), 15: (7.3, 1.5), 16: (7.4, 3.7), 22: (1.2, 5.9), 23: (2.4, 6.2), 24: (3.8, 6.3),
    25: (4.9, 6.0), 26: (5.8, 5.2), 27: (0, 3.7), 28: (0, 2.6), 29: (0, 1.6), 30: (0, 0.4),
    33: (0, -1.2), 34: (0.6, -1.1), 35: (1.3, -1.1), 42: (1.8, 3.2), 43: (2.8, 3.9), 44: (3.9, 3.9),
    45: (4.5, 3.4), 46: (3.9, 3.1), 47: (2.7, 3.1), 51: (0, -2.5), 52: (0.7, -2.4), 53: (1.7, -2.8),
    54: (2.5, -3.5), 55: (1.8, -4.1), 56: (1, -4.3), 57: (0, -4.4), 62: (0, -3.3), 63: (1, -3.3),
    64: (2.2, -3.5), 65: (1.1, -3.4), 66: (0, -3.4),
}  # fmt: skip
MIRROR = {**{i: 16 - i for i in range(8)}, **{17 + i: 26 - i for i in range(5)}, 31: 35, 32: 34,
          36: 45, 37: 44, 38: 43, 39: 42, 40: 47, 41: 46, 48: 54, 49: 53, 50: 52, 58: 56, 59: 55,
          60: 64, 61: 63, 67: 65}  # fmt: skip


def _landmark_plane() -> np.ndarray:
    points = np.zeros((68, 2))
    for number in range(68):
        x, y = HALF_FACE[MIRROR.get(number, number)]
        points[number] = (-x if number in MIRROR else x), y
    return points


def _front(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Depth of the stand-in's face."""
    return 10.5 * np.sqrt(np.clip(1 - (x / 9.3) ** 2 - ((y - 2) / 16.5) ** 2, 0.01, 1))


def _grid(rows: int, columns: int, offset: int = 0) -> np.ndarray:
    i, j = np.meshgrid(np.arange(rows - 1), np.arange(columns - 1), indexing="ij")
    a = (i * columns + j).ravel() + offset
    b, c, d = a + 1, a + columns, a + columns + 1
    return np.concatenate([np.stack([a, b, c], 1), np.stack([b, d, c], 1)])


def _face() -> tuple[np.ndarray, np.ndarray]:
    x, y = np.meshgrid(np.linspace(-9, 9, SIDE), np.linspace(-13, 14, SIDE))
    points = np.stack([x.ravel(), y.ravel()], 1)
    where = np.arange(len(points))
    at = {int(vertex): vertex for vertex in where}
    for landmark, vertex in zip(_landmark_plane(), LANDMARKS_68, strict=True):
        distance = np.linalg.norm(points - landmark, axis=1)
        for place in np.argsort(distance):
            owner = int(where[place])
            if owner == vertex or owner not in LANDMARKS_68:
                break
        old = at[vertex]
        where[place], where[old] = vertex, owner
        at[vertex], at[owner] = int(place), old
        points[place] = landmark
    vertices = np.zeros((SIDE * SIDE, 3))
    vertices[where] = np.c_[points, _front(points[:, 0], points[:, 1])]
    return vertices, where[_grid(SIDE, SIDE)]


def _ball(rows: int, columns: int, centre, radius, low=0.0, high=np.pi) -> np.ndarray:
    """Part of a ball around the y axis; azimuth low..high, 90 degrees = towards the viewer."""
    polar, azimuth = np.meshgrid(
        np.linspace(0.05, np.pi - 0.05, rows), np.linspace(high, low, columns), indexing="ij"
    )
    unit = [np.sin(polar) * np.cos(azimuth), np.cos(polar), np.sin(polar) * np.sin(azimuth)]
    return np.stack(unit, -1).reshape(-1, 3) * radius + np.asarray(centre)


def _neutral() -> tuple[np.ndarray, np.ndarray]:
    vertices, triangles = np.zeros((VERTEX_COUNT, 3)), []
    face, face_triangles = _face()
    vertices[: len(face)] = face
    triangles.append(face_triangles)
    shapes = {
        "head": _ball(*GRIDS["head"], (0, 2, 0), (9, 12.5, 7), np.pi, 2 * np.pi),
        "mouth_socket": _ball(*GRIDS["mouth_socket"], (0, -3.4, 7.0), (2.4, 1.6, 1.0)),
        "teeth": _ball(*GRIDS["teeth"], (0, -3.4, 7.5), (2.0, 0.8, 1.5)),
        "inner_eye_left": _ball(*GRIDS["inner_eye_left"], (3.15, 3.4, 8.4), 1.4),
        "inner_eye_right": _ball(*GRIDS["inner_eye_right"], (-3.15, 3.4, 8.4), 1.4),
    }
    for name, points in shapes.items():
        first = PARTS[name][0]
        vertices[first : first + len(points)] = points
        triangles.append(_grid(*GRIDS[name], offset=first))
    return vertices.astype(np.float32), np.concatenate(triangles).astype(np.int32)


def _bump(vertices: np.ndarray, centre, width: float, move) -> np.ndarray:
    away = ((vertices - np.asarray(centre)) ** 2).sum(1, keepdims=True)
    return np.exp(-0.5 * away / width**2) * np.asarray(move, float)


def _shape(name: str, vertices: np.ndarray) -> np.ndarray:
    side = {"L": 1, "R": -1}.get(name[-1], 0) if "_" in name else 0
    if name == "jawOpen":
        down = np.clip((-3.3 - vertices[:, 1:2]) / 1.5, 0, 1) * (vertices[:, 2:] > 2)
        return down * np.array([0, -3.5, 0])
    place = np.array([side * 2.5, -3.5, 10.0])
    if name.startswith(("brow", "eye", "cheek")):
        place = np.array([side * 3.5, 6.0 if name.startswith("brow") else 3.4, 9.0])
    move = (side * 0.4, -0.7 if "Down" in name or "Frown" in name else 0.7, 0)
    return _bump(vertices, place, 0.9, move)


@pytest.fixture(scope="session")
def model_path(tmp_path_factory) -> Path:
    vertices, triangles = _neutral()
    wanted = sorted({shape for gains in AU_SHAPES.values() for shape in gains} | set(GAZE_SHAPES))
    names = [n + s for n in wanted for s in ([""] if n in MIDDLE_SHAPES else ["_L", "_R"])]
    offsets = np.stack([_shape(name, vertices) for name in names])
    scale = np.abs(offsets).max((1, 2)) / 32000
    rng = np.random.default_rng(0)
    weights = rng.normal(0, 0.012, (100, 3, 3))
    identity = np.einsum("vi,mij->mvj", vertices, weights)
    identity_scale = np.abs(identity).max((1, 2)) / 127
    path = tmp_path_factory.mktemp("model") / "stand_in.npz"
    np.savez(
        path, neutral=vertices, triangles=triangles, expression_names=np.array(names),
        expression=np.round(offsets / scale[:, None, None]).astype(np.int16),
        expression_scale=scale.astype(np.float32),
        identity=np.round(identity / identity_scale[:, None, None]).astype(np.int8),
        identity_scale=identity_scale.astype(np.float32),
    )  # fmt: skip
    return path


@pytest.fixture(scope="session")
def renderer(model_path) -> Renderer:
    return Renderer(model_path, 64)


@pytest.fixture(scope="session")
def person(renderer) -> sample.Person:
    return sample.sample_person(3, renderer.model.masculine)


@pytest.fixture(scope="session")
def scene() -> sample.Scene:
    drawn = sample.sample_scene(np.random.default_rng(0))
    return replace(drawn, yaw=0.0, pitch=0.0, roll=0.0, gaze=(0.0, 0.0))


def _files(folder: Path) -> dict[str, bytes]:
    found = {}
    for shard in sorted(folder.glob("*.tar")):
        with tarfile.open(shard) as tar:
            found.update({e.name: tar.extractfile(e).read() for e in tar})
    return found


def test_picture_is_not_blank_and_mask_covers_the_face(renderer, person, scene):
    drawn = renderer.render(person, scene, sample.Expression())
    assert drawn.image.shape == (64, 64, 3) and drawn.image.std() > 10
    assert 0.3 < (drawn.mask > 128).mean() < 0.99
    nose_x, nose_y = drawn.landmarks[30].astype(int)
    assert drawn.mask[nose_y, nose_x] == 255


def test_same_arguments_same_picture_also_after_another_person(renderer, person, scene):
    expression = sample.Expression({12: 3.0}, {12: 3.0})
    first = renderer.render(person, scene, expression).image
    renderer.render(sample.sample_person(4, renderer.model.masculine), scene, expression)
    assert np.array_equal(first, renderer.render(person, scene, expression).image)


def test_jaw_drop_lowers_the_chin_on_the_picture(renderer, person, scene):
    rest = renderer.render(person, scene, sample.Expression())
    drop = renderer.render(person, scene, sample.Expression({26: 5.0}, {26: 5.0}))
    assert drop.landmarks[8, 1] > rest.landmarks[8, 1] + 3
    assert np.array_equal(drop.jaw, rest.jaw)  # MagicFace's jaw line knows no expression
    assert np.allclose(rest.jaw, rest.landmarks[:17], atol=1e-3)
    assert np.abs(drop.landmarks[27] - rest.landmarks[27]).max() < 0.5
    assert np.abs(drop.image.astype(int) - rest.image).max() > 30


def test_left_lip_corner_moves_alone(renderer, person, scene):
    rest = renderer.render(person, scene, sample.Expression())
    left = renderer.render(person, scene, sample.Expression({12: 5.0}, {}))
    moved = np.linalg.norm(left.landmarks - rest.landmarks, axis=1)
    assert moved[54] > 1.0 and moved[48] < 0.1
    assert left.landmarks[54, 0] > 32  # the subject's left is the picture's right
    assert sample.Expression({12: 5.0}, {}).units() == {12: 2.5}


@pytest.mark.parametrize("unit", sorted(AU_SHAPES))
def test_every_unit_changes_the_picture(renderer, person, scene, unit):
    rest = renderer.render(person, scene, sample.Expression()).image.astype(int)
    drawn = renderer.render(person, scene, sample.Expression({unit: 5.0}, {unit: 5.0})).image
    assert np.abs(drawn - rest).max() > 12


def test_yaw_turns_to_the_pictures_right(renderer, person, scene):
    straight = renderer.render(person, scene, sample.Expression())
    turned = renderer.render(person, replace(scene, yaw=20.0), sample.Expression())
    assert turned.landmarks[30, 0] > straight.landmarks[30, 0] + 3
    up = renderer.render(person, replace(scene, pitch=15.0), sample.Expression())
    assert up.landmarks[30, 1] < straight.landmarks[30, 1] - 1


def test_shards_do_not_depend_on_workers_or_interruptions(model_path, tmp_path):
    settings = {"size": 32, "seed": 5, "expressions": "full", "shard_size": 4}
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    paths = dataset.render_dataset(model_path, whole, 7, **settings)
    dataset.render_dataset(model_path, broken, 7, **settings)
    (broken / "shard-00000.tar").unlink()
    (broken / "shard-00000.1.partial").write_bytes(b"cut off")
    kept = (broken / "shard-00001.tar").stat().st_mtime_ns
    dataset.render_dataset(model_path, broken, 7, **settings)
    assert (broken / "shard-00001.tar").stat().st_mtime_ns == kept
    assert [p.name for p in paths] == ["shard-00000.tar", "shard-00001.tar"]
    assert _files(whole) == _files(broken) and len(_files(whole)) == 21
    dataset.render_dataset(model_path, tmp_path / "grown", 5, **settings)
    dataset.render_dataset(model_path, tmp_path / "grown", 7, **settings)
    assert _files(tmp_path / "grown") == _files(whole)


def test_two_workers_write_what_one_writes(model_path, tmp_path):
    dataset.render_dataset(model_path, tmp_path / "one", 6, size=32, seed=9, shard_size=2)
    dataset.render_dataset(
        model_path, tmp_path / "two", 6, size=32, seed=9, shard_size=2, workers=2
    )
    assert _files(tmp_path / "one") == _files(tmp_path / "two")
    assert read_card(tmp_path / "one") == read_card(tmp_path / "two")


def test_other_settings_in_the_same_folder_are_refused(model_path, tmp_path):
    dataset.render_dataset(model_path, tmp_path, 1, size=32, seed=5)
    with pytest.raises(ValueError, match="choose another"):
        dataset.render_dataset(model_path, tmp_path, 1, size=32, seed=6)


def test_neutral_first_gives_each_identity_a_relaxed_picture(model_path, tmp_path):
    dataset.render_dataset(
        model_path, tmp_path, 6, size=32, seed=3, images_per_identity=3, neutral_first=True
    )
    strongest = rendered.load(tmp_path).aus.max(1)
    assert strongest[[0, 3]].max() <= 0.5 < strongest[[1, 2, 4, 5]].max()


def test_pictures_of_one_scene_differ_in_their_expression_alone(model_path, tmp_path):
    settings = {"size": 32, "seed": 3, "images_per_identity": 2, "neutral_first": True}
    dataset.render_dataset(model_path, tmp_path, 4, one_scene=True, **settings)
    faces = rendered.load(tmp_path)
    assert [label["scene"] for label in faces.labels] == [0, 0, 1, 1]
    for first, second in ((0, 1), (2, 3)):
        assert faces.labels[first]["pose"] == faces.labels[second]["pose"]
        changed = (faces.images[first] != faces.images[second]).any(-1)
        assert changed.any() and not changed[(faces.masks[[first, second]] == 0).all(0)].any()
    assert faces.labels[0]["pose"] != faces.labels[2]["pose"]


def test_load_gives_back_what_was_labelled(model_path, tmp_path):
    dataset.render_dataset(
        model_path, tmp_path, 6, size=32, seed=2, expressions="full", first_identity=100
    )
    loaded = rendered.load(tmp_path, limit=5, units=tuple(AU_SHAPES))
    labels = [s["label"] for s in rendered.iterate(tmp_path)]
    assert len(labels) == 6 and len(loaded) == 5
    assert loaded.images.shape == (5, 32, 32, 3) and loaded.images.dtype == np.uint8
    assert loaded.identity.tolist() == [100, 100, 100, 100, 101]
    assert loaded.boxes.shape == (5, 4, 4) and loaded.landmarks.shape == (5, 68, 2)
    assert np.allclose(loaded.aus, (loaded.left + loaded.right) / 2, atol=1e-3)
    assert len(labels[0]["jaw"]) == 17 and json.dumps(labels[0])
    words = set(vocabulary())
    assert all(set(c.replace(",", " ,").split()) <= words for c in loaded.captions)


def test_in_a_mirror_left_is_right(model_path, tmp_path):
    dataset.render_dataset(model_path, tmp_path, 4, size=32, seed=2, expressions="sided")
    faces = rendered.load(tmp_path, units=tuple(AU_SHAPES))
    faces.captions[:2] = ["a man, facing left", "a woman, facing right"]
    there = rendered.mirrored(faces)
    assert (there.images[:, :, 0] == faces.images[:, :, -1]).all()
    assert (there.left == faces.right).all() and (there.aus == faces.aus).all()
    assert there.captions[:2] == ["a man, facing right", "a woman, facing left"]
    at, back = there.box_names.index("left_eye"), faces.box_names.index("right_eye")
    assert np.allclose(there.boxes[:, at, 0] + faces.boxes[:, back, 2], 32)
    again = rendered.mirrored(there)
    assert np.allclose(again.boxes, faces.boxes) and again.captions == faces.captions


@pytest.mark.parametrize("mode", ["au", "full"])
def test_only_chosen_units_are_drawn(mode):
    chosen = (1, 5, 17)
    drawn = [sample.sample_expression(np.random.default_rng(i), mode, chosen) for i in range(200)]
    assert {u for e in drawn for u in e.left} == set(chosen)
    assert any(len(e.left) == 3 for e in drawn), "as many as six are wanted, there are three"


def test_chosen_units_are_checked_and_kept_apart(model_path, tmp_path):
    dataset.render_dataset(model_path, tmp_path, 2, size=32, units=(1, 5))
    labels = [s["label"] for s in rendered.iterate(tmp_path)]
    assert all(set(label["units"]) <= {"1", "5"} for label in labels)
    dataset.render_dataset(model_path, tmp_path, 2, size=32, units=[1, 5])
    with pytest.raises(ValueError, match="choose another"):
        dataset.render_dataset(model_path, tmp_path, 2, size=32)
    with pytest.raises(ValueError, match="can be rendered, 1, 2.*found 3, 5"):
        dataset.render_dataset(model_path, tmp_path / "b", 2, units=(3, 5))
    with pytest.raises(ValueError, match="not natural"):
        dataset.render_dataset(model_path, tmp_path / "c", 2, expressions="natural", units=(5,))


@pytest.mark.parametrize("mode", sample.EXPRESSIONS)
def test_expression_modes(mode):
    drawn = [sample.sample_expression(np.random.default_rng(i), mode) for i in range(400)]
    values = [v for e in drawn for v in [*e.left.values(), *e.right.values()]]
    assert min(values) >= 0 and max(values) <= 5
    uneven = [e for e in drawn if e.left != e.right]
    moods = {e.mood for e in drawn}
    if mode == "neutral":
        assert max(values) <= 0.5
    if mode == "au":
        assert {u for e in drawn for u in e.left} == set(sample.SET_A) and moods == {""}
        assert 15 < sum(not e.left for e in drawn) < 55
    if mode in sample.ONE_SIDED:
        assert {u for e in drawn for u in e.left} == set(AU_SHAPES)
    if mode in ("full", "natural", "sided"):
        assert len(uneven) > (250 if mode == "sided" else 50)
    else:
        assert not uneven
    if mode == "base":
        assert moods == {"", "smiling", "making a face"}
    if mode == "expressive":
        assert moods == {"making a face"} and all(e.left for e in drawn)


def test_identity_keeps_its_looks_and_sets_do_not_share_them(renderer):
    direction = renderer.model.masculine
    first, again = (sample.sample_person(8, direction) for _ in range(2))
    other = sample.sample_person(9, direction)
    assert np.array_equal(first.weights, again.weights)
    assert first.texture_seed == again.texture_seed != other.texture_seed


def test_missing_model_missing_shards_and_bad_arguments(model_path, tmp_path):
    with pytest.raises(FileNotFoundError, match="au-adapter download ict-facekit"):
        dataset.render_dataset(tmp_path / "none.npz", tmp_path, 1)
    with pytest.raises(FileNotFoundError, match="au-adapter download"):
        HeadModel(tmp_path / "none.npz")
    np.savez(tmp_path / "other.npz", neutral=np.zeros(3))
    with pytest.raises(ValueError, match="not an ICT-FaceKit light model"):
        HeadModel(tmp_path / "other.npz")
    with pytest.raises(FileNotFoundError, match="au-adapter render"):
        rendered.load(tmp_path / "empty")
    with pytest.raises(ValueError, match="expressions must be one of"):
        dataset.render_dataset(model_path, tmp_path, 1, expressions="happy")
    with pytest.raises(ValueError, match="unit 99"):
        HeadModel(model_path).express(np.zeros((1, 3)), {99: 1.0}, {})


def test_without_opengl_one_sentence_names_the_packages(monkeypatch):
    import moderngl

    from au_adapter.data.rendering import renderer as module

    def broken(**_):
        raise OSError("libEGL.so.1 not found")

    monkeypatch.setattr(moderngl, "create_standalone_context", broken)
    with pytest.raises(RuntimeError, match="libegl1 and libgl1-mesa-dri"):
        module._context()
    monkeypatch.setitem(sys.modules, "moderngl", None)
    with pytest.raises(RuntimeError, match="pip install moderngl"):
        module._context()


def test_committed_sample_pairs_pictures_by_identity():
    loaded = rendered.load(rendered.SAMPLE, units=tuple(AU_SHAPES))
    assert loaded.images.shape == (240, 128, 128, 3)
    assert set(np.unique(loaded.identity, return_counts=True)[1]) == {4}
    assert loaded.aus[::4].max() <= 0.5 and (loaded.aus.max(0) > 2).all()
    assert (loaded.left != loaded.right).any()
