"""Load AUEditNet, Invert Face, Apply AUEditNet and Paste Face in this process, on tiny networks."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import folder_paths
import pytest
import torch
from au_adapter_pack.nodes import apply_aueditnet, face_edit, picture_record
from face_pictures import landmarker, picture
from sampling import NODE, run
from tiny_wplus import random_encoder, random_generator, write_e4e, write_ours
from torch import Tensor

from au_adapter import AUVector
from au_adapter.faces import to_face_landmarks
from tools import face_files

ASTRONAUT, GROUP = "astronaut.png", "multi_face.jpg"
SMILE = AUVector.parse("6B+12D")


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A person's models/aueditnet."""
    folder = tmp_path_factory.mktemp("aueditnet")
    write_ours(folder)
    write_e4e(folder / "e4e_ffhq_encode.pt", random_generator(seed=9), random_encoder())
    paths, _ = folder_paths.folder_names_and_paths["aueditnet"]
    paths.insert(0, str(folder))
    yield folder
    paths.remove(str(folder))


@pytest.fixture(autouse=True)
def models(monkeypatch: pytest.MonkeyPatch) -> None:
    """The face reader's files where a person's models/face_analysis would have them."""
    places = folder_paths.get_folder_paths
    files = {"face_analysis": [str(face_files.MODELS)]}
    monkeypatch.setattr(
        face_edit.folder_paths, "get_folder_paths", lambda name: files.get(name) or places(name)
    )


def load(**files: str) -> Any:
    """AUEDITNET of the tiny files."""
    names = {
        "editor_file": "aueditnet.safetensors",
        "generator_file": "wplus.safetensors",
        "encoder_file": "wplus.safetensors",
    }
    return run("AUA_LoadAUEditNet", **{**names, **files})[0]


@cache
def landmarks(name: str, flipped: bool = False) -> dict:
    """The faces of a picture, looked for once for all tests."""
    photo = picture(name).flip(2) if flipped else picture(name)
    found, triangles = landmarker().detect(photo), torch.zeros(0, 3, dtype=torch.long)
    return to_face_landmarks(found, tuple(photo.shape[1:3]), triangles)


def invert(aueditnet: Any, name: str = ASTRONAUT, face: int = 0, flipped=False, **more) -> tuple:
    """Invert Face on a picture of the tests."""
    photo = picture(name).flip(2) if flipped else picture(name)
    inputs = {"image": photo, "face_landmarks": landmarks(name, flipped), "face": face, **more}
    return run("AUA_InvertFace", aueditnet=aueditnet, **inputs)


def apply(aueditnet: Any, latent: Any, aus: AUVector, mode: str = "intensities", **more) -> tuple:
    inputs = {"region": "all", **more}
    return run(
        "AUA_ApplyAUEditNet",
        aueditnet=aueditnet, face_latent=latent, au_vector=aus, mode=mode, **inputs,
    )  # fmt: skip


def paste(image: Tensor, crop: Any, change: AUVector, edited: Tensor) -> Tensor:
    inputs = {"image": image, "face_crop": crop, "au_vector": change, "edited": edited}
    return run("AUA_PasteFace", feather=4.0, **inputs)[0]


def test_a_photo_goes_in_and_comes_out_at_its_own_size() -> None:
    photo, aueditnet = picture(ASTRONAUT), load()
    latent, crop, reconstruction = invert(aueditnet)
    assert latent.codes.shape == (1, 6, 16) and reconstruction.shape == (1, 16, 16, 3)
    image, moved, change = apply(aueditnet, latent, SMILE)
    assert image.shape == (1, 16, 16, 3) and not torch.equal(moved.codes, latent.codes)
    pasted = paste(photo, crop, change, image)
    assert pasted.shape == photo.shape and not torch.equal(pasted, photo)
    x0, y0, x1, y1 = crop.squares[0].clamp(min=0).tolist()
    outside = torch.ones(photo.shape[1:3], dtype=torch.bool)
    outside[y0:y1, x0:x1] = False
    assert torch.equal(pasted[0][outside], photo[0][outside])


def test_no_change_and_the_own_expression_are_the_photo_itself() -> None:
    photo, aueditnet = picture(ASTRONAUT), load()
    latent, crop, _ = invert(aueditnet)
    for more in ({}, {"expression": latent}):
        image, same, change = apply(aueditnet, latent, AUVector.zeros(), "change", **more)
        assert torch.equal(same.codes, latent.codes)
        assert torch.equal(paste(photo, crop, change, image), photo)


def test_zeros_as_intensities_are_asked_for_and_pasted() -> None:
    photo, aueditnet = picture(ASTRONAUT), load()
    latent, crop, _ = invert(aueditnet)
    image, _, change = apply(aueditnet, latent, AUVector.zeros())
    assert not torch.equal(paste(photo, crop, change, image), photo)


