"""VQ-AUFace with random weights, quick to make: every part of the real one, at 32 or 128 pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from au_adapter.bundled import VQAUFACE
from au_adapter.models.vqauface import CodecConfig, ResidualVQGAN, VQAUFace
from au_adapter.models.vqauface.vqauface import bundled_config
from au_adapter.weights.vqauface_files import save_codec, save_vqauface

CODEC = CodecConfig(
    size=32, patch=2, widths=(8, 16), blocks=1, code_width=4, codes=24, depth=2
)  # 8 x 8 x 2 tokens
SIZES = {"width": 32, "layers": 2, "heads": 2, "code_width": 16, "own_width": 16, "own_layers": 1}


def tiny_codec(config: CodecConfig = CODEC) -> ResidualVQGAN:
    """A codec with codes about as far apart as its vectors."""
    torch.manual_seed(2)
    codec = ResidualVQGAN(config).eval()
    torch.nn.init.normal_(codec.codes.codebook, std=0.3)
    return codec


def tiny_vqauface(codec: ResidualVQGAN | None = None, **changes: Any) -> VQAUFace:
    """A model whose pictures follow its text, as if by chance."""
    codec = codec or tiny_codec()
    torch.manual_seed(3)
    network = VQAUFace(bundled_config(codec.config, **{**SIZES, **changes}))
    network.codec.load_state_dict(codec.state_dict())
    torch.nn.init.normal_(network.text_in.weight, std=0.5) if not changes.get("driver") else None
    return network.eval()


def write_vqauface(folder: Path, size: int = 128) -> Path:
    """Write a bundled model of pictures with so many pixels into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    config = CodecConfig(
        size=size, patch=8, widths=(16, 16), blocks=1, code_width=4, codes=16, depth=2
    )
    return save_vqauface(tiny_vqauface(tiny_codec(config)), folder / VQAUFACE)


def write_codec(folder: Path) -> Path:
    """Write a codec as a training leaves it, into a folder, which is returned."""
    folder.mkdir(parents=True, exist_ok=True)
    save_codec(tiny_codec(), folder / "codec.safetensors")
    return folder
