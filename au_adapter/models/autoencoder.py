"""The demo model's autoencoder: pictures of 8 n pixels a side <-> n cells of some channels.

A stock autoencoder spends most of its time in convolutions at full resolution. This one folds 4 x 4
pixels into channels first, so that all its convolutions run at a quarter of the resolution or below
(half, in the decoder's last stage), and trains on two processor cores.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

SCALING_FACTOR = 0.18215  # Stable Diffusion's: latent * factor has unit variance


@dataclass(frozen=True)
class AutoencoderConfig:
    """Channels and blocks of the stages: encoder from fine to coarse, decoder back to fine.

    latent_channels: numbers of a cell; files that do not say have 4.
    """

    encoder: tuple[int, int] = (64, 128)
    decoder: tuple[int, int, int] = (160, 64, 32)
    encoder_blocks: tuple[int, int] = (1, 2)
    decoder_blocks: tuple[int, int, int] = (2, 3, 2)
    latent_channels: int = 4


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions around a skip. [N, C, H, W] -> [N, C, H, W]."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm = nn.GroupNorm(8, channels)
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        self.activation = nn.SiLU()

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(self.activation(self.first(self.activation(self.norm(x)))))


def _stage(channels: int, blocks: int) -> list[nn.Module]:
    return [ResidualBlock(channels) for _ in range(blocks)]


def _upsample(source: int, target: int) -> list[nn.Module]:
    return [nn.Conv2d(source, 4 * target, 1), nn.PixelShuffle(2)]


class DemoAutoencoder(nn.Module):
    """8x down, C latent channels. Pictures are -1..1; latents follow Stable Diffusion's scale."""

    def __init__(self, config: AutoencoderConfig | None = None):
        super().__init__()
        self.config = config or AutoencoderConfig()
        channels = self.config.latent_channels
        fine, coarse = self.config.encoder
        self.encoder = nn.Sequential(
            nn.PixelUnshuffle(4),
            nn.Conv2d(48, fine, 3, padding=1),
            *_stage(fine, self.config.encoder_blocks[0]),
            nn.Conv2d(fine, coarse, 3, stride=2, padding=1),
            *_stage(coarse, self.config.encoder_blocks[1]),
            nn.GroupNorm(8, coarse),
            nn.SiLU(),
            nn.Conv2d(coarse, channels, 3, padding=1),
        )
        low, middle, high = self.config.decoder
        self.decoder = nn.Sequential(
            nn.Conv2d(channels, low, 3, padding=1),
            *_stage(low, self.config.decoder_blocks[0]),
            *_upsample(low, middle),
            *_stage(middle, self.config.decoder_blocks[1]),
            *_upsample(middle, high),
            *_stage(high, self.config.decoder_blocks[2]),
            nn.SiLU(),
            nn.Conv2d(high, 12, 3, padding=1),
            nn.PixelShuffle(2),
        )
        # A linear path beside the networks: it starts as the best linear code of 8 x 8 patches, so
        # that the networks only have to learn what a linear code cannot say.
        self.patches_in = nn.Conv2d(3, channels, 8, stride=8)
        self.patches_out = nn.ConvTranspose2d(channels, 3, 8, stride=8)
        self.register_buffer("latent_mean", torch.zeros(channels))
        self.register_buffer("latent_deviation", torch.ones(channels))

    def encode(self, pictures: Tensor) -> Tensor:
        """Latents [N, C, H/8, W/8] of pictures [N, 3, H, W] in -1..1.

        Times SCALING_FACTOR they have the deviations of `set_latent_statistics`.
        """
        mean, deviation = self._statistics()
        return (self.encode_raw(pictures) - mean) / deviation / SCALING_FACTOR

    def decode(self, latents: Tensor) -> Tensor:
        """Pictures [N, 3, 8H, 8W], about -1..1, of latents [N, C, H, W] as encode returns them."""
        mean, deviation = self._statistics()
        return self.decode_raw(latents * SCALING_FACTOR * deviation + mean)

    def encode_raw(self, pictures: Tensor) -> Tensor:
        """Latents before normalisation."""
        return self.patches_in(pictures) + self.encoder(pictures)

    def decode_raw(self, raw: Tensor) -> Tensor:
        """Pictures of latents before normalisation."""
        return self.patches_out(raw) + self.decoder(raw)

    @torch.no_grad()
    def start_from_principal_components(self, pictures: Tensor) -> None:
        """Start training from the principal components of 8 x 8 patches of pictures [N, 3, H, W].

        Afterwards encode_raw and decode_raw are linear, and raw latents have unit variance.
        """
        patches = nn.functional.pixel_unshuffle(pictures, 8).movedim(1, -1).flatten(0, 2)
        mean = patches.mean(0)
        _, deviations, components = torch.linalg.svd(patches - mean, full_matrices=False)
        deviations = deviations[: self.config.latent_channels, None] / len(patches) ** 0.5
        components = components[: self.config.latent_channels]
        self.patches_in.weight.copy_((components / deviations).reshape(-1, 3, 8, 8))
        self.patches_in.bias.copy_(-(components / deviations) @ mean)
        self.patches_out.weight.copy_((components * deviations).reshape(-1, 3, 8, 8))
        self.patches_out.bias.copy_(mean.reshape(3, 64).mean(1))
        for last in (self.encoder[-1], self.decoder[-2]):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    @torch.no_grad()
    def set_latent_statistics(self, raw: Tensor, spread: Tensor | None = None) -> None:
        """Make encode normalise by the mean and deviation of raw latents [N, C, H, W].

        spread [C]: the deviation that each channel comes out with; default 1.
        """
        self.latent_mean.copy_(raw.mean((0, 2, 3)))
        self.latent_deviation.copy_(raw.std((0, 2, 3)) / (1 if spread is None else spread))

    def _statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and deviation of raw latents, [1, C, 1, 1] each."""
        return self.latent_mean[None, :, None, None], self.latent_deviation[None, :, None, None]
