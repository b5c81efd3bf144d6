"""A checkpoint in one file as a diffusers pipeline, from tables of our own and this machine alone.

diffusers knows how the names of the weights translate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from diffusers import AutoencoderKL, DDIMScheduler, DiffusionPipeline, UNet2DConditionModel
from diffusers.loaders.single_file_utils import (
    convert_ldm_unet_checkpoint,
    convert_ldm_vae_checkpoint,
    convert_open_clip_checkpoint,
)
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTokenizer

from ..weights.tensors import read_tensors
from .stable_diffusion import StableDiffusionFamily

BUFFERS = (".position_ids",)  # in some files, and no weights
# What the families of Stable Diffusion share, in the words of diffusers and transformers.
VAE = {
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
    "block_out_channels": [128, 256, 512, 512],
    "layers_per_block": 2,
    "latent_channels": 4,
    "sample_size": 512,
    "scaling_factor": 0.18215,
}
SCHEDULER = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "clip_sample": False,
    "set_alpha_to_one": False,
    "steps_offset": 1,
}
CLIP_L = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "hidden_act": "quick_gelu",
    "projection_dim": 768,
}


@dataclass(frozen=True)
class TextLayout:
    """A text encoder in a checkpoint.

    prefix: of its weights. pad_token: what its text was padded with in training. open_clip:
    whether the weights have OpenCLIP's names. kind: its class in transformers.
    """

    prefix: str
    config: Mapping[str, Any]
    pad_token: str = "<|endoftext|>"
    open_clip: bool = False
    kind: str = "CLIPTextModel"


@dataclass(frozen=True)
class CheckpointLayout:
    """The configs of a checkpoint's networks. texts: by their names in the pipeline."""

    unet: Mapping[str, Any]
    texts: Mapping[str, TextLayout]
    vae: Mapping[str, Any]
    scheduler: Mapping[str, Any]


def load_checkpoint(
    family: StableDiffusionFamily, path: Path, tokenizer: str | Path | None
) -> DiffusionPipeline:
    """The networks of a checkpoint in float32; ValueError where one is not whole."""
    return convert(family, read_tensors(path), family.layout(), tokenizer, path)


def convert(
    family: StableDiffusionFamily,
    tensors: Mapping[str, Tensor],
    layout: CheckpointLayout,
    tokenizer: str | Path | None,
    path: Path,
) -> DiffusionPipeline:
    """The pipeline of a checkpoint's tensors; path: for messages."""
    tensors = {name: t.float() if t.is_floating_point() else t for name, t in tensors.items()}
    scheduler = {**layout.scheduler, **family.read_schedule(tensors)}
    with torch.device("meta"):  # no numbers are drawn that the file's replace anyway
        unet = UNet2DConditionModel.from_config(dict(layout.unet))
        vae = AutoencoderKL.from_config(dict(layout.vae))
    _fill(unet, convert_ldm_unet_checkpoint(dict(tensors), unet.config), path, "UNet")
    _fill(vae, convert_ldm_vae_checkpoint(dict(tensors), vae.config), path, "VAE")
    components: dict[str, Any] = {"unet": unet.eval(), "vae": vae.eval()}
    for name, text in layout.texts.items():
        components[name] = _text_encoder(text, tensors, path)
        part = name.replace("text_encoder", "tokenizer")
        components[part] = _tokenizer(tokenizer, text.pad_token, path)
    return getattr(diffusers, family.pipeline_class)(
        **components, scheduler=DDIMScheduler.from_config(scheduler), **family.absent
    )


def _text_encoder(text: TextLayout, tensors: Mapping[str, Tensor], path: Path) -> nn.Module:
    encoder = getattr(transformers, text.kind)(CLIPTextConfig.from_dict(dict(text.config)))
    if text.open_clip:
        found = convert_open_clip_checkpoint(encoder, dict(tensors), prefix=text.prefix)
    else:
        ours = (name for name in tensors if name.startswith(text.prefix))
        found = {name.removeprefix(text.prefix): tensors[name] for name in ours}
    # transformers keeps the weights below text_model; newer versions not those of CLIPTextModel.
    below = "text_model." if hasattr(encoder, "text_model") else ""
    weights = {
        name if name.startswith("text_projection") else below + name.removeprefix("text_model."): t
        for name, t in found.items()
    }
    _fill(encoder, weights, path, "text encoder")
    return encoder.eval()


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
