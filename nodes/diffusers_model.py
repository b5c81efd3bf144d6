"""A ComfyUI MODEL from a diffusers UNet of the Stable Diffusion kind and any size.

Core's own loaders recognise only the sizes that were published.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from au_adapter.models.autoencoder import SCALING_FACTOR
from au_adapter.weights.autoencoder_files import read_colours

from .compat import (
    SD20,
    SDXL,
    BaseModel,
    LatentFormat,
    ModelPatcher,
    ModelType,
    StableDiffusionLatents,
    dynamic_patcher,
    is_dynamic,
    model_management,
    unet_to_diffusers,
)


class AnySize:
    """A description of core's with size, heads and prediction left to the instance."""

    unet_extra_config: dict[str, Any] = {}
    prediction = ModelType.EPS

    def model_type(self, state_dict: dict[str, Tensor], prefix: str = "") -> ModelType:
        return self.prediction

    def inpaint_model(self) -> bool:
        """Whether it takes a mask beside its latents, which core tells by more than 4 channels."""
        return self.unet_config["in_channels"] > self.unet_config["out_channels"]


class SmallUNetConfig(AnySize, SD20):
    """Core's description of Stable Diffusion 2, of any size."""


class SmallSDXLConfig(AnySize, SDXL):
    """Core's description of Stable Diffusion XL, of any size."""


def build_model(
    config: dict[str, Any],
    weights: dict[str, Tensor],
    prediction: ModelType = ModelType.EPS,
    disable_dynamic: bool = False,
    latents: LatentFormat | None = None,
) -> ModelPatcher:
    """A MODEL, in float32, from a UNet2DConditionModel's config and state dict.

    latents: what it denoises; default: Stable Diffusion's. ValueError when the weights do not fit.
    """
    core = unet_config(config)
    description = (SmallSDXLConfig if core["adm_in_channels"] else SmallUNetConfig)(core)
    description.prediction = prediction
    if latents is not None:
        description.latent_format = latents
    description.set_inference_dtype(torch.float32, None)
    model = description.get_model({}, device=model_management.unet_offload_device())
    return load_into(model, _rename(weights, description.unet_config), disable_dynamic)


def load_into(model: BaseModel, weights: dict[str, Tensor], disable_dynamic: bool) -> ModelPatcher:
    """A MODEL of core's network, which stands where core offloads to, with these weights."""
    kind = ModelPatcher if disable_dynamic else dynamic_patcher()
    offload = model_management.unet_offload_device()
    patcher = kind(model, model_management.get_torch_device(), offload)
    # Loading on demand works on the tensors themselves, as they lie in the file.
    model.diffusion_model.load_state_dict(weights, assign=is_dynamic(patcher))
    return patcher


def unet_config(config: dict[str, Any]) -> dict[str, Any]:
    """ComfyUI's description of the UNet that a UNet2DConditionModel's config describes."""
    channels = config["block_out_channels"]
    blocks = config["layers_per_block"]
    depths = _depths(config)
    # SDXL's pooled text and sizes, as core's label embedding takes them.
    sdxl = config.get("addition_embed_type") == "text_time"
    pooled = config["projection_class_embeddings_input_dim"] if sdxl else None
    return {
        "image_size": config["sample_size"],
        "in_channels": config["in_channels"],
        "out_channels": config["out_channels"],
        "model_channels": channels[0],
        "channel_mult": [_factor(c, channels[0]) for c in channels],
        "num_res_blocks": [blocks] * len(channels),
        "transformer_depth": [depth for depth in depths for _ in range(blocks)],
        "transformer_depth_middle": depths[-1] or 1,
        "transformer_depth_output": [depth for depth in depths for _ in range(blocks + 1)],
        "context_dim": config["cross_attention_dim"],
        "use_spatial_transformer": True,
        "use_linear_in_transformer": config["use_linear_projection"],
        "legacy": False,
        "adm_in_channels": pooled,
        **({"num_classes": "sequential"} if pooled else {}),
        "use_temporal_resblock": False,
        "use_temporal_attention": False,
        **_heads(config["attention_head_dim"], channels),
    }


class Factor(float):
    """What core multiplies its first width by, where that is no whole number: the product is one,
    as networks need it."""

    def __mul__(self, width: int) -> int:
        return round(float(self) * width)

    __rmul__ = __mul__


def _factor(width: int, first: int) -> int | Factor:
    return Factor(width / first) if width % first else width // first


def _depths(config: dict[str, Any]) -> list[int]:
    """Transformer blocks in each attention of a level, 0 where a level has none."""
    kinds, depths = config["down_block_types"], config.get("transformer_layers_per_block", 1)
    each = [depths] * len(kinds) if isinstance(depths, int) else depths
    return [depth if "CrossAttn" in kind else 0 for kind, depth in zip(kinds, each, strict=True)]


def _heads(counts: int | list[int], channels: list[int]) -> dict[str, int]:
    """diffusers' "attention_head_dim" counts heads: one number for all levels, or one for each."""
    if isinstance(counts, int):
        return {"num_heads": counts, "num_head_channels": -1}
    sizes = {c // count for c, count in zip(channels, counts, strict=True)}
    if len(sizes) > 1:
        raise ValueError(f"the heads have {sorted(sizes)} channels; all levels must have the same")
    return {"num_heads": -1, "num_head_channels": sizes.pop()}


def _rename(weights: dict[str, Tensor], config: dict[str, Any]) -> dict[str, Tensor]:
    names = unet_to_diffusers(config)
    if unknown := sorted(set(weights) - set(names)):
        raise ValueError(
            f"the UNet's weights do not fit its config: {len(unknown)} are unknown, "
            f"{unknown[0]} first"
        )
    return {names[name]: tensor for name, tensor in weights.items()}


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
