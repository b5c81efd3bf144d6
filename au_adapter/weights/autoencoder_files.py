"""The bundled model's autoencoder in a folder: vae.json, its config, and vae.safetensors."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import Tensor

from ..disk import damage_named, read_json
from ..models.autoencoder import AutoencoderConfig, DemoAutoencoder
from .tensors import load_weights, write_tensors

COLOURS = "latent_colours.json"
LARGEST = 4096  # channels, and blocks of a stage


def load_autoencoder(folder: str | Path) -> DemoAutoencoder:
    """The autoencoder of a folder, frozen, in float32. Without its files: FileNotFoundError."""
    config, weights = Path(folder) / "vae.json", Path(folder) / "vae.safetensors"
    for path in (config, weights):
        if not path.is_file():
            raise FileNotFoundError(
                f"{path} is missing: name a folder with vae.json and vae.safetensors, or install "
                "AU-Adapter again, with its weights"
            )
    with damage_named(config):
        described = read_config(read_json(config))
    with damage_named(f"{weights}, or the {config.name} beside it,"):
        autoencoder = load_weights(weights, lambda: DemoAutoencoder(described))
    return autoencoder.eval().requires_grad_(False)


def read_config(described: dict[str, Any]) -> AutoencoderConfig:
    """The config that vae.json describes; JSON makes lists of its tuples. ValueError for numbers
    that no network could be built of."""
    config = AutoencoderConfig(
        **{k: tuple(v) if isinstance(v, list) else v for k, v in described.items()}
    )
    lists = (config.encoder, config.decoder, config.encoder_blocks, config.decoder_blocks)
    if wrong := [n for n in (*sum(lists, ()), config.latent_channels) if not 0 < n <= LARGEST]:
        raise ValueError(f"it has {wrong[0]} channels or blocks, expected 1 to {LARGEST}")
    return config


def read_colours(folder: str | Path) -> tuple[list[list[float]], list[float]] | None:
    """How the latents in a folder's latent_colours.json show as colours, None without the file.

    Factors [C][3] and biases [3] from a cell of scaled latents to red, green and blue in -1..1: a
    linear preview of a picture that is being drawn.
    """
    path = Path(folder) / COLOURS
    if not path.is_file():
        return None
    with damage_named(path):
        described = read_json(path)
        factors, bias = described["factors"], described["bias"]
        shapes = [list(Tensor(found).shape) for found in (factors, bias)]
        if shapes[0][1:] != [3] or shapes[1] != [3]:
            raise ValueError(f"factors are {shapes[0]} and bias {shapes[1]}")
        return factors, bias


def save_colours(folder: str | Path, factors: Tensor, bias: Tensor) -> None:
    """Write what `read_colours` reads; factors [C, 3], bias [3]."""
    rounded = (values.double().round(decimals=4).tolist() for values in (factors, bias))
    described = dict(zip(("factors", "bias"), rounded, strict=True))
    (Path(folder) / COLOURS).write_text(json.dumps(described), encoding="utf-8")


def save_autoencoder(autoencoder: DemoAutoencoder, folder: Path) -> None:
    """Write both files into a folder that exists."""
    write_tensors(folder / "vae.safetensors", autoencoder.state_dict())
    config = json.dumps(asdict(autoencoder.config), indent=1)
    (folder / "vae.json").write_text(config, encoding="utf-8")
