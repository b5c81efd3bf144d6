"""A ComfyUI MODEL from one of MagicFace's two UNets.

Core recognises a UNet with eight input channels in diffusers' layout only for SDXL, and does not
know the Linear that adds AUs to the time embedding.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from torch import Tensor

from au_adapter.bundled import demo_folder
from au_adapter.models.magicface import MAGICFACE_UNITS
from au_adapter.weights.magicface_files import (
    AU_LINEAR,
    DENOISING,
    RELEASED,
    TITLES,
    read_unet_file,
)
from au_adapter.weights.tensors import some

from .compat import (
    IP2P,
    SD15,
    BaseModel,
    ModelPatcher,
    ModelType,
    UNetModel,
    model_management,
    unet_to_diffusers,
)
from .diffusers_model import latents_of, load_into, unet_config

logger = logging.getLogger("au_adapter")


class MagicFaceUNet(UNetModel):
    """Core's UNet with the AU encoder, which is loaded, cast and freed with it."""

    def __init__(self, *, model_channels: int, operations: Any, **config: Any) -> None:
        super().__init__(model_channels=model_channels, operations=operations, **config)
        kind = {name: config.get(name) for name in ("dtype", "device")}
        self.au_aug_mlp = operations.Linear(len(MAGICFACE_UNITS), 4 * model_channels, **kind)


class MagicFaceModel(IP2P, BaseModel):
    """The denoising UNet; `concat_latent_image` of CONDITIONING is its background, unscaled."""

    def __init__(self, description: SD15, device: Any = None) -> None:
        super().__init__(description, ModelType.EPS, device=device, unet_model=MagicFaceUNet)
        self.process_ip2p_image_in = lambda image: image


class MagicFaceConfig(SD15):
    """Core's description of Stable Diffusion 1.5, size and heads left to the instance."""

    unet_extra_config: dict[str, Any] = {}


def load_unet(path: Path, name: str, disable_dynamic: bool = False) -> ModelPatcher:
    """One of the two UNets of a file as a MODEL, in the precision that core prefers here.

    name: "denoising_unet" or "ID_enc". ValueError when the file holds another one, is incomplete,
    or is of a variant that only the library runs.
    """
    part = read_unet_file(path, name)
    if part.options != RELEASED:
        raise ValueError(
            f"{path} was trained with {part.options}, and the nodes run the "
            f"released form, {RELEASED}: use it from Python, au_adapter.weights.magicface_files"
        )
    weights = part.tensors()
    description = _description(part.config, weights)
    kind = MagicFaceModel if name == DENOISING else BaseModel
    model = kind(description, device=model_management.unet_offload_device())
    renamed = _rename(weights, description.unet_config, model.diffusion_model, path)
    patcher = load_into(model, renamed, disable_dynamic)
    patcher.cached_patcher_init = (load_unet, (path, name))  # how core makes a fresh copy
    logger.info("MagicFace's %s: %d weights of %s", TITLES[name], len(weights), path)
    return patcher


def _description(config: dict[str, Any], weights: dict[str, Tensor]) -> MagicFaceConfig:
    """Core's description of the network, with the precision that core chooses for the weights."""
    description = MagicFaceConfig(unet_config(config))
    published = config["cross_attention_dim"] == SD15.unet_config["context_dim"]
    description.latent_format = latents_of(config["out_channels"], demo_folder(), published)
    kinds = list(description.supported_inference_dtypes)
    numbers = sum(tensor.numel() for tensor in weights.values())
    stored = next(iter(weights.values())).dtype
    dtype = model_management.unet_dtype(
        model_params=numbers, supported_dtypes=kinds, weight_dtype=stored
    )
    device = model_management.get_torch_device()
    cast = model_management.unet_manual_cast(dtype, device, kinds)
    description.set_inference_dtype(dtype, cast)
    return description


def _rename(
    weights: dict[str, Tensor], config: dict[str, Any], network: UNetModel, path: Path
) -> dict[str, Tensor]:
    """The weights under core's names; ValueError unless they are all there in the right shape."""
    own = {f"{AU_LINEAR}.{kind}": f"{AU_LINEAR}.{kind}" for kind in ("weight", "bias")}
    names = {**unet_to_diffusers(config), **own}
    renamed = {names[n]: tensor for n, tensor in weights.items() if n in names}
    unknown = sorted(weights.keys() - names.keys())
    missing = sorted(network.state_dict().keys() - renamed.keys())
    for problem, found in (("lacks", missing), ("does not explain", unknown)):
        if found:
            raise ValueError(
                f"{path} {problem} {len(found)} weights: {some(found)}. Download it again"
            )
    return renamed
