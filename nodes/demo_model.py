"""Load Demo Model: the bundled model, small enough to run anywhere in seconds."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from au_adapter.bundled import demo_folder
from au_adapter.weights.adapter_files import load_adapter
from au_adapter.weights.autoencoder_files import load_autoencoder

from .compat import (
    CLIP,
    TAESD,
    VAE,
    ClipTarget,
    CLIPTextModel,
    ModelPatcher,
    ModelType,
    SD1ClipModel,
    SD1Tokenizer,
    SDClipModel,
    SDTokenizer,
    io,
    model_management,
)
from .diffusers_model import build_model, latents_of
from .node import Node
from .sockets import AUAdapterSocket

PREFIX = "text_model."  # in core's names, and in those of older transformers


class LoadDemoModel(Node):
    """The model that comes with AU-Adapter: draws faces of 128 x 128 pixels on any machine in
    seconds. For trying things; it knows rendered heads and little else.
    """

    @classmethod
    def define_schema(cls) -> io.Schema:
        return cls.schema(
            "Load Demo Model",
            family="models and training",
            aliases=["FACS", "action units", "example", "tiny", "checkpoint"],
            inputs=[],
            outputs=[
                io.Model.Output(),
                io.Clip.Output(),
                io.Vae.Output(),
                AUAdapterSocket.Output(),
            ],
        )

    @classmethod
    def weight_files(cls, **_: Any) -> tuple[Path, ...]:
        return (demo_folder() / "adapter.safetensors",)

    @classmethod
    def execute(cls) -> io.NodeOutput:
        folder = demo_folder()
        adapter = load_adapter(folder / "adapter.safetensors").requires_grad_(False).eval()
        return io.NodeOutput(load_model(folder), load_clip(folder), load_vae(folder), adapter)


def load_model(folder: Path, disable_dynamic: bool = False) -> ModelPatcher:
    """The MODEL of a folder with unet.json and unet.safetensors."""
    config, weights = _read(folder, "unet")
    latents = latents_of(config["out_channels"], folder)
    model = build_model(config, weights, ModelType.EPS, disable_dynamic, latents)
    model.cached_patcher_init = (load_model, (folder,))  # how core makes a fresh copy, for training
    return model


def load_clip(folder: Path) -> CLIP:
    """The CLIP of a folder with text_encoder.json, text_encoder.safetensors and tokenizer/."""
    return build_clip(*_read(folder, "text_encoder"), folder / "tokenizer")


def load_vae(folder: Path) -> VAE:
    """The VAE of a folder with vae.json and vae.safetensors."""
    network = load_autoencoder(folder)
    # Core's VAE builds only its own networks: start with the smallest and replace it.
    vae = VAE(sd=TAESD().state_dict(), dtype=torch.float32)
    vae.first_stage_model = network
    vae.patcher = ModelPatcher(network, vae.device, model_management.vae_offload_device())
    vae.latent_channels = network.config.latent_channels
    vae.size = None
    vae.disable_offload = True
    vae.memory_used_encode = lambda shape, dtype: 1024 * shape[-1] * shape[-2]
    vae.memory_used_decode = lambda shape, dtype: 64 * 2048 * shape[-1] * shape[-2]
    return vae


def _read(folder: Path, name: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    config, weights = folder / f"{name}.json", folder / f"{name}.safetensors"
    for path in (config, weights):
        if not path.is_file():
            raise FileNotFoundError(
                f"Load Demo Model: {path} is missing; install AU-Adapter again, with its weights."
            )
    tensors = load_file(weights)  # half precision on disk, to be small; single to compute with
    single = {k: v.float() if v.is_floating_point() else v for k, v in tensors.items()}
    return json.loads(config.read_text(encoding="utf-8")), single


class OwnVocabularyTextModel(CLIPTextModel):
    """Core's text model, which assumes CLIP's vocabulary, with a vocabulary of any size."""

    def __init__(
        self, config: dict[str, Any], dtype: torch.dtype, device: Any, operations: Any
    ) -> None:
        super().__init__(config, dtype, device, operations)
        self.set_input_embeddings(
            operations.Embedding(
                config["vocab_size"], config["hidden_size"], dtype=dtype, device=device
            )
        )


def build_clip(config: dict[str, Any], weights: dict[str, Tensor], tokenizer: Path) -> CLIP:
    """A CLIP, in float32, from a CLIPTextModel's config and state dict and a tokenizer's folder.

    Prompts are encoded to the last hidden state after the final norm, as diffusers does by default.
    """
    end = config["eos_token_id"]
    text = partial(
        SDClipModel,
        textmodel_json_config=config,
        model_class=OwnVocabularyTextModel,
        special_tokens={"start": config["bos_token_id"], "end": end, "pad": end},
        return_projected_pooled=False,
    )
    tokens = partial(
        SDTokenizer, tokenizer_path=str(tokenizer), embedding_size=config["hidden_size"]
    )
    target = ClipTarget(
        partial(SD1Tokenizer, tokenizer=tokens), partial(SD1ClipModel, clip_model=text)
    )
    size = sum(tensor.numel() for tensor in weights.values())
    named = {PREFIX + name.removeprefix(PREFIX): tensor for name, tensor in weights.items()}
    # The projection of the pooled state is unused, but must not be NaN.
    named["text_projection.weight"] = torch.eye(config["hidden_size"])
    return CLIP(target, parameters=size, state_dict=[named], model_options={"dtype": torch.float32})
