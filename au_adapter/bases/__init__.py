"""The base models that recipes train on: the demo model, or any Stable Diffusion 1 or 2.

A base is a folder: the demo's files (unet.safetensors, ...), or a diffusers folder
(model_index.json and one folder for each network), as `StableDiffusionPipeline.save_pretrained`
writes it; or a checkpoint in one file, see `checkpoints`.
"""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import DDPMScheduler, StableDiffusionPipeline
from torch import Tensor, nn

from ..bundled import load_diffusers_pipeline
from ..training.face_tensors import to_unit_range
from .single_file import load_checkpoint

DEMO = "AU-Adapter demo"


def is_demo(folder: str | Path) -> bool:
    """Whether a folder holds the demo's files rather than a diffusers model."""
    return (Path(folder) / "unet.safetensors").is_file()


def load_base(folder: str | Path, tokenizer: str | Path | None = None) -> StableDiffusionPipeline:
    """The networks of a base in float32, on the CPU, frozen. tokenizer: for a checkpoint in one
    file, which has none.

    Raises FileNotFoundError, with the kinds of base, when it is none of them; ValueError for a
    model that is not of the Stable Diffusion 1 or 2 kind.
    """
    folder = Path(folder)
    if folder.is_file():
        pipeline = load_checkpoint(folder, tokenizer)
    elif is_demo(folder):
        pipeline = load_diffusers_pipeline(folder)
    elif (folder / "model_index.json").is_file():
        pipeline = _from_diffusers(folder)
    else:
        raise FileNotFoundError(
            f"{folder} is no base: name a folder with model_index.json (a Stable Diffusion 1.5 or "
            "2.1 as diffusers saves it), a checkpoint in one file, or the demo model's folder, "
            "au_adapter/bundled"
        )
    for network in (pipeline.unet, pipeline.text_encoder, pipeline.vae):
        network.requires_grad_(False)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _from_diffusers(folder: Path) -> StableDiffusionPipeline:
    pipeline = StableDiffusionPipeline.from_pretrained(
        folder,
        local_files_only=True,
        use_safetensors=True,
        safety_checker=None,
        feature_extractor=None,
        image_encoder=None,
        requires_safety_checker=False,
        dtype=torch.float32,
    )
    if pipeline.unet.config.in_channels != pipeline.vae.config.latent_channels:
        raise ValueError(
            f"the UNet of {folder} takes {pipeline.unet.config.in_channels} channels, not the "
            f"{pipeline.vae.config.latent_channels} of a text-to-image model: inpainting and "
            "editing models cannot be trained here"
        )
    return pipeline


def base_name(folder: str | Path) -> str:
    """The base's name, for an adapter's config."""
    path = Path(folder).resolve()
    return DEMO if is_demo(path) else path.stem if path.is_file() else path.name


def picture_size(pipeline: StableDiffusionPipeline) -> int:
    """Pixels of a side of the pictures that the base was made for."""
    return pipeline.unet.config.sample_size * pipeline.vae_scale_factor


def training_schedule(pipeline: StableDiffusionPipeline) -> DDPMScheduler:
    """The base's own noise schedule and prediction type, for training."""
    return DDPMScheduler.from_config(pipeline.scheduler.config, clip_sample=False)


def encode_pictures(vae: nn.Module, pictures: Tensor, noise: Tensor) -> Tensor:
    """Scaled latents [N, 4, H/8, W/8] of uint8 pictures [N, H, W, 3].

    Drawn from the encoder's distribution with `noise` of the latents' shape, as Stable Diffusion
    trains; an autoencoder without one, such as the demo's, takes no notice of the noise.
    """
    encoded = vae.encode(to_unit_range(pictures))
    if hasattr(encoded, "latent_dist"):
        latents = encoded.latent_dist.mean + encoded.latent_dist.std * noise
    else:
        latents = encoded.latents
    return latents * vae.config.scaling_factor
