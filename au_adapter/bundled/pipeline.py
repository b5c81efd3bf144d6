"""The bundled model in diffusers: its files as a StableDiffusionPipeline, and back."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTinyOutput
from diffusers.models.autoencoders.vae import DecoderOutput
from diffusers.models.modeling_utils import ModelMixin
from huggingface_hub.errors import StrictDataclassError
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from ..disk import damage_named, read_json
from ..models.autoencoder import SCALING_FACTOR, AutoencoderConfig, DemoAutoencoder
from ..models.noise_schedule import NOISE_SCHEDULE
from ..weights.tensors import load_weights

M = TypeVar("M", bound=nn.Module)
NETWORKS = ("text_encoder", "unet", "vae")


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
    with damage_named(folder / "vae.json"):
        vae = DiffusersAutoencoder(**_config(folder, "vae"))
    _filled(folder, "vae", lambda: vae.network)
    text_encoder, tokenizer = load_text_encoder(folder)
    return StableDiffusionPipeline(
        vae=vae.eval(),
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        unet=load_unet(folder).eval(),
        # From the last step on, as ComfyUI's schedulers start.
        scheduler=DDIMScheduler(**NOISE_SCHEDULE, timestep_spacing="trailing"),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def load_unet(folder: Path) -> UNet2DConditionModel:
    """The UNet of a folder, in float32, ready to train."""
    config = _config(folder, "unet")
    return _filled(folder, "unet", lambda: UNet2DConditionModel.from_config(config))


def load_text_encoder(folder: Path) -> tuple[CLIPTextModel, CLIPTokenizer]:
    """The text encoder of a folder, in float32, and its tokenizer."""
    with damage_named(folder / "text_encoder.json", also=(StrictDataclassError,)):
        encoder = CLIPTextModel(CLIPTextConfig.from_dict(_config(folder, "text_encoder")))
    _filled(folder, "text_encoder", lambda: encoder)
    return encoder.eval(), CLIPTokenizer.from_pretrained(_existing(folder / "tokenizer"))


def save_network(network: nn.Module, folder: Path, name: str) -> None:
    """Write <name>.safetensors and <name>.json (the network's config)."""
    weights = {k: v.detach().contiguous() for k, v in network.state_dict().items()}
    save_file(weights, folder / f"{name}.safetensors")
    config = network.config
    values = config.to_dict() if hasattr(config, "to_dict") else dict(config)
    values = {k: v for k, v in values.items() if not k.startswith("_")}
    (folder / f"{name}.json").write_text(json.dumps(values, indent=1, default=str))


def copy_files(source: Path, folder: Path, without: str) -> None:
    """Copy the networks of a bundled model but one, and its tokenizer, byte by byte."""
    for name in (name for name in NETWORKS if name != without):
        for file in (f"{name}.json", f"{name}.safetensors"):
            shutil.copyfile(source / file, folder / file)
    shutil.copytree(source / "tokenizer", folder / "tokenizer")


def _existing(path: Path) -> Path:
    if not path.exists():
        raise FileNotFoundError(
            f"the bundled model lacks {path}: install AU-Adapter with its weights"
        )
    return path


def _config(folder: Path, name: str) -> dict:
    config = read_json(_existing(folder / f"{name}.json"))
    if not isinstance(config, dict):  # diffusers would fetch what a text names
        raise ValueError(f"{folder / name}.json holds no config: install AU-Adapter again")
    return config


def _filled(folder: Path, name: str, make: Callable[[], M]) -> M:
    """What `make` builds of <name>.json, with the weights beside it."""
    path = _existing(folder / f"{name}.safetensors")
    try:
        return load_weights(path, make)
    except ValueError as error:
        raise ValueError(f"{path} does not belong to {name}.json beside it: {error}") from error