def test_many_vectors_of_one_face_and_many_faces_of_one_photo() -> None:
    aueditnet, photo, group = load(), picture(ASTRONAUT), picture(GROUP)
    sweep = AUVector((12,), torch.tensor([[1.0], [3.0], [5.0]]))
    latent, crop, _ = invert(aueditnet)
    image, _, change = apply(aueditnet, latent, sweep)
    assert paste(photo, crop, change, image).shape == (3, *photo.shape[1:])
    all_of_them, crop, _ = invert(aueditnet, GROUP, face=-1)
    assert len(all_of_them) == len(crop) > 1
    image, _, change = apply(aueditnet, all_of_them, SMILE)
    pasted = paste(group, crop, change, image)
    assert pasted.shape == group.shape
    for box in crop.squares.clamp(min=0):
        x0, y0, x1, y1 = box.tolist()
        assert not torch.equal(pasted[0, y0:y1, x0:x1], group[0, y0:y1, x0:x1])


def test_a_mask_chooses_the_face_that_lies_in_it() -> None:
    aueditnet, group = load(), picture(GROUP)
    _, every, _ = invert(aueditnet, GROUP, face=-1)
    x0, y0, x1, y1 = every.squares[1].clamp(min=0).tolist()
    mask = torch.zeros(1, *group.shape[1:3])
    mask[:, y0:y1, x0:x1] = 1
    _, one, _ = invert(aueditnet, GROUP, mask=mask)
    assert torch.equal(one.squares, every.squares[1:2])


def test_an_expression_of_another_face_per_region() -> None:
    aueditnet = load()
    latent, _, _ = invert(aueditnet)
    other, _, _ = invert(aueditnet, flipped=True)
    every, part = (
        apply(aueditnet, latent, AUVector.zeros(), expression=other, region=region)[1]
        for region in ("all", "upper face")
    )
    assert not torch.equal(every.codes, latent.codes)
    assert not torch.equal(part.codes, every.codes)


def test_bad_inputs_are_one_sentence_each() -> None:
    aueditnet = load()
    latent, _, _ = invert(aueditnet)
    with pytest.raises(ValueError, match="^Invert Face: no face found in picture 1"):
        run("AUA_InvertFace", aueditnet=aueditnet, image=torch.zeros(1, 64, 64, 3), face=0)
    with pytest.raises(ValueError, match="^Invert Face: face 7 asked for, but picture 1 has 1"):
        invert(aueditnet, face=7)
    with pytest.raises(ValueError, match="^Invert Face: the picture holds NaN"):
        invert(aueditnet, image=torch.full_like(picture(ASTRONAUT), torch.nan))
    with pytest.raises(ValueError, match="^Apply AUEditNet: left and right differ"):
        apply(aueditnet, latent, AUVector.parse("L12C"))
    with pytest.raises(ValueError, match="^Apply AUEditNet: AU10"):
        apply(aueditnet, latent, AUVector.parse("10C"))
    other = load(generator_file="e4e_ffhq_encode.pt", encoder_file="e4e_ffhq_encode.pt")
    with pytest.raises(ValueError, match="^Apply AUEditNet: FACE_LATENT is a code of another"):
        apply(other, latent, SMILE)
    with pytest.raises(ValueError, match="^Load AUEditNet: .* is no AUEditNet"):
        load(editor_file="wplus.safetensors")
    with pytest.raises(ValueError, match="^Load AUEditNet: .* holds neither a StyleGAN2"):
        load(generator_file="aueditnet.safetensors")


def test_files_that_are_not_there_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apply_aueditnet.folder_paths, "get_full_path", lambda *_: None)
    with pytest.raises(FileNotFoundError, match="no demo_aueditnet.safetensors in .*; put files"):
        load(editor_file="demo_aueditnet.safetensors")


def test_the_licence_of_published_weights_is_shown() -> None:
    files = {name: "e4e_ffhq_encode.pt" for name in ("generator_file", "encoder_file")}
    shown = NODE["AUA_LoadAUEditNet"].execute(editor_file="aueditnet.safetensors", **files).ui
    assert "non-commercial" in shown.as_dict()["text"][0]
    ours = {name: "wplus.safetensors" for name in files}
    assert NODE["AUA_LoadAUEditNet"].execute(editor_file="aueditnet.safetensors", **ours).ui is None


def test_pictures_say_what_was_asked() -> None:
    files = {
        "editor_file": "aueditnet.safetensors",
        "generator_file": "wplus.safetensors",
        "encoder_file": "wplus.safetensors",
    }
    graph = {
        "1": {"class_type": "AUA_LoadAUEditNet", "inputs": files},
        "2": {"class_type": "AUA_AUVector", "inputs": {"au12": 3.0}},
        "3": {
            "class_type": "AUA_ApplyAUEditNet",
            "inputs": {
                "aueditnet": ["1", 0], "face_latent": ["9", 0], "au_vector": ["2", 0],
                "mode": "change", "region": "all",
            },
        },
    }  # fmt: skip
    (record,) = picture_record.graph_records(graph)
    assert record["node"] == "3" and len(record["aueditnet"]) == 16
    assert record["aus"]["faces"] == [{"12": 3.0}]
    assert (record["mode"], record["region"], record["expression"]) == ("change", "all", False)
