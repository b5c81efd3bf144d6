"""Checkpoints of one file as bases to train on: names and numbers by ComfyUI's own tables.

Models of the published layout and small sizes are written under the names of a checkpoint by
ComfyUI's converters, and read again by ours.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from au_adapter_pack.nodes.compat import UNetModel, tokenizer_folder, unet_to_diffusers
from au_adapter_pack.nodes.diffusers_model import unet_config
from comfy.diffusers_convert import convert_text_enc_state_dict_v20, convert_vae_state_dict
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel

from au_adapter.bases import base_name, load_base, training_schedule
from au_adapter.bases.single_file import convert
from au_adapter.training.labelled import tokenize
from au_adapter.weights.stable_diffusion_files import (
    TELLING,
    UNET,
    find_family,
    predicts_velocity,
    read_configs,
)

FAMILIES = ("sd15", "sd21")
VAE = "first_stage_model."


def small(family: str) -> dict[str, Any]:
    """The family's configs with few channels and layers."""
    configs = copy.deepcopy(read_configs(family))
    heads = 4 if family == "sd15" else [1, 2, 4, 4]
    configs["unet"] |= {"block_out_channels": [32, 64, 128, 128], "attention_head_dim": heads}
    configs["vae"] |= {"block_out_channels": [32, 32, 32, 32]}
    configs["text_encoder"] |= {"num_hidden_layers": 2, "intermediate_size": 64}
    return configs


def networks(configs: dict[str, Any]) -> tuple[nn.Module, nn.Module, nn.Module]:
    torch.manual_seed(3)
    return (
        UNet2DConditionModel.from_config(configs["unet"]),
        AutoencoderKL.from_config(configs["vae"]),
        CLIPTextModel(CLIPTextConfig.from_dict(configs["text_encoder"])),
    )


def checkpoint(family: str, configs: dict[str, Any]) -> dict[str, Tensor]:
    """The networks' weights under the names of a published file, by ComfyUI's tables."""
    unet, vae, text = (network.state_dict() for network in networks(configs))
    names = unet_to_diffusers(unet_config(configs["unet"]))
    found = {UNET + names[name]: tensor for name, tensor in unet.items()}
    found |= {VAE + name: tensor for name, tensor in convert_vae_state_dict(vae).items()}
    text = {f"text_model.{n.removeprefix('text_model.')}": t for n, t in text.items()}
    if family == "sd15":
        return found | {f"cond_stage_model.transformer.{n}": t for n, t in text.items()}
    theirs = convert_text_enc_state_dict_v20({f"transformer.{n}": t for n, t in text.items()})
    return found | {f"cond_stage_model.model.{n}": t for n, t in theirs.items()}


@pytest.fixture(scope="module", params=FAMILIES)
def file(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small checkpoint in a file called by its family."""
    path = tmp_path_factory.mktemp("checkpoints") / f"{request.param}.safetensors"
    tensors = checkpoint(request.param, small(request.param))
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    return path


def test_every_weight_comes_back(file: Path) -> None:
    configs = small(file.stem)
    assert find_family(file) == file.stem
    pipeline = convert(checkpoint(file.stem, configs), configs, tokenizer_folder(), file)
    for name, expected in zip(("unet", "vae", "text_encoder"), networks(configs), strict=True):
        found = getattr(pipeline, name).state_dict()
        assert found.keys() == expected.state_dict().keys()
        for key, tensor in expected.state_dict().items():
            assert torch.equal(found[key], tensor), f"{name} {key}"
    schedule = training_schedule(pipeline).config
    assert schedule.prediction_type == "epsilon" and schedule.num_train_timesteps == 1000


def test_the_vocabulary_of_comfyui_suits_the_family(file: Path) -> None:
    configs = small(file.stem)
    pipeline = convert(checkpoint(file.stem, configs), configs, tokenizer_folder(), file)
    (row,) = tokenize(pipeline.tokenizer, ["a photo of a man"]).tolist()
    padding = {"sd15": 49407, "sd21": 0}[file.stem]
    assert row[:7] == [49406, 320, 1125, 539, 320, 786, 49407]
    assert row[7:] == [padding] * 70
    with pytest.raises(FileNotFoundError, match="needs CLIP's vocabulary .*tokenizer=FOLDER"):
        convert(checkpoint(file.stem, configs), configs, None, file)


def test_a_file_of_another_size_is_a_sentence(file: Path) -> None:
    """The family is right, and the published sizes are not those of this file."""
    with pytest.raises(ValueError, match="has no whole UNet: .*have another shape"):
        load_base(file, tokenizer_folder())
    assert base_name(file) == file.stem


def test_parts_of_a_checkpoint_and_other_models_are_refused(tmp_path: Path) -> None:
    configs = small("sd15")
    whole = checkpoint("sd15", configs)
    without = {name: t for name, t in whole.items() if not name.startswith(VAE)}
    with pytest.raises(ValueError, match="has no whole VAE: .* Choose a checkpoint"):
        convert(without, configs, tokenizer_folder(), tmp_path / "some.safetensors")
    other = tmp_path / "other.safetensors"
    save_file({"weight": torch.zeros(2)}, other)
    with pytest.raises(ValueError, match="no checkpoint of Stable Diffusion 1.5 or 2.1"):
        find_family(other)
    first = f"{UNET}input_blocks.0.0.weight"
    save_file({n: t.contiguous() for n, t in (whole | {first: torch.zeros(32, 9, 3, 3)}).items()},
              other)  # fmt: skip
    with pytest.raises(ValueError, match="takes 9 channels, not the 4"):
        find_family(other)


def test_velocity_is_told_by_a_norm() -> None:
    spread = torch.randn(320, generator=torch.Generator().manual_seed(1))
    assert predicts_velocity({TELLING: 0.15 * spread})
    assert not predicts_velocity({TELLING: 0.05 * spread}) and not predicts_velocity({})


@pytest.mark.parametrize("family", FAMILIES)
def test_the_published_sizes_are_those_of_comfyui(family: str) -> None:
    config = read_configs(family)["unet"]
    theirs = unet_config(config)
    with torch.device("meta"):
        ours = UNet2DConditionModel.from_config(config).state_dict()
        core = UNetModel(**{**theirs, "dtype": torch.float32}).state_dict()
    names = unet_to_diffusers(theirs)
    assert len(ours) == len(core) == 686
    for name, tensor in ours.items():
        assert tensor.shape == core[names[name]].shape, name
