"""What ComfyUI must know of a small model's latents: channels, scale, and colours for previews."""

from __future__ import annotations

from pathlib import Path

from au_adapter.models.autoencoder import SCALING_FACTOR
from au_adapter.weights.autoencoder_files import read_colours

from .compat import LatentFormat, StableDiffusionLatents


class SmallLatents(LatentFormat):
    """Latents of any number of channels, at the bundled autoencoder's scale.

    Core turns an empty latent of other channels into one of these before it samples. Without
    colours there are no previews.
    """

    def __init__(self, channels: int, colours: tuple[list[list[float]], list[float]] | None):
        self.scale_factor = SCALING_FACTOR
        self.latent_channels = channels
        if colours is not None:
            self.latent_rgb_factors, self.latent_rgb_factors_bias = colours


def latents_of(channels: int, folder: Path, stable_diffusion: bool = False) -> LatentFormat:
    """The latents of a UNet that denoises so many channels.

    folder: of the bundled model, whose colours are for its own number of channels.
    stable_diffusion: it draws with Stable Diffusion's autoencoder, whose colours core knows.
    """
    if stable_diffusion and channels == StableDiffusionLatents.latent_channels:
        return StableDiffusionLatents()
    colours = read_colours(folder)
    fits = colours is not None and len(colours[0]) == channels
    return SmallLatents(channels, colours if fits else None)
