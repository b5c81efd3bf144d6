"""AU Sweep's list, Label Pictures, Count AU Vectors, and the folders that training offers."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from au_adapter_pack.nodes import train_files
from sampling import run

from au_adapter import AUVector

SWEEP = {"unit": "AU12 lip corner puller", "start": 1.0, "stop": 5.0, "steps": 5}


def test_several_units_run_one_after_another() -> None:
    vectors, labels = run("AUA_AUSweep", **SWEEP, expressions="1, 2, 4, 5, 6, 9, 12, 15")
    lines = labels.splitlines()
    assert len(vectors) == len(lines) == 40
    assert lines[:2] == ["AU1 1", "AU1 2"] and lines[-1] == "AU15 5"
    assert vectors.face(39).dict() == {"15": 5.0}
    assert run("AUA_CountAUVectors", au_vector=vectors) == (40,)


def test_looks_sides_and_notation_stand_in_one_list() -> None:
    vectors, labels = run(
        "AUA_AUSweep", **SWEEP | {"steps": 2}, expressions="Happiness\nL12\n6C+12D"
    )
    assert labels.splitlines() == ["happiness", "LAU12 1", "LAU12 5", "6C+12D"]
    found = [vectors.face(n).dict() for n in range(4)]
    assert found == [{"6": 3.0, "12": 3.0}, {"L12": 1.0}, {"L12": 5.0}, {"6": 3.0, "12": 4.0}]


def test_an_empty_list_is_the_unit_alone() -> None:
    assert run("AUA_AUSweep", **SWEEP, expressions=" \n") == run("AUA_AUSweep", **SWEEP)


def test_a_word_that_is_none_of_them_is_named() -> None:
    with pytest.raises(ValueError, match="AU Sweep: 'smyle' in the list is neither"):
        run("AUA_AUSweep", **SWEEP, expressions="12\nsmyle")


def test_the_rest_of_a_face_stays_in_every_step() -> None:
    rest = AUVector.parse("4C+12A")
    vectors, _ = run("AUA_AUSweep", **SWEEP | {"steps": 1}, expressions="12, 6", au_vector=rest)
    assert [vectors.face(n).dict() for n in range(2)] == [
        {"4": 3.0, "12": 1.0},
        {"4": 3.0, "6": 1.0},
    ]


def test_labels_stand_below_their_pictures() -> None:
    images = torch.rand(3, 32, 48, 3)
    (sheet,) = run("AUA_LabelPictures", images=images, labels="a\nb\nAU12 5 and more", columns=2)
    assert sheet.shape[0] == 1 and sheet.shape[2] > 2 * 48 and sheet.shape[1] > 2 * 32
    assert torch.allclose(sheet[0, 6:38, 6:54], images[0], atol=1 / 254)
    with pytest.raises(ValueError, match="Label Pictures: 2 labels for 3 pictures"):
        run("AUA_LabelPictures", images=images, labels="a\nb", columns=0)


def test_training_offers_labelled_folders_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("holiday", "faces", "shards"):
        (tmp_path / name).mkdir()
    (tmp_path / "faces" / "labels.csv").write_text("file,AU12\n", encoding="utf-8")
    (tmp_path / "shards" / "shard-00000.tar").touch()
    monkeypatch.setattr(train_files.folder_paths, "get_input_directory", lambda: str(tmp_path))
    assert sorted(train_files.labelled_folders()) == ["faces", "shards"]
