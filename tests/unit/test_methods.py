"""The method seam: what every registered method promises, on a bundled model of random weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionImg2ImgPipeline
from face_pictures import SEGMENTER, TASK, picture
from PIL import Image
from tiny_demo import write_base, write_demo, write_magicface
from torch import Tensor

from au_adapter import AUVector, apply_to_unet
from au_adapter.bundled import FOLDER_VARIABLE, load_diffusers_pipeline
from au_adapter.facs import SET_A
from au_adapter.methods import EDITORS, GENERATORS, Editor, Generator, open_editor, open_generator
from au_adapter.methods.scales import for_editor

ASTRONAUT = "astronaut.png"
SMILES = AUVector((6, 12), torch.tensor([[0.0, 0.0], [3.0, 5.0], [3.0, 5.0]]))


@pytest.fixture(scope="module", autouse=True)
def models(tmp_path_factory: pytest.TempPathFactory):
    """The bundled model with random weights, and Google's models where variables name them."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv(FOLDER_VARIABLE, str(write_demo(tmp_path_factory.mktemp("demo"))))
        environment.setenv("AU_ADAPTER_FACE_LANDMARKER", str(TASK))
        environment.setenv("AU_ADAPTER_PERSON_SEGMENTER", str(SEGMENTER))
        yield


TRAINED = ("lora-text", "lora-au", "dreambooth")


# Trained baselines need a training, see test_baselines.py.
@pytest.fixture(scope="module", params=[name for name in GENERATORS if name not in TRAINED])
def generator(request: pytest.FixtureRequest, models: None) -> Generator:
    return open_generator(request.param, steps=2)


# AUEditNet has no steps and no noise, see test_aueditnet_method.py.
@pytest.fixture(scope="module", params=[name for name in EDITORS if name != "aueditnet"])
def editor(request: pytest.FixtureRequest, models: None) -> Editor:
    return open_editor(request.param, steps=2)


def check_words(method: Generator | Editor) -> None:
    """What a method says of itself, and that a report can hold it."""
    assert method.name and {*method.units} >= {6, 12} and isinstance(method.sides, bool)
    assert method.scale in ("absolute", "change")
    settings = method.settings()
    assert settings["steps"] == 2 and json.loads(json.dumps(settings)) == settings


def test_a_generator_draws_all_of_one_noise(generator: Generator) -> None:
    check_words(generator)
    assert generator.scale == "absolute"
    drawn = generator.draw("a young man", 3, SMILES)
    assert drawn.shape == (3, 128, 128, 3) and drawn.dtype == torch.float32
    assert drawn.min() >= 0 and drawn.max() <= 1
    torch.testing.assert_close(drawn[1], drawn[2], atol=1e-4, rtol=0)
    assert torch.equal(generator.draw("a young man", 3, SMILES), drawn)
    assert not torch.allclose(generator.draw("a young man", 4, SMILES), drawn, atol=1e-2)
    hears = not torch.allclose(drawn[0], drawn[1], atol=1e-3)
    assert hears == (generator.name != "base alone")
    assert generator.plain("a young man", 3).shape == (1, 128, 128, 3)


def test_an_editor_edits_at_the_photos_size(editor: Editor) -> None:
    check_words(editor)
    photo = picture(ASTRONAUT)
    opened = editor.open(photo)
    edited = opened.edit(SMILES, seed=1)
    assert edited.shape == (3, *photo.shape[1:]) and edited.isfinite().all()
    torch.testing.assert_close(edited[1], edited[2], atol=1e-4, rtol=0)
    assert not torch.allclose(edited[0], edited[1], atol=1e-2)
    assert torch.equal(opened.edit(SMILES, seed=1), edited)
    assert not torch.equal(opened.edit(SMILES, seed=2), edited)
    with pytest.raises(ValueError, match="[Ff]ace.* 9|face is 9"):
        editor.open(photo, face=9)


def test_an_edit_in_four_lines(tmp_path: Path) -> None:
    from au_adapter import AUVector, open_editor
    from au_adapter.estimators.picture_files import read_picture

    Image.fromarray((picture(ASTRONAUT)[0] * 255).byte().numpy()).save(tmp_path / "photo.png")
    photo = read_picture(tmp_path / "photo.png")
    editor = open_editor("magicface", steps=2)
    edited = editor.open(photo).edit(AUVector.parse("12C"), seed=1)
    assert edited.shape == photo.shape and not torch.equal(edited, photo)


def test_no_change_is_the_photo_itself_and_the_rest_stays_to_the_bit() -> None:
    photo = picture(ASTRONAUT)
    opened = open_editor("magicface", steps=2).open(photo)
    edited = opened.edit(AUVector((12,), torch.tensor([[0.0], [4.0]])))
    assert torch.equal(edited[0], photo[0])
    x0, y0, x1, y1 = opened.crop.squares[0].clamp(0, 512).tolist()
    outside = torch.ones(photo.shape[1:3], dtype=torch.bool)
    outside[y0:y1, x0:x1] = False
    assert outside.any() and torch.equal(edited[1][outside], photo[0][outside])
    with pytest.raises(ValueError, match="left and right apart"):
        opened.edit(AUVector.parse("L12C"))
    with pytest.raises(ValueError, match="AU10"):
        opened.edit(AUVector.parse("10C"))


