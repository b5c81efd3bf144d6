"""The demo model's files as a diffusers pipeline, on random weights of the real shapes."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionImg2ImgPipeline, StableDiffusionPipeline
from tiny_demo import write_demo

from au_adapter import AUVector, apply_to_unet, load_adapter
from au_adapter.bundled import demo_folder, load_diffusers_pipeline
from au_adapter.models.autoencoder import SCALING_FACTOR

SMILE = AUVector.from_dict({12: 4.0})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_demo(tmp_path_factory.mktemp("demo"))


@pytest.fixture
def pipeline(folder: Path) -> StableDiffusionPipeline:
    pipeline = load_diffusers_pipeline(folder)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def draw(pipeline: StableDiffusionPipeline, prompt: str = "a man", **call: object) -> np.ndarray:
    generator = torch.Generator().manual_seed(3)
    return pipeline(
        prompt, num_inference_steps=2, generator=generator, output_type="np", **call
    ).images


def test_a_prompt_becomes_a_picture_of_128_pixels(pipeline: StableDiffusionPipeline) -> None:
    pictures = draw(pipeline)
    assert pictures.shape == (1, 128, 128, 3)
    assert 0 <= pictures.min() < pictures.max() <= 1
    assert np.array_equal(draw(pipeline), pictures)
    assert not np.array_equal(draw(pipeline, "an old woman"), pictures)


def test_an_adapter_changes_the_picture_and_leaves_nothing(
    pipeline: StableDiffusionPipeline, folder: Path
) -> None:
    plain = draw(pipeline)
    adapter = load_adapter(folder / "adapter.safetensors")
    tokens = torch.cat([adapter.encode_zero(), adapter.encode(SMILE)]).detach()
    handle = apply_to_unet(pipeline.unet, adapter)
    smiling = draw(pipeline, cross_attention_kwargs={"au_tokens": tokens})
    handle.remove()
    assert np.abs(smiling - plain).max() > 0.01
    assert np.array_equal(draw(pipeline), plain)


def test_several_faces_at_once_are_the_same_as_one_by_one(
    pipeline: StableDiffusionPipeline, folder: Path
) -> None:
    adapter = load_adapter(folder / "adapter.safetensors")
    apply_to_unet(pipeline.unet, adapter)
    vectors = AUVector.stack([SMILE, SMILE * -1])
    tokens = torch.cat([adapter.encode_zero().expand(2, -1, -1), adapter.encode(vectors)]).detach()
    noise = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(1))

    def faces(rows: list[int]) -> np.ndarray:
        call = {"au_tokens": tokens[[*rows, *(row + 2 for row in rows)]]}
        latents = noise.expand(len(rows), -1, -1, -1).clone()
        return draw(pipeline, ["a man"] * len(rows), latents=latents, cross_attention_kwargs=call)

    both = faces([0, 1])
    np.testing.assert_allclose(both[0], faces([0])[0], atol=1e-4)
    np.testing.assert_allclose(both[1], faces([1])[0], atol=1e-4)
    assert np.abs(both[0] - both[1]).max() > 0.01


def test_the_autoencoder_serves_pictures_as_input_too(pipeline: StableDiffusionPipeline) -> None:
    picture = torch.rand(1, 3, 128, 128)
    latents = pipeline.vae.encode(picture * 2 - 1).latents
    assert torch.equal(latents, pipeline.vae.network.encode(picture * 2 - 1))
    assert pipeline.vae.config.scaling_factor == SCALING_FACTOR
    assert pipeline.vae_scale_factor == 8
    with torch.no_grad():
        edited = draw(StableDiffusionImg2ImgPipeline(**pipeline.components), image=picture)
    assert edited.shape == (1, 128, 128, 3)


def test_the_pipeline_starts_from_pure_noise(pipeline: StableDiffusionPipeline) -> None:
    pipeline.scheduler.set_timesteps(20)
    assert pipeline.scheduler.timesteps[0] == 999


@pytest.mark.parametrize("name", ["unet.json", "vae.safetensors", "tokenizer"])
def test_a_missing_file_is_named(folder: Path, tmp_path: Path, name: str) -> None:
    shutil.copytree(folder, tmp_path / "demo")
    (tmp_path / "demo" / name).rename(tmp_path / "away")
    with pytest.raises(FileNotFoundError, match=f"lacks .*{name}"):
        load_diffusers_pipeline(tmp_path / "demo")


def test_weights_of_another_network_are_refused(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "demo")
    shutil.copy(folder / "vae.safetensors", tmp_path / "demo" / "unet.safetensors")
    with pytest.raises(ValueError, match="unet.safetensors does not belong to unet.json"):
        load_diffusers_pipeline(tmp_path / "demo")


def test_another_folder_can_be_named_in_the_environment(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert demo_folder().name == "bundled"
    monkeypatch.setenv("AU_ADAPTER_DEMO", str(folder))
    assert demo_folder() == folder
    load_diffusers_pipeline()
