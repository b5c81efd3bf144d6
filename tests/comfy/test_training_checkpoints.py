"""Checkpoints of one file as bases to train on: names and numbers by ComfyUI's own tables.

Models of the published layout and small sizes are written under the names of a checkpoint by
ComfyUI's converters, and read again by ours.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import transformers
from au_adapter_pack.nodes.compat import UNetModel, tokenizer_folder, unet_to_diffusers
from au_adapter_pack.nodes.diffusers_model import unet_config
from comfy.diffusers_convert import convert_text_enc_state_dict_v20, convert_vae_state_dict
from diffusers import AutoencoderKL, DiffusionPipeline, UNet2DConditionModel
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import CLIPTextConfig

from au_adapter.bases import find_family, load_base
from au_adapter.bases.checkpoint_layout import CheckpointLayout, TextLayout
from au_adapter.bases.sd15 import SD15
from au_adapter.bases.sd21 import SD21, TELLING
from au_adapter.bases.sdxl import SDXL
from au_adapter.bases.stable_diffusion import UNET, StableDiffusionFamily

FAMILIES = (SD15, SD21, SDXL)
VAE = "first_stage_model."
HEADS = {"sd15": 4, "sd21": [1, 2, 4, 4], "sdxl": [1, 2, 4]}


def small(family: StableDiffusionFamily) -> CheckpointLayout:
    """The family's layout with few channels and layers, and a UNet as deep as published."""
    layout, heads = family.layout, HEADS[family.name]
    channels = [32, 64, 128, 128][: len(layout.unet["block_out_channels"])]
    unet = {**layout.unet, "block_out_channels": channels, "attention_head_dim": heads}
    vae = {**layout.vae, "block_out_channels": [32, 32, 32, 32]}
    few = {"num_hidden_layers": 2, "intermediate_size": 64}
    texts = {n: replace(t, config={**t.config, **few}) for n, t in layout.texts.items()}
    return replace(layout, unet=unet, vae=vae, texts=texts)


def networks(layout: CheckpointLayout) -> dict[str, nn.Module]:
    torch.manual_seed(3)
    return {
        "unet": UNet2DConditionModel.from_config(dict(layout.unet)),
        "vae": AutoencoderKL.from_config(dict(layout.vae)),
        **{
            name: getattr(transformers, text.kind)(CLIPTextConfig.from_dict(dict(text.config)))
            for name, text in layout.texts.items()
        },
    }


def checkpoint(layout: CheckpointLayout) -> dict[str, Tensor]:
    """The networks' weights under the names of a published file, by ComfyUI's tables."""
    made = networks(layout)
    names = unet_to_diffusers(unet_config(dict(made["unet"].config)))
    found = {UNET + names[name]: t for name, t in made["unet"].state_dict().items()}
    vae = convert_vae_state_dict(made["vae"].state_dict())
    found |= {VAE + name: tensor for name, tensor in vae.items()}
    for name, text in layout.texts.items():
        found |= text_weights(text, made[name].state_dict())
    return {name: tensor.contiguous() for name, tensor in found.items()}


