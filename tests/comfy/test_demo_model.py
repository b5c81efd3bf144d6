"""Load Demo Model against diffusers and transformers on the same files: equal to 1e-5."""

from __future__ import annotations

from pathlib import Path

import folder_paths
import pytest
import torch
from au_adapter_pack.nodes.demo_model import load_clip, load_model, load_vae
from sampling import NODE, demo_scene
from torch import Tensor

import nodes as core
from au_adapter.bundled import SIDED_ADAPTER, adapters_folder, load_diffusers_pipeline

PROMPTS = ("", "a young man smiling, green background", "Something else entirely")


@pytest.fixture(scope="module")
def pipeline(demo_files: Path):
    return load_diffusers_pipeline(demo_files)


def assert_close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("prompt", PROMPTS)
def test_prompts_have_the_same_embeddings(demo_files: Path, pipeline, prompt: str) -> None:
    (conditioning,) = core.CLIPTextEncode().encode(load_clip(demo_files), prompt)
    expected, _ = pipeline.encode_prompt(prompt, "cpu", 1, False)
    assert_close(conditioning[0][0], expected)


def test_long_and_weighted_prompts_are_encoded(demo_files: Path) -> None:
    clip = load_clip(demo_files)
    (long,) = core.CLIPTextEncode().encode(clip, "a young man smiling, " * 30)
    (weighted,) = core.CLIPTextEncode().encode(clip, "a (young:1.4) man")
    (plain,) = core.CLIPTextEncode().encode(clip, "a young man")
    assert long[0][0].shape == (1, 154, 128)
    assert (weighted[0][0] - plain[0][0]).abs().max() > 1e-3


def test_the_unet_predicts_the_same(demo_files: Path, pipeline) -> None:
    latents, text = torch.randn(2, 4, 16, 16), torch.randn(2, 77, 128)
    timesteps = torch.tensor([10.0, 900.0])
    unet = load_model(demo_files).model.diffusion_model
    expected = pipeline.unet(latents, timesteps, text).sample
    assert_close(unet(latents, timesteps, context=text), expected)


def test_the_vae_decodes_and_encodes_the_same(demo_files: Path, pipeline) -> None:
    vae, latents = load_vae(demo_files), torch.randn(2, 4, 16, 16)
    (images,) = core.VAEDecode().decode(vae, {"samples": latents})
    expected = pipeline.vae.decode(latents, return_dict=False)[0].movedim(1, -1)
    assert_close(images, (expected / 2 + 0.5).clamp(0, 1))
    (encoded,) = core.VAEEncode().encode(vae, images)
    expected = pipeline.vae.encode(images.movedim(-1, 1) * 2 - 1).latents
    assert_close(encoded["samples"], expected)


def test_noise_levels_are_those_of_stable_diffusion(demo_files: Path, pipeline) -> None:
    sampling = load_model(demo_files).get_model_object("model_sampling")
    alphas = pipeline.scheduler.alphas_cumprod
    assert_close(sampling.sigmas, ((1 - alphas) / alphas).sqrt())


@pytest.mark.fresh_copy
def test_core_can_make_a_fresh_copy_for_training(demo_files: Path) -> None:
    scene = demo_scene(demo_files)
    applied = scene.apply("12E")
    picture = applied.sample()
    copy = applied.model.clone(force_deepcopy=True)
    assert copy.model is not applied.model.model
    assert torch.equal(type(applied)(copy, *list(vars(applied).values())[1:]).sample(), picture)


def test_a_missing_file_is_named(
    demo_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AU_ADAPTER_DEMO", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"adapter\.safetensors"):
        NODE["AUA_LoadDemoModel"].execute()


def test_the_second_adapter_is_a_choice_behind_a_persons_own() -> None:
    first, *others = folder_paths.get_folder_paths("au_adapter")
    assert Path(first) == Path(folder_paths.models_dir, "au_adapter")
    assert Path(others[-1]) == adapters_folder()
    assert SIDED_ADAPTER in NODE["AUA_LoadAUAdapter"].define_schema().inputs[0].options
    (adapter,) = NODE["AUA_LoadAUAdapter"].execute(SIDED_ADAPTER, 1.0).args
    assert adapter.config.sides and len(adapter.config.units) == 17
