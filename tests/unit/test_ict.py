"""Packing ICT-FaceKit's OBJ files into one npz, on a tiny mesh of the same layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from little_room import largest_file

from au_adapter.data.rendering.ict import convert_folder, read_obj
from au_adapter.disk import FullDiskError

# A unit square and a triangle on top of it, in centimetres.
NEUTRAL = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0.5, 2, 0]], np.float32)
FACES = "vt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\nf 1/1 2/2 3/3 4/4\nf 4/1/1 3/2/1 5/3/1\n"
OFFSETS = {
    "jawOpen": np.array([[0, -1, 0], [0.25, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 3]]),
    "browDown_L": np.array([[0, 0, 0], [0, 0, 0], [0, 0, 0.001], [0, 0, 0], [0, 0, 0]]),
    "nothing": np.zeros((5, 3)),
    "identity000": np.array([[0.5, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0.2, 0], [0, 0, 0]]),
    "identity001": np.array([[0, 0, 0], [0, 0, 0], [0, 0, -0.1], [0, 0, 0], [0, 0, 0]]),
}


def _write(path: Path, vertices: np.ndarray) -> None:
    lines = "".join("v {:.6f} {:.6f} {:.6f}\n".format(*vertex) for vertex in vertices)
    path.write_text(f"# a licence\nmtllib skin.mtl\n{lines}usemtl M_Face\n{FACES}")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "ICT-FaceKit" / "FaceXModel"
    folder.mkdir(parents=True)
    _write(folder / "generic_neutral_mesh.obj", NEUTRAL)
    for name, offset in OFFSETS.items():
        _write(folder / f"{name}.obj", NEUTRAL + offset)
    return folder.parent


def test_the_npz_holds_the_meshes(repository: Path, tmp_path: Path) -> None:
    path = convert_folder(repository, tmp_path / "out" / "model.npz")
    with np.load(path) as arrays:
        np.testing.assert_array_equal(arrays["neutral"], NEUTRAL)
        assert arrays["triangles"].tolist() == [[0, 1, 2], [0, 2, 3], [3, 2, 4]]
        assert arrays["uv_triangles"].tolist() == [[0, 1, 2], [0, 2, 3], [0, 1, 2]]
        assert arrays["uv"].shape == (4, 2)
        assert arrays["expression_names"].tolist() == ["browDown_L", "jawOpen", "nothing"]
        assert arrays["expression"].dtype == np.int16 and arrays["identity"].dtype == np.int8
        assert arrays["triangles"].dtype == np.int32
        for kind, names in (
            ("expression", ("browDown_L", "jawOpen", "nothing")),
            ("identity", ("identity000", "identity001")),
        ):
            scales = arrays[f"{kind}_scale"]
            assert scales.dtype == np.float32 and np.isfinite(scales).all()
            for index, name in enumerate(names):
                offset = arrays[kind][index] * scales[index]
                np.testing.assert_allclose(offset, OFFSETS[name], atol=0.51 * scales[index])
    assert not list(path.parent.glob("*.part*"))


def test_a_pack_that_finds_no_room_leaves_nothing(repository: Path, tmp_path: Path) -> None:
    path = tmp_path / "out" / "model.npz"
    with pytest.raises(FullDiskError, match="model.npz could not be written"), largest_file(1000):
        convert_folder(repository, path)
    assert list(path.parent.iterdir()) == []


def test_the_folder_of_the_meshes_may_be_named_itself(repository: Path, tmp_path: Path) -> None:
    assert convert_folder(repository / "FaceXModel", tmp_path / "model.npz").is_file()


def test_a_folder_without_the_model(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="generic_neutral_mesh.obj in .* FaceXModel folder"):
        convert_folder(tmp_path, tmp_path / "model.npz")


def test_an_incomplete_copy(repository: Path, tmp_path: Path) -> None:
    for mode in repository.glob("FaceXModel/identity*.obj"):
        mode.unlink()
    with pytest.raises(FileNotFoundError, match="3 expressions and 0 identity modes"):
        convert_folder(repository, tmp_path / "model.npz")


def test_a_mesh_that_does_not_fit(repository: Path, tmp_path: Path) -> None:
    _write(repository / "FaceXModel" / "jawOpen.obj", NEUTRAL[:4])
    with pytest.raises(ValueError, match="jawOpen.obj has 4 vertices and .* 5"):
        convert_folder(repository, tmp_path / "model.npz")
    assert not (tmp_path / "model.npz").exists()


def test_a_mesh_without_texture_coordinates(tmp_path: Path) -> None:
    (tmp_path / "bare.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    with pytest.raises(ValueError, match="bare.obj is not a mesh with texture coordinates"):
        read_obj(tmp_path / "bare.obj")
