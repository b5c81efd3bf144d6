"""The networks of a checkpoint in one file, by our own tables and from this machine alone.

diffusers knows how the names of the weights translate.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import transformers
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.loaders.single_file_utils import (
    convert_ldm_unet_checkpoint,
    convert_ldm_vae_checkpoint,
    convert_open_clip_checkpoint,
)
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTokenizer

from .checkpoint_layout import CheckpointLayout, TextLayout

BUFFERS = (".position_ids",)  # in some files, and no weights


def read_networks(
    tensors: Mapping[str, Tensor],
    layout: CheckpointLayout,
    tokenizer: str | Path | None,
    path: Path,
) -> dict[str, Any]:
    """A pipeline's networks and tokenizers by name, of a checkpoint's tensors, in float32.

    tokenizer: see `BaseFamily.load`. path: for messages. ValueError where a network is not whole.
    """
    tensors = {name: t.float() if t.is_floating_point() else t for name, t in tensors.items()}
    with torch.device("meta"):  # no numbers are drawn that the file's replace anyway
        unet = UNet2DConditionModel.from_config(dict(layout.unet))
        vae = AutoencoderKL.from_config(dict(layout.vae))
    _fill(unet, convert_ldm_unet_checkpoint(dict(tensors), unet.config), path, "UNet")
    _fill(vae, convert_ldm_vae_checkpoint(dict(tensors), vae.config), path, "VAE")
    found: dict[str, Any] = {"unet": unet.eval(), "vae": vae.eval()}
    for name, text in layout.texts.items():
        found[name] = _text_encoder(text, tensors, path)
        part = name.replace("text_encoder", "tokenizer")
        found[part] = _tokenizer(tokenizer, text.pad_token, path)
    return found


def _text_encoder(text: TextLayout, tensors: Mapping[str, Tensor], path: Path) -> nn.Module:
    encoder = getattr(transformers, text.kind)(CLIPTextConfig.from_dict(dict(text.config)))
    if text.open_clip:
        found = convert_open_clip_checkpoint(encoder, dict(tensors), prefix=text.prefix)
    else:
        ours = (name for name in tensors if name.startswith(text.prefix))
        found = {name.removeprefix(text.prefix): tensors[name] for name in ours}
    # transformers keeps the weights below text_model; newer versions not those of CLIPTextModel.
    below = "text_model." if hasattr(encoder, "text_model") else ""
    weights = {
        name if name.startswith("text_projection") else below + name.removeprefix("text_model."): t
        for name, t in found.items()
    }
    _fill(encoder, weights, path, "text encoder")
    return encoder.eval()


def _fill(network: nn.Module, weights: Mapping[str, Tensor], path: Path, title: str) -> None:
    expected = network.state_dict()
    chosen = {name: t for name, t in weights.items() if not name.endswith(BUFFERS)}
    wrong = [n for n, t in chosen.items() if n in expected and t.shape != expected[n].shape]
    missing = [name for name in expected if name not in chosen and not name.endswith(BUFFERS)]
    if missing or wrong:
        name = (missing or wrong)[0]
        raise ValueError(
            f"{path} has no whole {title}: {len(missing)} weights are missing and {len(wrong)} "
            f"have another shape, {name} first. Choose a checkpoint with UNet, text encoder and "
            "VAE in one file"
        )
    network.load_state_dict(chosen, strict=False, assign=True)


def _tokenizer(folder: str | Path | None, pad_token: str, path: Path) -> CLIPTokenizer:
    if folder is None or not (Path(folder) / "vocab.json").is_file():
        raise FileNotFoundError(
            f"{path} needs CLIP's vocabulary to be trained on, and {folder} holds no vocab.json: "
            "--set tokenizer=FOLDER, such as comfy/sd1_tokenizer of a ComfyUI"
        )
    tokenizer = CLIPTokenizer.from_pretrained(folder, pad_token=pad_token, local_files_only=True)
    tokenizer.model_max_length = 77
    return tokenizer
