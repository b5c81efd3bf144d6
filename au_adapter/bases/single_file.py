"""A Stable Diffusion checkpoint of one file as a diffusers pipeline: by configs of our own, from
this machine alone. diffusers knows how the names of its weights translate."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from diffusers.loaders.single_file_utils import (
    convert_ldm_unet_checkpoint,
    convert_ldm_vae_checkpoint,
    convert_open_clip_checkpoint,
)
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from ..weights.stable_diffusion_files import find_family, predicts_velocity, read_configs
from ..weights.tensors import read_tensors

CLIP = "cond_stage_model.transformer."
OPEN_CLIP = "cond_stage_model.model."
BUFFERS = (".position_ids",)  # which some files carry, and no weights


def load_checkpoint(path: Path, tokenizer: str | Path | None) -> StableDiffusionPipeline:
    """The networks of a checkpoint in float32. tokenizer: a folder with CLIP's vocab.json and
    merges.txt, such as comfy/sd1_tokenizer of ComfyUI.

    ValueError for a checkpoint of another family, or one that lacks a network.
    """
    family = find_family(path)
    return convert(read_tensors(path), read_configs(family), tokenizer, path)


def convert(
    tensors: Mapping[str, Tensor],
    configs: Mapping[str, Any],
    tokenizer: str | Path | None,
    path: Path,
) -> StableDiffusionPipeline:
    """The pipeline of a checkpoint's tensors; path: for messages."""
    tensors = {name: t.float() if t.is_floating_point() else t for name, t in tensors.items()}
    kind = "v_prediction" if predicts_velocity(tensors) else "epsilon"
    with torch.device("meta"):  # no numbers are drawn that the file's replace anyway
        unet = UNet2DConditionModel.from_config(configs["unet"])
        vae = AutoencoderKL.from_config(configs["vae"])
    text = CLIPTextModel(CLIPTextConfig.from_dict(configs["text_encoder"]))
    _fill(unet, convert_ldm_unet_checkpoint(dict(tensors), configs["unet"]), path, "UNet")
    _fill(vae, convert_ldm_vae_checkpoint(dict(tensors), configs["vae"]), path, "VAE")
    _fill(text, _text_weights(text, tensors), path, "text encoder")
    return StableDiffusionPipeline(
        vae=vae.eval(),
        text_encoder=text.eval(),
        tokenizer=_tokenizer(tokenizer, configs["pad_token"], path),
        unet=unet.eval(),
        scheduler=DDIMScheduler.from_config(configs["scheduler"], prediction_type=kind),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def _text_weights(text: CLIPTextModel, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """By the names of transformers, which has put all of them below text_model and no longer."""
    if any(name.startswith(OPEN_CLIP) for name in tensors):
        found = convert_open_clip_checkpoint(text, dict(tensors), prefix=OPEN_CLIP)
    else:
        found = {n.removeprefix(CLIP): t for n, t in tensors.items() if n.startswith(CLIP)}
    below = "text_model." if hasattr(text, "text_model") else ""
    return {below + name.removeprefix("text_model."): t for name, t in found.items()}


def _fill(network: nn.Module, weights: Mapping[str, Tensor], path: Path, title: str) -> None:
    expected = network.state_dict()
    chosen = {name: t for name, t in weights.items() if not name.endswith(BUFFERS)}
    wrong = [n for n, t in chosen.items() if n in expected and t.shape != expected[n].shape]
    missing = [name for name in expected if name not in chosen and not name.endswith(BUFFERS)]
    if missing or wrong:
        name = (missing or wrong)[0]
        raise ValueError(
            f"{path} has no whole {title}: {len(missing)} weights are missing and {len(wrong)} "
            f"have another shape, {name} first. Choose a checkpoint with UNet, text encoder and "
            "VAE in one file"
        )
    network.load_state_dict(chosen, strict=False, assign=True)


def _tokenizer(folder: str | Path | None, pad_token: str, path: Path) -> CLIPTokenizer:
    if folder is None or not (Path(folder) / "vocab.json").is_file():
        raise FileNotFoundError(
            f"{path} needs CLIP's vocabulary to be trained on, and {folder} holds no vocab.json: "
            "--set tokenizer=FOLDER, such as comfy/sd1_tokenizer of a ComfyUI"
        )
    tokenizer = CLIPTokenizer.from_pretrained(folder, pad_token=pad_token, local_files_only=True)
    tokenizer.model_max_length = 77
    return tokenizer
