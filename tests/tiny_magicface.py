"""MagicFace with random weights in its published layout, tiny or one block wide, and a plain
reference of the released formulation to hold ours against."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import save_file
from torch import Tensor, nn

TINY = {
    "sample_size": 8,
    "block_out_channels": (64, 128),
    "layers_per_block": 1,
    "cross_attention_dim": 96,
    "attention_head_dim": 8,
    "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
}
# Stable Diffusion 1.5's widths, heads and text, one block of each level that attends.
WIDE = {
    **TINY,
    "block_out_channels": (320, 640),
    "cross_attention_dim": 768,
}
Weights = dict[str, dict[str, Tensor]]


def random_unets(shape: dict = TINY) -> Weights:
    """The state dicts of denoising_unet and ID_enc, with the published names; seeded."""
    torch.manual_seed(13)
    denoising = UNet2DConditionModel(in_channels=8, **shape).state_dict()
    width = 4 * shape["block_out_channels"][0]
    au_encoder = {
        "au_aug_mlp.weight": 0.3 * torch.randn(width, 12),
        "au_aug_mlp.bias": 0.3 * torch.randn(width),
    }
    id_encoder = UNet2DConditionModel(in_channels=4, **shape).state_dict()
    return {"denoising_unet": {**denoising, **au_encoder}, "ID_enc": dict(id_encoder)}


def write_published(folder: Path, weights: Weights | None = None) -> Path:
    """The two folders of MagicFace's page, without their config.json, which nobody needs."""
    for name, tensors in (weights or random_unets()).items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        save_file(tensors, folder / name / "diffusion_pytorch_model.safetensors")
    return folder


class ReleasedMagicFace:
    """The released formulation: both halves ask, both are answered, one half is cropped away."""

    def __init__(self, weights: Weights, shape: dict = TINY) -> None:
        denoising = dict(weights["denoising_unet"])
        linear = nn.Linear(12, 4 * shape["block_out_channels"][0])
        linear.load_state_dict({n: denoising.pop(f"au_aug_mlp.{n}") for n in ("weight", "bias")})
        self.unet = UNet2DConditionModel(in_channels=8, **shape).eval()
        self.unet.load_state_dict(denoising)
        self.unet.class_embedding = linear  # diffusers adds what it makes of class_labels to time
        self.id_encoder = UNet2DConditionModel(in_channels=4, **shape).eval()
        self.id_encoder.load_state_dict(weights["ID_enc"])

    @torch.no_grad()
    def features(self, photo: Tensor, text: Tensor) -> list[Tensor]:
        """What every transformer block of the ID encoder gets, in the order of execution."""
        found: list[Tensor] = []
        for block in _blocks(self.id_encoder):
            block.register_forward_pre_hook(lambda _, inputs: found.append(inputs[0]))
        self.id_encoder(photo, 0, text)
        return found

    @torch.no_grad()
    def predict(
        self,
        noisy: Tensor,
        timestep: float,
        text: Tensor,
        features: list[Tensor],
        background: Tensor,
        change: Tensor,
    ) -> Tensor:
        """The noise, with one row of everything for each picture."""
        left = iter(features)
        for block in _blocks(self.unet):
            block.forward = partial(_released_forward, block, left)
        inputs = torch.cat([noisy, background], 1)
        return self.unet(inputs, timestep, text, class_labels=change).sample


def _blocks(unet: nn.Module) -> list[nn.Module]:
    return [m for m in unet.modules() if type(m).__name__ == "BasicTransformerBlock"]


def _released_forward(
    block: nn.Module,
    features: Iterator[Tensor],
    hidden_states: Tensor,
    encoder_hidden_states: Tensor | None = None,
    **_: object,
) -> Tensor:
    """A transformer block on the own tokens and, behind them, the identity's; the first half of
    the self-attention's result goes on."""
    feature = next(features)
    both = torch.cat([hidden_states, feature.expand(len(hidden_states), -1, -1)], 1)
    both = block.attn1(block.norm1(both)) + both
    own = both[:, : hidden_states.shape[1]]
    own = block.attn2(block.norm2(own), encoder_hidden_states=encoder_hidden_states) + own
    return block.ff(block.norm3(own)) + own