def test_a_photo_without_a_face_is_a_sentence() -> None:
    with pytest.raises(ValueError, match="Face 0 was asked for and the picture shows no face"):
        open_editor("magicface", steps=2).open(torch.full((1, 64, 64, 3), 0.5))


def pipeline_picture(pipeline: object, aus: AUVector, **inputs: object) -> Tensor:
    """What diffusers' own pipeline draws with the bundled adapter."""
    generator = open_generator("au-adapter")
    handle = apply_to_unet(pipeline.unet, generator.adapter)
    tokens = generator.adapter.encode(aus)
    both = torch.cat([generator.adapter.encode_zero().expand_as(tokens), tokens])
    pipeline.set_progress_bar_config(disable=True)
    with torch.no_grad():
        found = pipeline(
            cross_attention_kwargs={"au_tokens": both}, output_type="pt", guidance_scale=7.5,
            **inputs,
        ).images  # fmt: skip
    handle.remove()
    return found.movedim(1, -1)


def test_a_drawing_is_diffusers_own_to_the_bit() -> None:
    noise = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(3))
    expected = pipeline_picture(
        load_diffusers_pipeline(), SMILES, prompt=["a young man"] * 3, num_inference_steps=4,
        latents=noise.repeat(3, 1, 1, 1),
    )  # fmt: skip
    drawn = open_generator("au-adapter", steps=4).draw("a young man", 3, SMILES)
    assert torch.equal(drawn, expected)


def test_sdedit_is_diffusers_own_to_the_bit() -> None:
    parts = load_diffusers_pipeline().components
    pipeline = StableDiffusionImg2ImgPipeline(**parts, requires_safety_checker=False)
    photo = picture("0.png")
    expected = pipeline_picture(
        pipeline, SMILES.face(1), prompt=["a face"], num_inference_steps=5, strength=0.6,
        image=photo.movedim(-1, 1), generator=[torch.Generator().manual_seed(3)],
    )  # fmt: skip
    editor = open_editor("au-adapter-sdedit", steps=5, prompt="a face")
    assert torch.equal(editor.open(photo).edit(SMILES.face(1), seed=3), expected)


def test_every_step_is_told_and_may_end_the_drawing() -> None:
    told = []

    def stop_after_two(step: int, steps: int) -> None:
        told.append((step, steps))
        if step == 2:
            raise KeyboardInterrupt

    generator = open_generator("au-adapter", steps=4, on_step=stop_after_two)
    with pytest.raises(KeyboardInterrupt):
        generator.draw("a man", 1, SMILES.face(1))
    assert told == [(1, 4), (2, 4)]
    clean = open_generator("base", steps=2)
    assert torch.equal(
        generator.changed(on_step=None, steps=2).plain("a man", 1), clean.plain("a man", 1)
    )


def test_half_precision_draws_nearly_the_same() -> None:
    whole, half = (
        open_generator("au-adapter", steps=2, half=half, device="cpu").draw("a man", 1, SMILES)
        for half in (False, True)
    )
    assert half.dtype == torch.float32 and not torch.equal(half, whole)
    assert (half - whole).abs().mean() < 0.05


def test_what_there_is_not_is_a_sentence(tmp_path: Path) -> None:
    cases = {
        "no generator 'magicface': choose au-adapter, words, base": (open_generator, "magicface"),
        "no editor 'words': choose magicface, au-adapter-sdedit": (open_editor, "words"),
        "no function 'nothing:here'": (open_editor, "nothing:here"),
        "'base' returns is no editor|no editor: it has no open": (
            open_editor, "au_adapter.methods.base_generator:open_base",
        ),
    }  # fmt: skip
    for sentence, (opened, name) in cases.items():
        with pytest.raises(ValueError, match=sentence):
            opened(name)
    with pytest.raises(ValueError, match="'magicface' takes no edit_noise; its options are model"):
        open_editor("magicface", edit_noise=0.4)
    with pytest.raises(ValueError, match="needs the option magicface"):
        open_editor("magicface", model=tmp_path)
    with pytest.raises(ValueError, match="edits latents of 4 channels and the model's have 16"):
        open_editor(
            "magicface", model=write_base(tmp_path, 16), magicface=write_magicface(tmp_path)
        )
    with pytest.raises(ValueError, match="edit_noise is 0.1 of 2 steps"):
        open_editor("au-adapter-sdedit", steps=2, edit_noise=0.1)


class Scaled:
    """An editor's words, for the conversion."""

    units, sides = SET_A, False

    def __init__(self, scale: str):
        self.scale = scale


def test_requests_are_converted_by_what_the_photo_shows() -> None:
    shown = AUVector.from_dict({"L4": 1.0, "R4": 3.0, "12": 4.0})
    smile = AUVector.parse("12C")
    same = for_editor(Scaled("change"), smile, "change", lambda: pytest.fail("nothing to read"))
    assert same is smile
    change = for_editor(Scaled("change"), smile, "absolute", lambda: shown)
    assert change.dict() == {"4": -2.0, "12": -1.0}  # the whole expression becomes a smile
    whole = for_editor(Scaled("absolute"), smile, "change", lambda: shown)
    assert whole.dict() == {"L4": 1.0, "R4": 3.0, "12": 5.0}  # 4 + 3, but no more than 5
