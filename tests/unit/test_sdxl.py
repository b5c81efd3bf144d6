"""AU-Adapter on a Stable Diffusion XL of small size, in diffusers: encode, train, load, draw."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel
from labelled_faces import write_faces
from tiny_sdxl import WIDTHS, write_sdxl

from au_adapter import AUVector, load_adapter
from au_adapter.bases import find_family, load_base
from au_adapter.bases.sdxl import UNET
from au_adapter.methods.adapter_generator import AdapterGenerator
from au_adapter.models.adapter import cross_attentions
from au_adapter.training.drawing import drawing
from au_adapter.training.recipes.fineface_recipe import FineFaceOptions, FineFaceRecipe
from au_adapter.training.recipes.lora_recipe import LoRAAUOptions, LoRAAURecipe
from au_adapter.training.run import train
from au_adapter.training.validation import Case, draw_cases

PROMPTS = ["a young man", ""]
CASES = [Case("a young man", 1, {"12": 4.0}), Case("a young man", 1, {}), Case("a", 2, {"4": 1.0})]


def channels(unet: UNet2DConditionModel) -> dict[str, int]:
    return {path: found.to_v.out_features for path, found in cross_attentions(unet).items()}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sdxl(tmp_path_factory.mktemp("tiny-sdxl"))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_faces(tmp_path_factory.mktemp("faces"), (5, 6, 7))


def test_text_is_encoded_as_the_pipeline_encodes_it(base: Path) -> None:
    family, pipeline = find_family(base), load_base(base)
    tokens = family.tokenize(pipeline, PROMPTS)
    assert family.name == "sdxl" and tokens.shape == (2, 2, 77)
    text = family.encode_text(pipeline, tokens)
    states, _, pooled, _ = pipeline.encode_prompt(PROMPTS, do_classifier_free_guidance=False)
    assert states.shape == (2, 77, sum(WIDTHS))
    torch.testing.assert_close(text.states, states, rtol=0, atol=0)
    torch.testing.assert_close(text.added["text_embeds"], pooled, rtol=0, atol=0)
    sizes = pipeline._get_add_time_ids(
        (64, 64), (0, 0), (64, 64), torch.float32, pipeline.text_encoder_2.config.projection_dim
    )
    assert torch.equal(text.added["time_ids"], sizes.expand(2, -1))
    assert family.picture_size(pipeline) == 64


def test_the_noise_is_predicted_as_in_the_pipeline(base: Path, data: Path) -> None:
    """One step of the pipeline with AUs, and the loss of the recipe, ask the UNet the same."""
    options = FineFaceOptions(base, lora_rank=0, lanes=1, smoothing="none", plain_loss=True)
    recipe = FineFaceRecipe([data], options)
    batch = recipe.batch(2, torch.Generator().manual_seed(0))
    text, extra = recipe.module.condition(batch)
    heard = []
    hook = recipe.pipeline.unet.register_forward_hook(
        lambda _, args, kwargs, output: heard.append(output.sample), with_kwargs=True
    )
    recipe.module(batch)
    hook.remove()
    noisy = recipe.module.schedule.add_noise(
        recipe.module.latents(batch), batch["noise"], batch["timesteps"]
    )
    expected = recipe.pipeline.unet(
        noisy, batch["timesteps"], text.states, added_cond_kwargs=dict(text.added),
        cross_attention_kwargs=extra,
    ).sample  # fmt: skip
    torch.testing.assert_close(heard[0], expected)


@torch.no_grad()
def loss(base: Path, data: Path, **options: object) -> float:
    """Of 16 faces, the same ones, noise and timesteps whenever it is called."""
    torch.manual_seed(0)
    recipe = FineFaceRecipe([data], FineFaceOptions(base, lanes=2, smoothing="none", **options))
    return float(recipe.module(recipe.batch(16, torch.Generator().manual_seed(0))))


def test_fineface_trains_on_it_and_its_file_draws(base: Path, data: Path, tmp_path: Path) -> None:
    """`fineface` takes what suits the base: the loss falls, the adapter is of this base."""
    result = train(
        "fineface", [data], tmp_path / "run", base=str(base), steps=20, batch_size=4, lanes=2,
        lora_rank=8, learning_rate=1e-2, mixed_precision="no", log_every=1,
    )  # fmt: skip
    assert len((tmp_path / "run" / "log.jsonl").read_text().splitlines()) == 20
    file = result / "adapter.safetensors"
    assert loss(base, data, start=file) < 0.99 * loss(base, data, lora_rank=8)
    described = json.loads((result / "training.json").read_text())["settings"]
    assert described["gradient_checkpointing"] and described["average_decay"] == 0

    adapter = load_adapter(file).requires_grad_(False)
    pipeline = load_base(base)
    config = adapter.config
    assert config.layers == channels(pipeline.unet)
    assert (config.base, config.encoder, config.width) == (base.name, "res_mlp64", sum(WIDTHS))
    assert len(config.layers) == 2 + 10 + 10 + 2 * (2 + 10)  # two down, the middle, two pairs up
    aus = AUVector.from_dict({12: 4.0})
    generator = drawing(pipeline, kind=AdapterGenerator, steps=2, adapter=adapter)
    plain = generator.plain("a man", 1)
    smiling, again = (generator.draw("a man", 1, aus) for _ in range(2))
    neutral = generator.draw("a man", 1, AUVector.zeros(adapter.config.units))
    assert smiling.shape == (1, 64, 64, 3) and torch.equal(smiling, again)
    assert not torch.equal(smiling, plain) and not torch.equal(smiling, neutral)
    assert torch.equal(generator.plain("a man", 1), plain)


@pytest.mark.parametrize(
    ("make", "options"), [(FineFaceRecipe, FineFaceOptions), (LoRAAURecipe, LoRAAUOptions)]
)
def test_pictures_in_the_middle_of_a_training(
    base: Path, data: Path, make: type, options: type
) -> None:
    torch.manual_seed(0)
    recipe = make([data], options(base, lanes=1, lora_rank=2))
    with torch.no_grad():
        pictures = draw_cases(recipe.generator(recipe.module, 2), CASES, recipe.units)
    assert pictures.shape == (3, 64, 64, 3) and not torch.equal(pictures[0], pictures[1])


def test_a_refiner_is_refused(base: Path, tmp_path: Path) -> None:
    pipeline = load_base(base)
    pipeline.register_modules(text_encoder=None, tokenizer=None)
    pipeline.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="has one text encoder, as the refiner"):
        load_base(tmp_path)


def test_a_recipe_named_for_another_family_is_refused(
    base: Path, data: Path, tmp_path: Path
) -> None:
    with pytest.raises(
        ValueError, match="fineface-sd15 is not for .*, which is Stable Diffusion XL"
    ):
        train("fineface-sd15", [data], tmp_path / "run", base=str(base))
    assert not (tmp_path / "run").exists()


def test_the_unet_of_the_table_is_that_of_the_adapter_file() -> None:
    """The published layout has 70 cross-attentions, of 640 and 1280 channels."""
    with torch.device("meta"):
        unet = UNet2DConditionModel.from_config(UNET)
    layers = channels(unet)
    assert len(layers) == 70 and set(layers.values()) == {640, 1280}
