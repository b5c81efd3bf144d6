"""The bundled model: a small Stable Diffusion for rendered heads of 128 x 128 pixels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn

from .stable_diffusion import StableDiffusionFamily

if TYPE_CHECKING:
    from diffusers import StableDiffusionPipeline


class BundledFamily(StableDiffusionFamily):
    """A folder with the files of au_adapter/bundled.

    FineFace departs from its paper on it: the loss weighs face parts and timesteps, because the
    pictures are small, and captions are dropped at times, because the base has no habit of
    unprompted pictures to fall back on. `--set plain_loss=true caption_dropout=0` is FineFace's.
    """

    name, title = "bundled", "the bundled model"
    plain_loss = False
    holds_latents = magicface = True
    recipe_defaults = {}

    def detect(self, path: Path) -> bool:
        return (path / "unet.safetensors").is_file()

    def owns(self, pipeline: StableDiffusionPipeline) -> bool:
        return type(pipeline.vae).__name__ == "DiffusersAutoencoder"

    def load(self, path: Path, tokenizer: str | Path | None = None) -> StableDiffusionPipeline:
        from ..bundled import load_diffusers_pipeline

        return load_diffusers_pipeline(path)

    def base_name(self, path: Path) -> str:
        return "AU-Adapter demo"  # in the files of adapters since the first release

    def save_unet(self, unet: nn.Module, base: Path, folder: Path) -> None:
        from ..bundled.pipeline import copy_files, save_network

        save_network(unet, folder, "unet")
        copy_files(base, folder, without="unet")


BUNDLED = BundledFamily()
