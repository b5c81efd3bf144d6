"""FineFace and its baselines on Stable Diffusions as diffusers folders, from a stream of shards."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionPipeline, UNet2DConditionModel
from labelled_faces import write_faces
from safetensors import safe_open
from safetensors.torch import load_file
from tiny_stable_diffusion import write_stable_diffusion

from au_adapter import AUVector, apply_to_unet, load_adapter
from au_adapter.bases import find_family, load_base
from au_adapter.facs import SET_A
from au_adapter.methods.words_generator import au_text
from au_adapter.training.diffusion import min_snr_weights, prediction_target
from au_adapter.training.drawing import drawing
from au_adapter.training.modes import checkpoint_gradients
from au_adapter.training.recipe import Share
from au_adapter.training.recipes.dreambooth_recipe import DreamBoothOptions, DreamBoothRecipe
from au_adapter.training.recipes.fineface_recipe import FineFaceOptions, FineFaceRecipe
from au_adapter.training.recipes.lora_recipe import (
    LoRAAUOptions,
    LoRAAURecipe,
    LoRATextOptions,
    LoRATextRecipe,
)
from au_adapter.training.run import train
from au_adapter.training.validation import Case, draw_cases

TINY = {"steps": 2, "batch_size": 4, "mixed_precision": "no", "log_every": 1, "lanes": 2}
CASES = [Case("a young man", 1, {"12": 4.0}), Case("a young man", 1, {}), Case("a", 2, {"4": 1.0})]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_faces(tmp_path_factory.mktemp("faces"), (5, 6, 7))


@pytest.fixture(scope="module")
def sd21(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_stable_diffusion(tmp_path_factory.mktemp("tiny-sd21"))


@pytest.fixture(scope="module")
def sd15(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_stable_diffusion(tmp_path_factory.mktemp("tiny-sd15"), "sd15", "v_prediction")


def losses(result: Path) -> list[float]:
    rows = (result.parent / "log.jsonl").read_text().splitlines()
    return [json.loads(row)["loss"] for row in rows]


@pytest.mark.parametrize(
    ("recipe", "fixture", "encoder", "prediction"),
    [("fineface-sd21", "sd21", "res_mlp64", "epsilon"),
     ("fineface-sd15", "sd15", "res_mlp", "v_prediction")],
)  # fmt: skip
def test_fineface_trains_on_a_diffusers_folder(
    request: pytest.FixtureRequest, data: Path, tmp_path: Path,
    recipe: str, fixture: str, encoder: str, prediction: str,
) -> None:  # fmt: skip
    base = request.getfixturevalue(fixture)
    result = train(recipe, [data], tmp_path / "run", base=str(base), lora_rank=4, **TINY)
    assert len(losses(result)) == 2 and all(0 < loss < 10 for loss in losses(result))
    adapter = load_adapter(result / "adapter.safetensors")
    assert (adapter.config.encoder, adapter.config.prediction) == (encoder, prediction)
    assert adapter.config.base == base.name and adapter.config.units == SET_A
    unet = UNet2DConditionModel.from_pretrained(base, subfolder="unet")
    apply_to_unet(unet, adapter).remove()
    assert torch.isfinite(adapter.encode(AUVector.from_dict({12: 3.0}))).all()


def test_a_run_on_a_stream_is_resumed_to_the_bit(data: Path, sd21: Path, tmp_path: Path) -> None:
    settings = {**TINY, "base": str(sd21), "lora_rank": 2}
    whole = train("fineface-sd21", [data], tmp_path / "whole", **{**settings, "steps": 3})
    train("fineface-sd21", [data], tmp_path / "cut", **{**settings, "steps": 1})
    cut = train("fineface-sd21", [data], tmp_path / "cut", **{**settings, "steps": 3})
    assert losses(cut) == losses(whole)
    expected = load_file(whole / "adapter.safetensors")
    assert all(
        torch.equal(tensor, expected[name])
        for name, tensor in load_file(cut / "adapter.safetensors").items()
    )


@pytest.mark.parametrize("smoothing", ["released", "paper"])
def test_processes_together_draw_the_batch_of_one(data: Path, sd21: Path, smoothing: str) -> None:
    def rows(index: int, count: int) -> dict[str, torch.Tensor]:
        torch.manual_seed(0)
        recipe = FineFaceRecipe(
            [data], FineFaceOptions(sd21, lanes=2, smoothing=smoothing, lora_rank=0)
        )
        generator = torch.Generator().manual_seed(5)
        return recipe.rows(4, generator, Share(3, index, count))

    whole, halves = rows(0, 1), [rows(index, 2) for index in (0, 1)]
    for name, tensor in whole.items():
        assert torch.equal(torch.cat([half[name] for half in halves]), tensor), name


def test_the_base_is_read_as_diffusers_reads_it(sd21: Path, sd15: Path) -> None:
    base, schedule_of = load_base(sd21), find_family(sd21).training_schedule
    assert find_family(sd21).picture_size(base) == 64
    assert not any(p.requires_grad for p in base.unet.parameters())
    schedule = find_family(sd15).training_schedule(load_base(sd15))
    assert schedule.config.prediction_type == "v_prediction"
    assert schedule.betas[0].item() == pytest.approx(0.00085)
    assert schedule_of(base).alphas_cumprod[-1].item() == pytest.approx(0.00466, rel=0.01)


def test_pictures_are_encoded_as_stable_diffusion_does(sd21: Path) -> None:
    vae = load_base(sd21).vae
    pictures = torch.randint(256, (2, 64, 64, 3), dtype=torch.uint8)
    noise = torch.randn(2, 4, 8, 8)
    posterior = vae.encode(pictures.movedim(-1, 1).float() / 127.5 - 1).latent_dist
    expected = 0.18215 * (posterior.mean + posterior.std * noise)
    torch.testing.assert_close(find_family(sd21).encode_pictures(vae, pictures, noise), expected)


def test_velocity_is_the_target_where_the_base_predicts_it(sd21: Path, sd15: Path) -> None:
    epsilon, velocity = (
        find_family(base).training_schedule(load_base(base)) for base in (sd21, sd15)
    )
    latents, noise, steps = (
        torch.ones(2, 4, 8, 8),
        2 * torch.ones(2, 4, 8, 8),
        torch.tensor([0, 999]),
    )
    assert prediction_target(epsilon, latents, noise, steps) is noise
    kept = epsilon.alphas_cumprod[steps]  # v = sqrt(a) noise - sqrt(1 - a) latents
    expected = 2 * kept.sqrt() - (1 - kept).sqrt()
    found = prediction_target(velocity, latents, noise, steps)[:, 0, 0, 0]
    torch.testing.assert_close(found, expected)
    snr = kept / (1 - kept)
    torch.testing.assert_close(
        min_snr_weights(velocity, steps, 5.0), snr.clamp(max=5.0) / (snr + 1)
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [({}, "is no base .* name a folder with model_index.json"), ({"in_channels": 9}, "takes 9")],
)
def test_folders_that_are_no_base(tmp_path: Path, content: dict, message: str) -> None:
    if content:
        write_stable_diffusion(tmp_path)
        unet = UNet2DConditionModel.from_pretrained(tmp_path, subfolder="unet")
        UNet2DConditionModel.from_config({**unet.config, **content}).save_pretrained(
            tmp_path / "unet"
        )
    with pytest.raises((FileNotFoundError, ValueError), match=message):
        load_base(tmp_path)


def test_only_a_demo_is_held_in_memory(data: Path, sd21: Path) -> None:
    with pytest.raises(ValueError, match="leave stream=true for another base"):
        FineFaceRecipe([data], FineFaceOptions(sd21, stream=False))
    with pytest.raises(ValueError, match="smoothing is one of released, paper, none, not 'x'"):
        FineFaceRecipe([data], FineFaceOptions(sd21, smoothing="x"))


def test_gradient_checkpointing_changes_no_gradient(data: Path, sd21: Path) -> None:
    gradients = []
    for again in (False, True):
        torch.manual_seed(0)
        recipe = FineFaceRecipe([data], FineFaceOptions(sd21, lanes=1, lora_rank=2))
        if again:
            checkpoint_gradients(recipe.module)
            assert recipe.pipeline.unet.is_gradient_checkpointing
        recipe.module(recipe.batch(2, torch.Generator().manual_seed(1))).backward()
        gradients.append(
            {n: p.grad for n, p in recipe.module.named_parameters() if p.requires_grad}
        )
    for name, expected in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], expected, msg=name)
    assert any(g.abs().sum() > 0 for n, g in gradients[0].items() if "adapter.to_v" in n)


def test_checkpointing_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="Linear has no network that knows"):
        checkpoint_gradients(torch.nn.Linear(2, 2))


def test_au_text_names_the_strongest_first() -> None:
    values = torch.tensor([0.04, 2.0, 0.26])
    assert au_text("a man", values, (1, 4, 12)) == "a man, AU4 2.0, AU12 0.3"
    assert au_text("", values, (1, 4, 12)) == "AU4 2.0, AU12 0.3"
    assert au_text("a man", torch.zeros(3), (1, 4, 12)) == "a man"


def test_lora_text_puts_aus_into_the_prompt_and_diffusers_loads_it(
    data: Path, sd21: Path, tmp_path: Path
) -> None:
    recipe = LoRATextRecipe(
        [data], LoRATextOptions(sd21, lanes=1, smoothing="none", caption_dropout=0.0)
    )
    batch = recipe.batch(2, torch.Generator().manual_seed(0))
    texts = recipe.pipeline.tokenizer.batch_decode(batch["tokens"], skip_special_tokens=True)
    for text, row in zip(texts, batch["aus"], strict=True):
        assert text.replace(" ", "").startswith("face")
        assert ("au12" in text.replace(" ", "").lower()) == bool(row.max() >= 0.05)
    result = train(
        "lora-text", [data], tmp_path / "run", base=str(sd21), lora_rank=4,
        **{**TINY, "warmup_steps": 0},
    )  # fmt: skip
    pipeline = StableDiffusionPipeline.from_pretrained(sd21, safety_checker=None)
    plain = drawing(pipeline, steps=1).plain_latents(["a man, AU12 3.0"], [1])
    pipeline.load_lora_weights(result)
    assert not torch.equal(
        drawing(pipeline, steps=1).plain_latents(["a man, AU12 3.0"], [1]), plain
    )
    config = pipeline.unet.peft_config["default_0"]
    assert (config.r, config.lora_alpha) == (4, 8)


def test_lora_au_adds_a_token_to_the_text(data: Path, sd21: Path, tmp_path: Path) -> None:
    recipe = LoRAAURecipe([data], LoRAAUOptions(sd21, lanes=1, lora_rank=2))
    batch = recipe.batch(2, torch.Generator().manual_seed(0))
    text, extra = recipe.module.condition(batch)
    assert text.states.shape == (2, 78, 128) and extra == {}
    torch.testing.assert_close(text.states[:, 77:], recipe.module.encoder(batch["aus"]))
    recipe.module(batch).backward()
    assert recipe.module.encoder.mlp.weight.grad.abs().sum() > 0
    recipe.save(recipe.module, tmp_path)
    with safe_open(tmp_path / "au_encoder.safetensors", "pt") as file:
        assert file.metadata() == {"encoder": "mlp", "units": " ".join(map(str, SET_A))}
    assert (tmp_path / "pytorch_lora_weights.safetensors").is_file()


def test_dreambooth_keeps_the_prior(data: Path, sd21: Path, tmp_path: Path) -> None:
    def make(weight: float) -> DreamBoothRecipe:
        torch.manual_seed(0)
        return DreamBoothRecipe(
            [data], DreamBoothOptions(sd21, prior_weight=weight, prior_count=3, lanes=1)
        )

    recipe = make(0.5)
    batch = recipe.batch(2, torch.Generator().manual_seed(0))
    assert batch["prior_latents"].shape == (2, 4, 8, 8)
    expected = drawing(load_base(sd21)).plain_latents(["a photo of a man"], [9001])
    torch.testing.assert_close(recipe.prior[:1], expected, atol=1e-4, rtol=1e-4)
    both, alone = recipe.module(batch), make(0.0).module(batch)
    prior = {k.removeprefix("prior_"): v for k, v in batch.items() if k.startswith("prior_")}
    recipe.module.prior_weight = 0.0
    torch.testing.assert_close(
        both - alone, 0.5 * super(type(recipe.module), recipe.module).forward(prior)
    )
    result = train("dreambooth", [data], tmp_path / "run", base=str(sd21), prior_count=3, **TINY)
    trained = UNet2DConditionModel.from_pretrained(result / "unet").state_dict()
    changed = [n for n, t in load_base(sd21).unet.state_dict().items() if not t.equal(trained[n])]
    assert len(changed) > 0.9 * len(trained)


@pytest.mark.parametrize("make", [FineFaceRecipe, LoRATextRecipe, LoRAAURecipe])
def test_every_recipe_draws_pictures_that_depend_on_case_alone(
    data: Path, sd21: Path, make: type
) -> None:
    torch.manual_seed(0)
    recipe = make([data], make.Options(sd21, lanes=1, lora_rank=2))
    with torch.no_grad():
        generator = recipe.generator(recipe.module)
        pictures = draw_cases(generator, CASES, SET_A)
        again = draw_cases(generator, CASES[::-1], SET_A)
    assert pictures.shape == (3, 64, 64, 3)
    assert 0 <= pictures.min() < pictures.max() <= 1
    torch.testing.assert_close(again.flip(0), pictures, atol=1e-3, rtol=0)
    assert not torch.equal(pictures[0], pictures[1])  # same prompt and seed, other AUs
