"""Stable Diffusion XL: two text encoders, and the size of the picture as a condition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ..weights.tensors import read_shapes
from .checkpoint_layout import CLIP_L, VAE, CheckpointLayout, TextLayout
from .family import EncodedText, pad_and_tokenize
from .stable_diffusion import UNET as PREFIX
from .stable_diffusion import StableDiffusionFamily

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline

UNET = {
    "sample_size": 128,
    "block_out_channels": [320, 640, 1280],
    "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
    "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
    "transformer_layers_per_block": [1, 2, 10],
    "cross_attention_dim": 2048,
    "attention_head_dim": [5, 10, 20],
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}
TEXT_2 = {  # OpenCLIP's ViT-bigG
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "num_hidden_layers": 32,
    "num_attention_heads": 20,
    "hidden_act": "gelu",
    "projection_dim": 1280,
}


class StableDiffusionXL(StableDiffusionFamily):
    """The base model, not the refiner, which has one text encoder."""

    name, title = "sdxl", "Stable Diffusion XL"
    parts = ("unet", "text_encoder", "text_encoder_2", "vae")
    pipeline_class = "StableDiffusionXLPipeline"
    absent = {"feature_extractor": None, "image_encoder": None}
    text_keys = f"{PREFIX}input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight"
    text_width = 2048
    layout = CheckpointLayout(
        UNET,
        {
            "text_encoder": TextLayout("conditioner.embedders.0.transformer.", CLIP_L),
            "text_encoder_2": TextLayout(
                "conditioner.embedders.1.model.", TEXT_2, "!", True, "CLIPTextModelWithProjection"
            ),
        },
        {**VAE, "sample_size": 1024, "scaling_factor": 0.13025},
    )

    def matches(self, unet: Mapping[str, Any]) -> bool:
        return unet.get("addition_embed_type") == "text_time"

    def _detect_file(self, path: Path) -> bool:
        if not super()._detect_file(path):
            return False
        if any(name.startswith("edm_") for name in read_shapes(path)):
            raise ValueError(
                f"{path} is an SDXL with EDM's noise levels, which cannot be trained here: give "
                "one that predicts noise or velocity"
            )
        return True

    def read_schedule(self, tensors: Mapping[str, Tensor]) -> dict[str, Any]:
        """By the empty tensors that trainers put into a file, as ComfyUI reads them."""
        kind = "v_prediction" if "v_pred" in tensors else "epsilon"
        return {"prediction_type": kind, "rescale_betas_zero_snr": "ztsnr" in tensors}

    def load(self, path: Path, tokenizer: str | Path | None = None) -> DiffusionPipeline:
        pipeline = super().load(path, tokenizer)
        if pipeline.text_encoder is None or pipeline.text_encoder_2 is None:
            raise ValueError(
                f"{path} has one text encoder, as the refiner of SDXL: give the base model"
            )
        return pipeline

    def tokenize(self, pipeline: DiffusionPipeline, prompts: Sequence[str]) -> Tensor:
        tokenizers = (pipeline.tokenizer, pipeline.tokenizer_2)
        return torch.stack([pad_and_tokenize(each, prompts) for each in tokenizers], dim=1)

    def encode_text(self, networks: Any, tokens: Tensor) -> EncodedText:
        """Both encoders' last layer but one, side by side; the second's pooled text; and the size
        before and after cropping, with the corner of the crop (SDXL, section 2.2)."""
        first, second = (
            encoder(ids, output_hidden_states=True)
            for encoder, ids in zip(
                (networks.text_encoder, networks.text_encoder_2), tokens.unbind(1), strict=True
            )
        )
        states = torch.cat([first.hidden_states[-2], second.hidden_states[-2]], dim=-1)
        side = self.picture_size(networks)
        sizes = torch.tensor([side, side, 0, 0, side, side], device=states.device)
        added = {
            "text_embeds": second.text_embeds,
            "time_ids": sizes.to(states).expand(len(states), -1),
        }
        return EncodedText(states, added)

    def encode_prompts(
        self, pipeline: DiffusionPipeline, prompts: Sequence[str], guided: bool
    ) -> EncodedText:
        """As SDXL's pipeline: where its config says so, zeros stand for the empty prompt."""
        text = super().encode_prompts(pipeline, prompts, guided)
        if guided and pipeline.config.force_zeros_for_empty_prompt:
            text.states[: len(prompts)] = 0
            text.added["text_embeds"][: len(prompts)] = 0
        return text

    def encode_distribution(self, vae: nn.Module, pictures: Tensor) -> Tensor:
        """In float32: SDXL's autoencoder overflows in half precision."""
        with torch.autocast(pictures.device.type, enabled=False):
            return super().encode_distribution(vae, pictures)


SDXL = StableDiffusionXL()
