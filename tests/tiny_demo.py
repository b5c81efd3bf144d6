"""A bundled model with random weights, quick to make: the shapes of the real one, in a folder."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import save_file
from tiny_unet import SD21, tiny_adapter, tiny_unet
from tiny_vqauface import write_vqauface
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from au_adapter.bundled import MAGICFACE
from au_adapter.models.autoencoder import AutoencoderConfig, DemoAutoencoder
from au_adapter.models.magicface import MagicFace, widen_unet
from au_adapter.training.tokenizer import END, START, write_tokenizer
from au_adapter.weights.adapter_files import save_adapter
from au_adapter.weights.autoencoder_files import save_autoencoder
from au_adapter.weights.magicface_files import save_networks

WORDS = ["a", "young", "old", "man", "woman", "smiling", "green", "background", ","]
WIDTH = 128
WIDTHS = (96, 128, 128)  # of the UNet, as shipped


def write_demo(folder: Path, widths: tuple[int, ...] = WIDTHS) -> Path:
    """Write all files of a bundled model into `folder`, the same weights every time. widths: of the
    UNet's levels."""
    torch.manual_seed(5)
    write_tokenizer(WORDS, folder / "tokenizer")
    tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
    unet = demo_unet(widths=widths)
    autoencoder = DemoAutoencoder()
    autoencoder.set_latent_statistics(torch.randn(2, 4, 4, 4))
    _write(folder, "text_encoder", text_encoder(tokenizer))
    _write(folder, "unet", unet)
    save_autoencoder(autoencoder, folder)
    save_adapter(tiny_adapter(unet), folder / "adapter.safetensors")
    write_magicface(folder / "magicface")
    write_vqauface(folder / "vq_auface")
    return folder


def write_magicface(folder: Path) -> Path:
    """Write a MagicFace for the text and latents of the bundled model, whose AUs can be seen."""
    unet = tiny_unet(SD21)
    network = MagicFace(widen_unet(unet), unet)
    nn.init.normal_(network.au_encoder.linear.weight, std=0.3)
    return save_networks(network, folder / MAGICFACE)


def write_base(folder: Path, channels: int) -> Path:
    """Write UNet, text encoder and autoencoder of latents with so many channels into `folder`."""
    torch.manual_seed(6)
    write_tokenizer(WORDS, folder / "tokenizer")
    tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
    _write(folder, "text_encoder", text_encoder(tokenizer))
    _write(folder, "unet", demo_unet(channels))
    autoencoder = DemoAutoencoder(AutoencoderConfig(latent_channels=channels))
    autoencoder.set_latent_statistics(torch.randn(2, channels, 4, 4))
    save_autoencoder(autoencoder, folder)
    return folder


def demo_unet(channels: int = 4, widths: tuple[int, ...] = WIDTHS) -> UNet2DConditionModel:
    """The UNet of the bundled model."""
    return UNet2DConditionModel(
        sample_size=16,
        in_channels=channels,
        out_channels=channels,
        layers_per_block=1,
        block_out_channels=widths,
        cross_attention_dim=WIDTH,
        attention_head_dim=[width // 32 for width in widths],
        use_linear_projection=True,
        down_block_types=("CrossAttnDownBlock2D",) * 3,
        up_block_types=("CrossAttnUpBlock2D",) * 3,
    ).eval()


def text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """A text encoder of three layers for the tokenizer's vocabulary."""
    start, end = tokenizer.convert_tokens_to_ids([START, END])
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=4 * WIDTH,
        num_hidden_layers=3,
        num_attention_heads=4,
        max_position_embeddings=77,
        hidden_act="gelu",
        projection_dim=WIDTH,
        bos_token_id=start,
        eos_token_id=end,
        pad_token_id=end,
    )
    return CLIPTextModel(config).eval()


def _write(folder: Path, name: str, network: nn.Module) -> None:
    weights = {key: tensor.contiguous() for key, tensor in network.state_dict().items()}
    save_file(weights, folder / f"{name}.safetensors")
    config = network.config
    values = config.to_dict() if hasattr(config, "to_dict") else dict(config)
    (folder / f"{name}.json").write_text(json.dumps(values, default=str))
