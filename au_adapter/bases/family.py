"""What a family of base models answers. One object a family, in a file of its own.

A family outside this package subclasses `BaseFamily`, or `StableDiffusionFamily` for a relative of
Stable Diffusion, and is added with `bases.register`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from diffusers import DDPMScheduler, DiffusionPipeline


@dataclass(frozen=True)
class EncodedText:
    """What a UNet reads of N prompts.

    states: [N, T, width], for cross-attention. added: diffusers' `added_cond_kwargs`, [N, *] each.
    """

    states: Tensor
    added: Mapping[str, Tensor] = field(default_factory=dict)

    def joined(self, other: EncodedText) -> EncodedText:
        """These prompts, then those of another."""
        added = {name: torch.cat([rows, other.added[name]]) for name, rows in self.added.items()}
        return EncodedText(torch.cat([self.states, other.states]), added)


class BaseFamily:
    """The interface: what differs from one family to the next.

    `networks` below is a pipeline, or a module that holds its networks under their names there.

    Attributes:
        name: in the names of recipes. title: for people.
        parts: the pipeline's networks by name.
        au_encoder: the AU encoder of a new adapter, a name in TOKEN_ENCODERS.
        plain_loss: whether recipes train on the plain mean squared error, as FineFace does.
        holds_latents: whether renders are encoded once and their latents held in memory.
        magicface: whether MagicFace's UNets can start from it.
        recipe_defaults: recipe -> the settings and options that it takes on this family.
    """

    name: str
    title: str
    parts: tuple[str, ...] = ("unet", "text_encoder", "vae")
    au_encoder: str = "res_mlp64"
    plain_loss: bool = True
    holds_latents: bool = False
    magicface: bool = False
    recipe_defaults: Mapping[str, Mapping[str, Any]] = {}

    def detect(self, path: Path) -> bool:
        """Whether a folder or file is a base of this family, by its content, never by its name.

        ValueError for one of this family that is no text-to-image model.
        """
        raise NotImplementedError

    def load(self, path: Path, tokenizer: str | Path | None = None) -> DiffusionPipeline:
        """The networks in float32 on the CPU. tokenizer: a folder with CLIP's vocab.json and
        merges.txt, for a checkpoint in one file. Errors name the file and what is wrong with it."""
        raise NotImplementedError

    def tokenize(self, pipeline: DiffusionPipeline, prompts: Sequence[str]) -> Tensor:
        """Token ids of N prompts for `encode_text`: int64 [N, 77], [N, E, 77] of E encoders."""
        raise NotImplementedError

    def encode_text(self, networks: Any, tokens: Tensor) -> EncodedText:
        """The text encoders' output for token ids, as the pipeline itself encodes its prompts."""
        raise NotImplementedError

    def owns(self, pipeline: DiffusionPipeline) -> bool:
        """Whether a pipeline in memory is of this family."""
        raise NotImplementedError

    def encode_prompts(
        self, pipeline: DiffusionPipeline, prompts: Sequence[str], guided: bool
    ) -> EncodedText:
        """What the UNet reads of N prompts; guided: of the empty prompt N times, then of them."""
        device = pipeline.unet.device
        asked = self.encode_text(pipeline, self.tokenize(pipeline, prompts).to(device))
        if not guided:
            return asked
        empty = self.encode_text(pipeline, self.tokenize(pipeline, [""] * len(prompts)).to(device))
        return empty.joined(asked)

    def base_name(self, path: Path) -> str:
        """The base's name, for an adapter's config."""
        return path.stem if path.is_file() else path.name

    def picture_size(self, networks: Any) -> int:
        """Pixels of a side of the pictures that the base was made for."""
        levels = len(networks.vae.config.block_out_channels)
        return networks.unet.config.sample_size * 2 ** (levels - 1)

    def training_schedule(self, pipeline: DiffusionPipeline) -> DDPMScheduler:
        """The base's own noise schedule and prediction type, for training."""
        from diffusers import DDPMScheduler

        return DDPMScheduler.from_config(pipeline.scheduler.config, clip_sample=False)

    def encode_pictures(self, vae: nn.Module, pictures: Tensor, noise: Tensor) -> Tensor:
        """Scaled latents [N, 4, H/8, W/8] of uint8 pictures [N, H, W, 3].

        Drawn from the encoder's distribution with `noise` of the latents' shape, as Stable
        Diffusion trains; the bundled autoencoder has none and ignores the noise.
        """
        return self.draw_latents(vae, self.encode_distribution(vae, pictures), noise)

    def encode_distribution(self, vae: nn.Module, pictures: Tensor) -> Tensor:
        """Means, then deviations, of the unscaled latents: [N, 2 x 4, H/8, W/8]."""
        encoded = vae.encode(to_unit_range(pictures))
        if hasattr(encoded, "latent_dist"):
            return torch.cat([encoded.latent_dist.mean, encoded.latent_dist.std], dim=1)
        return torch.cat([encoded.latents, torch.zeros_like(encoded.latents)], dim=1)

    def draw_latents(self, vae: nn.Module, distribution: Tensor, noise: Tensor) -> Tensor:
        """Scaled latents of what `encode_distribution` made."""
        means, deviations = distribution.chunk(2, dim=1)
        return (means + deviations * noise) * vae.config.scaling_factor

    def save_unet(self, unet: nn.Module, base: Path, folder: Path) -> None:
        """Write a trained UNet of the base at `base`: diffusers' folder unet."""
        unet.save_pretrained(folder / "unet", safe_serialization=True)


def to_unit_range(images: Tensor) -> Tensor:
    """uint8 [N, H, W, 3] -> float32 [N, 3, H, W] in -1..1."""
    return images.movedim(-1, 1).float() / 127.5 - 1


def pad_and_tokenize(tokenizer: Any, prompts: Sequence[str]) -> Tensor:
    """Token ids [N, 77] of one tokenizer, padded as its base was trained."""
    return tokenizer(
        list(prompts),
        padding="max_length",
        max_length=tokenizer.model_max_length,
        truncation=True,
        return_tensors="pt",
    ).input_ids
