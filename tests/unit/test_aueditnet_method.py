"""AUEditNet as a method: photos of any size, numbers, changes and expressions of others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from face_pictures import TASK, picture
from tiny_wplus import random_editor, random_encoder, random_generator, write_e4e, write_ours

from au_adapter import AUVector, open_editor
from au_adapter.bundled import FOLDER_VARIABLE
from au_adapter.facs import REGIONS, SET_A
from au_adapter.methods.aueditnet_editor import AUEditNetEditor, AUEditNetPhoto
from au_adapter.methods.wplus_editing import FaceLatent, drawn, edited, read_aus, relaxed
from au_adapter.models.stylegan2 import StyleGAN2Config
from au_adapter.weights.aueditnet_files import load_aueditnet, save_aueditnet
from au_adapter.weights.wplus_files import load_wplus

ASTRONAUT = "astronaut.png"
SMILES = AUVector((6, 12), torch.tensor([[0.0, 0.0], [3.0, 5.0], [3.0, 5.0]]))


@pytest.fixture(scope="module", autouse=True)
def landmarker_at_hand():
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AU_ADAPTER_FACE_LANDMARKER", str(TASK))
        yield


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    generator, editor = write_ours(tmp_path_factory.mktemp("aueditnet"))
    return {"generator": generator, "editor": editor}


@pytest.fixture(scope="module")
def editor(files: dict[str, Path]) -> AUEditNetEditor:
    return open_editor("aueditnet", **files)


@pytest.fixture(scope="module")
def opened(editor: AUEditNetEditor) -> AUEditNetPhoto:
    return editor.open(picture(ASTRONAUT))


def test_it_says_what_it_is(editor: AUEditNetEditor) -> None:
    assert (editor.name, editor.units, editor.sides) == ("AUEditNet", SET_A, False)
    assert editor.scale == "absolute" and editor.changed(mode="change").scale == "change"
    settings = editor.settings()
    assert settings["mode"] == "intensities" and json.loads(json.dumps(settings)) == settings


def test_an_edit_has_the_photos_size_and_depends_on_the_aus_alone(opened: AUEditNetPhoto) -> None:
    photo = opened.photo
    pictures = opened.edit(SMILES, seed=1)
    assert pictures.shape == (3, *photo.shape[1:]) and pictures.isfinite().all()
    assert torch.equal(pictures[1], pictures[2]) and not torch.equal(pictures[0], pictures[1])
    assert torch.equal(opened.edit(SMILES, seed=2), pictures)
    low, high = opened.crop.squares[0].clamp(min=0).reshape(2, 2)
    outside = torch.ones(photo.shape[1:3], dtype=torch.bool)
    outside[low[1] : high[1], low[0] : high[0]] = False
    assert outside.any() and torch.equal(pictures[1][outside], photo[0][outside])


def test_no_change_and_the_own_expression_are_the_photo_itself(opened: AUEditNetPhoto) -> None:
    slider = opened.editor.changed(mode="change").open(opened.photo)
    nothing = slider.edit(AUVector.stack([AUVector.zeros(), AUVector.parse("12C")]))
    assert torch.equal(nothing[0], opened.photo[0])
    assert not torch.equal(nothing[1], opened.photo[0])
    assert torch.equal(opened.express(opened), opened.photo)
    assert torch.equal(opened.express(opened, region="lower face"), opened.photo)


def test_an_expression_is_taken_and_then_changed(editor: AUEditNetEditor, opened) -> None:
    other = editor.open(picture(ASTRONAUT).flip(2))
    taken = opened.express(other)
    assert not torch.equal(taken, opened.photo)
    more = opened.express(other, AUVector.parse("12C"))
    assert not torch.equal(more, taken)


def test_the_change_that_was_made_is_told() -> None:
    network, codes = random_editor(), FaceLatent(torch.randn(1, 6, 16), "here")
    read = read_aus(network, codes).values
    _, asked = edited(network, codes, AUVector.parse("12C"))
    torch.testing.assert_close(asked.values, AUVector.parse("12C").dense(SET_A) - read)
    _, added = edited(network, codes, AUVector.parse("12C") * -1, "change")
    torch.testing.assert_close(added.values, -AUVector.parse("12C").dense(SET_A))
    other = FaceLatent(torch.randn(1, 6, 16), "here")
    _, taken = edited(network, codes, AUVector.zeros(), expression=other)
    torch.testing.assert_close(taken.values, read_aus(network, other).values - read)
    kept, none = edited(network, codes, AUVector.zeros(), expression=codes)
    assert torch.equal(kept.codes, codes.codes) and not none.values.any()


def test_only_aus_of_the_region_change() -> None:
    network, codes = random_editor(), FaceLatent(torch.randn(1, 6, 16), "here")
    other = FaceLatent(torch.randn(1, 6, 16), "here")
    upper = torch.tensor([unit in REGIONS["upper face"] for unit in SET_A])
    asked = AUVector.parse("1C+12C")
    for more in ({}, {"expression": other}):
        latent, change = edited(network, codes, asked, region="upper face", **more)
        assert not change.values[0, ~upper].any() and not torch.equal(latent.codes, codes.codes)
    same, change = edited(network, codes, AUVector.parse("12C"), "change", "upper face")
    assert torch.equal(same.codes, codes.codes) and not change.values.any()


def test_a_relaxed_face_and_its_picture(editor: AUEditNetEditor, opened: AUEditNetPhoto) -> None:
    calm = relaxed(editor.network, opened.latent)
    told = []
    pictures = drawn(editor.wplus.generator, calm, lambda *done: told.append(done))
    assert pictures.shape == (1, 16, 16, 3) and told == [(1, 1)]
    assert not torch.equal(pictures, opened.reconstruction())


def test_one_code_and_many_vectors_or_as_many_of_each() -> None:
    network, three = random_editor(), FaceLatent(torch.randn(3, 6, 16), "here")
    assert len(edited(network, three, AUVector.parse("12C"))[0]) == 3
    assert len(edited(network, three, SMILES)[0]) == 3
    with pytest.raises(ValueError, match="3 faces, 2 AU vectors do not go together"):
        edited(network, three, AUVector((12,), torch.ones(2, 1)))


def test_what_cannot_be_asked_is_a_sentence(editor: AUEditNetEditor, opened) -> None:
    with pytest.raises(ValueError, match="left and right differ"):
        opened.edit(AUVector.parse("L12C"))
    with pytest.raises(ValueError, match="AU10"):
        opened.edit(AUVector.parse("10C"))
    with pytest.raises(ValueError, match="no region 'ear'"):
        opened.edit(AUVector.parse("12C"), region="ear")
    with pytest.raises(ValueError, match="mode is one of intensities, change"):
        editor.changed(mode="more")
    with pytest.raises(ValueError, match="the picture shows no face"):
        editor.open(torch.rand(1, 64, 64, 3))
    with pytest.raises(ValueError, match="Face 3 was asked for"):
        editor.open(picture(ASTRONAUT), face=3)
    other = FaceLatent(torch.zeros(1, 6, 16), "elsewhere")
    with pytest.raises(ValueError, match="a code of another generator"):
        edited(editor.network, opened.latent, SMILES, expression=other)


def test_a_picture_of_nan_is_a_sentence(editor: AUEditNetEditor) -> None:
    from au_adapter.methods.wplus_editing import invert

    with pytest.raises(ValueError, match="NaN or infinity"):
        invert(editor.wplus, torch.full((1, 16, 16, 3), torch.nan))


def test_the_bundled_files_are_found_or_named(
    files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    with pytest.raises(FileNotFoundError, match="no bundled demo_aueditnet.safetensors: name your"):
        open_editor("aueditnet")
    (tmp_path / "aueditnet").mkdir()
    for name, file in (("demo_wplus", "generator"), ("demo_aueditnet", "editor")):
        copy = tmp_path / "aueditnet" / f"{name}.safetensors"
        copy.write_bytes(files[file].read_bytes())
    assert open_editor("aueditnet").units == SET_A
    with pytest.raises(ValueError, match="go together"):
        open_editor("aueditnet", editor=files["editor"])


def test_an_editor_of_another_generator(
    files: dict[str, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    same_size = write_e4e(tmp_path / "fine.pt", random_generator(seed=9), random_encoder())
    open_editor("aueditnet", editor=files["editor"], generator=same_size)
    assert "was trained on the generator" in caplog.text
    wide = random_generator(StyleGAN2Config((8, 8, 8), style=12, mapping=0))
    from tiny_wplus import ENCODER

    from au_adapter.models.e4e import E4EConfig

    small = E4EConfig(ENCODER.stages, 12, 6, 32, 8)
    other = write_e4e(tmp_path / "wide.pt", wide, random_encoder(small))
    with pytest.raises(ValueError, match="codes of 16 numbers .* draws from 12"):
        open_editor("aueditnet", editor=files["editor"], generator=other)


def test_an_edit_survives_saving_to_the_bit(files: dict[str, Path], tmp_path: Path, opened) -> None:
    loaded = load_aueditnet(files["editor"])
    again = save_aueditnet(loaded.network, tmp_path / "again.safetensors", loaded.space)
    same = open_editor("aueditnet", generator=files["generator"], editor=again)
    assert torch.equal(same.open(opened.photo).edit(SMILES), opened.edit(SMILES))
    assert load_wplus(files["generator"]).space == loaded.space