def text_weights(text: TextLayout, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    projection = weights.pop("text_projection.weight", None)
    named = {f"text_model.{n.removeprefix('text_model.')}": t for n, t in weights.items()}
    if not text.open_clip:
        return {text.prefix + name: tensor for name, tensor in named.items()}
    theirs = convert_text_enc_state_dict_v20({f"transformer.{n}": t for n, t in named.items()})
    if projection is not None:
        theirs["text_projection"] = projection.mT
    return {text.prefix + name: tensor for name, tensor in theirs.items()}


@pytest.fixture(scope="module", params=FAMILIES, ids=lambda family: family.name)
def family(request: pytest.FixtureRequest) -> StableDiffusionFamily:
    return request.param


@pytest.fixture(scope="module")
def file(family: StableDiffusionFamily, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small checkpoint in a file."""
    path = tmp_path_factory.mktemp("checkpoints") / "model.safetensors"
    save_file(checkpoint(small(family)), path)
    return path


def opened(family: StableDiffusionFamily, file: Path) -> DiffusionPipeline:
    return family.open_checkpoint(load_file(file), small(family), tokenizer_folder(), file)


def test_every_weight_comes_back(family: StableDiffusionFamily, file: Path) -> None:
    assert find_family(file) is family
    pipeline = opened(family, file)
    for name, network in networks(small(family)).items():
        found, expected = getattr(pipeline, name).state_dict(), network.state_dict()
        assert found.keys() == expected.keys()
        for key, tensor in expected.items():
            assert torch.equal(found[key], tensor), f"{name} {key}"
    schedule = family.training_schedule(pipeline).config
    assert schedule.prediction_type == "epsilon" and schedule.num_train_timesteps == 1000
    assert type(pipeline).__name__ == family.pipeline_class


def test_the_vocabulary_of_comfyui_suits_the_family(
    family: StableDiffusionFamily, file: Path
) -> None:
    rows = family.tokenize(opened(family, file), ["a photo of a man"]).reshape(-1, 77).tolist()
    for row, padding in zip(
        rows, {"sd15": [49407], "sd21": [0], "sdxl": [49407, 0]}[family.name], strict=True
    ):
        assert row[:7] == [49406, 320, 1125, 539, 320, 786, 49407]
        assert row[7:] == [padding] * 70
    with pytest.raises(FileNotFoundError, match="needs CLIP's vocabulary .*tokenizer=FOLDER"):
        family.open_checkpoint(load_file(file), small(family), None, file)


def test_a_file_of_another_size_is_a_sentence(family: StableDiffusionFamily, file: Path) -> None:
    """The family is right, and the published sizes are not those of this file."""
    with pytest.raises(ValueError, match="has no whole UNet: .*have another shape"):
        load_base(file, tokenizer_folder())
    assert family.base_name(file) == "model"


def test_parts_of_a_checkpoint_and_other_models_are_refused(tmp_path: Path) -> None:
    whole = checkpoint(small(SD15))
    without = {name: t for name, t in whole.items() if not name.startswith(VAE)}
    with pytest.raises(ValueError, match="has no whole VAE: .* Choose a checkpoint"):
        SD15.open_checkpoint(
            without, small(SD15), tokenizer_folder(), tmp_path / "some.safetensors"
        )
    other = tmp_path / "other.safetensors"
    save_file({"weight": torch.zeros(2)}, other)
    with pytest.raises(ValueError, match="is no base .*Stable Diffusion 2.1, Stable Diffusion 1.5"):
        find_family(other)
    inpainting = tmp_path / "inpainting.safetensors"
    first = f"{UNET}input_blocks.0.0.weight"
    save_file(whole | {first: torch.zeros(32, 9, 3, 3)}, inpainting)
    with pytest.raises(ValueError, match="takes 9 channels, not the 4"):
        find_family(inpainting)


def test_velocity_is_told_by_a_norm() -> None:
    spread = torch.randn(320, generator=torch.Generator().manual_seed(1))
    for scale, kind in ((0.15, "v_prediction"), (0.05, "epsilon")):
        assert SD21.read_schedule({TELLING: scale * spread})["prediction_type"] == kind
    assert SD21.read_schedule({})["prediction_type"] == "epsilon"


def test_an_sdxl_says_what_it_predicts_by_empty_tensors(tmp_path: Path) -> None:
    found = SDXL.read_schedule({"v_pred": torch.tensor([]), "ztsnr": torch.tensor([])})
    assert found == {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True}
    assert SDXL.read_schedule({}) == {
        "prediction_type": "epsilon", "rescale_betas_zero_snr": False
    }  # fmt: skip
    keys = {SDXL.text_keys: torch.zeros(1, 2048), f"{UNET}input_blocks.0.0.weight":
            torch.zeros(1, 4, 3, 3), "edm_vpred.sigma_max": torch.zeros(())}  # fmt: skip
    save_file(keys, tmp_path / "edm.safetensors")
    with pytest.raises(ValueError, match="edm.safetensors is an SDXL with EDM's noise levels"):
        find_family(tmp_path / "edm.safetensors")


def test_the_published_sizes_are_those_of_comfyui(family: StableDiffusionFamily) -> None:
    with torch.device("meta"):
        unet = UNet2DConditionModel.from_config(dict(family.layout.unet))
        ours = unet.state_dict()
        theirs = unet_config(dict(unet.config))
        core = UNetModel(**{**theirs, "dtype": torch.float32}).state_dict()
    names = unet_to_diffusers(theirs)
    assert len(ours) == len(core) == {"sd15": 686, "sd21": 686, "sdxl": 1680}[family.name]
    for name, tensor in ours.items():
        assert tensor.shape == core[names[name]].shape, name
