"""What the families of Stable Diffusion have in common: their folders, checkpoints and text."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..disk import damage_named
from ..models.noise_schedule import NOISE_SCHEDULE
from ..weights.tensors import read_shapes, read_tensors
from .checkpoint_layout import CheckpointLayout
from .family import BaseFamily, EncodedText, pad_and_tokenize

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline

UNET = "model.diffusion_model."
FIRST_LAYER = f"{UNET}input_blocks.0.0.weight"

# FineFace's numbers: 20,000 steps of 16 faces at a constant 1e-4 (supplement, Experimental
# Settings; its code does 4 x 3 faces), plain noise error, captions never dropped. Ours: gradients
# are clipped at a norm of 1, which its code means to do and does not.
FINEFACE = {
    "steps": 20000,
    "batch_size": 16,
    "learning_rate": 1e-4,
    "weight_decay": 1e-2,
    "warmup_steps": 0,
    "decay_steps": 0,
    "average_decay": 0.0,
    "mixed_precision": "bf16",
    "gradient_checkpointing": True,
    "save_every": 500,
    "caption_dropout": 0.0,
    "plain_loss": True,
}

# Its baselines', of which nothing is published: the LoRA of its own adapter, and for DreamBooth the
# learning rate of diffusers' script.
BASELINES = {
    "lora-text": FINEFACE,
    "lora-au": FINEFACE,
    "dreambooth": {**FINEFACE, "learning_rate": 5e-6},
}


class StableDiffusionFamily(BaseFamily):
    """A UNet on a text encoder of CLIP's, as a diffusers folder or a checkpoint in one file.

    Attributes:
        pipeline_class: its pipeline's class in diffusers. absent: what that is told of parts that
            a base does without.
        text_keys, text_width: the weight of a checkpoint whose last dimension is the text's width,
            and that width, which tells the family.
        layout: how a checkpoint in one file keeps its networks.
    """

    pipeline_class = "StableDiffusionPipeline"
    absent: Mapping[str, Any] = {
        "safety_checker": None,
        "feature_extractor": None,
        "image_encoder": None,
        "requires_safety_checker": False,
    }
    text_keys = f"{UNET}input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"
    text_width = 0
    layout: CheckpointLayout
    recipe_defaults = {"fineface": FINEFACE, **BASELINES}

    def matches(self, unet: Mapping[str, Any]) -> bool:
        """Whether a diffusers folder's UNet config is of this family, whatever its size."""
        added = unet.get("addition_embed_type") or unet.get("class_embed_type")
        linear, ours = (bool(u.get("use_linear_projection")) for u in (unet, self.layout.unet))
        return not added and linear == ours

    def read_schedule(self, tensors: Mapping[str, Tensor]) -> dict[str, Any]:
        """What a checkpoint in one file says of its noise schedule, in the words of diffusers."""
        return {"prediction_type": "epsilon"}

    def owns(self, pipeline: DiffusionPipeline) -> bool:
        same = type(pipeline).__name__ == self.pipeline_class
        return same and self.matches(pipeline.unet.config)

    def detect(self, path: Path) -> bool:
        if path.is_file():
            return self._detect_file(path)
        config = path / "unet" / "config.json"
        if not ((path / "model_index.json").is_file() and config.is_file()):
            return False
        with damage_named(config):
            return self.matches(dict(json.loads(config.read_text(encoding="utf-8"))))

    def _detect_file(self, path: Path) -> bool:
        shapes = _shapes(path, path.stat().st_mtime_ns)
        if shapes.get(self.text_keys, ())[-1:] != (self.text_width,):
            return False
        _require_text_to_image(shapes.get(FIRST_LAYER, (0, 0))[1], 4, path)
        return True

    def load(self, path: Path, tokenizer: str | Path | None = None) -> DiffusionPipeline:
        if path.is_file():
            return self.open_checkpoint(read_tensors(path), self.layout, tokenizer, path)
        import diffusers

        pipeline = getattr(diffusers, self.pipeline_class).from_pretrained(
            path, local_files_only=True, use_safetensors=True, dtype=torch.float32, **self.absent
        )
        channels = pipeline.unet.config.in_channels
        _require_text_to_image(channels, pipeline.vae.config.latent_channels, path)
        return pipeline

    def open_checkpoint(
        self,
        tensors: Mapping[str, Tensor],
        layout: CheckpointLayout,
        tokenizer: str | Path | None,
        path: Path,
    ) -> DiffusionPipeline:
        """The pipeline of a checkpoint's tensors; see `single_file.read_networks`."""
        import diffusers

        from .single_file import read_networks

        networks = read_networks(tensors, layout, tokenizer, path)
        schedule = {**NOISE_SCHEDULE, **self.read_schedule(tensors)}
        return getattr(diffusers, self.pipeline_class)(
            **networks, scheduler=diffusers.DDIMScheduler.from_config(schedule), **self.absent
        )

    def tokenize(self, pipeline: DiffusionPipeline, prompts: Sequence[str]) -> Tensor:
        return pad_and_tokenize(pipeline.tokenizer, prompts)

    def encode_text(self, networks: Any, tokens: Tensor) -> EncodedText:
        return EncodedText(networks.text_encoder(tokens).last_hidden_state)


def _require_text_to_image(channels: int, latent_channels: int, path: Path) -> None:
    if channels != latent_channels:
        raise ValueError(
            f"the UNet of {path} takes {channels} channels, not the {latent_channels} of a "
            "text-to-image model: inpainting and editing models cannot be trained here"
        )


@lru_cache(maxsize=4)
def _shapes(path: Path, modified: int) -> dict[str, tuple[int, ...]]:
    """The shapes in a checkpoint, read once for all families."""
    return read_shapes(path)
