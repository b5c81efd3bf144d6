"""The demo model in diffusers: its files as a StableDiffusionPipeline."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTinyOutput
from diffusers.models.autoencoders.vae import DecoderOutput
from diffusers.models.modeling_utils import ModelMixin
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from ..models.autoencoder import SCALING_FACTOR, AutoencoderConfig, DemoAutoencoder


class DiffusersAutoencoder(ModelMixin, ConfigMixin):
    """A DemoAutoencoder with the config and the calls that diffusers' pipelines expect."""

    @register_to_config
    def __init__(
        self,
        encoder: tuple[int, ...],
        decoder: tuple[int, ...],
        encoder_blocks: tuple[int, ...],
        decoder_blocks: tuple[int, ...],
        latent_channels: int = 4,
        scaling_factor: float = SCALING_FACTOR,
        block_out_channels: tuple[int, ...] = (48, 48, 64, 128),  # diffusers: 2^(length - 1) down
    ) -> None:
        super().__init__()
        stages = (encoder, decoder, encoder_blocks, decoder_blocks)
        self.network = DemoAutoencoder(AutoencoderConfig(*map(tuple, stages), latent_channels))

    def encode(
        self, pictures: Tensor, return_dict: bool = True
    ) -> AutoencoderTinyOutput | tuple[Tensor]:
        """Latents [N, C, H/8, W/8], not yet times the scaling factor, of pictures [N, 3, H, W]."""
        latents = self.network.encode(pictures)
        return AutoencoderTinyOutput(latents=latents) if return_dict else (latents,)

    def decode(
        self, latents: Tensor, return_dict: bool = True, generator: torch.Generator | None = None
    ) -> DecoderOutput | tuple[Tensor]:
        """Pictures [N, 3, 8H, 8W] in about -1..1; nothing is drawn from `generator`."""
        pictures = self.network.decode(latents)
        return DecoderOutput(sample=pictures) if return_dict else (pictures,)


def load_pipeline(folder: Path) -> StableDiffusionPipeline:
    """See `load_diffusers_pipeline` of this package."""
    vae = DiffusersAutoencoder(**_config(folder, "vae"))
    _fill(vae.network, folder, "vae")
    unet = UNet2DConditionModel.from_config(_config(folder, "unet"))
    _fill(unet, folder, "unet")
    text_encoder = CLIPTextModel(CLIPTextConfig.from_dict(_config(folder, "text_encoder")))
    _fill(text_encoder, folder, "text_encoder")
    return StableDiffusionPipeline(
        vae=vae.eval(),
        text_encoder=text_encoder.eval(),
        tokenizer=CLIPTokenizer.from_pretrained(_existing(folder / "tokenizer")),
        unet=unet.eval(),
        scheduler=demo_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def demo_scheduler() -> DDIMScheduler:
    """DDIM on Stable Diffusion's betas, from the last step on, as ComfyUI's schedulers start."""
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        timestep_spacing="trailing",
    )


def _existing(path: Path) -> Path:
    if not path.exists():
        raise FileNotFoundError(f"the demo model lacks {path}: install AU-Adapter with its weights")
    return path


def _config(folder: Path, name: str) -> dict:
    return json.loads(_existing(folder / f"{name}.json").read_text(encoding="utf-8"))


def _fill(network: nn.Module, folder: Path, name: str) -> None:
    path = _existing(folder / f"{name}.safetensors")
    try:
        network.load_state_dict(load_file(path))
    except RuntimeError as error:
        raise ValueError(f"{path} does not belong to {name}.json beside it: {error}") from error
