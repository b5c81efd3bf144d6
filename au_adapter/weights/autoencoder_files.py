"""The bundled model's autoencoder in a folder: vae.json, its config, and vae.safetensors."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor

from ..disk import read_json
from ..models.autoencoder import AutoencoderConfig, DemoAutoencoder

COLOURS = "latent_colours.json"


def load_autoencoder(folder: str | Path) -> DemoAutoencoder:
    """The autoencoder of a folder, frozen, in float32. Without its files: FileNotFoundError."""
    config, weights = Path(folder) / "vae.json", Path(folder) / "vae.safetensors"
    for path in (config, weights):
        if not path.is_file():
            raise FileNotFoundError(
                f"{path} is missing: name a folder with vae.json and vae.safetensors, or install "
                "AU-Adapter again, with its weights"
            )
    described = {k: tuple(v) if isinstance(v, list) else v for k, v in read_json(config).items()}
    autoencoder = DemoAutoencoder(AutoencoderConfig(**described))
    autoencoder.load_state_dict(load_file(weights))  # half precision on disk becomes single
    return autoencoder.eval().requires_grad_(False)


def read_colours(folder: str | Path) -> tuple[list[list[float]], list[float]] | None:
    """How the latents in a folder's latent_colours.json show as colours, None without the file.

    Factors [C][3] and biases [3] from a cell of scaled latents to red, green and blue in -1..1: a
    linear preview of a picture that is being drawn.
    """
    path = Path(folder) / COLOURS
    if not path.is_file():
        return None
    described = read_json(path)
    return described["factors"], described["bias"]


def save_colours(folder: str | Path, factors: Tensor, bias: Tensor) -> None:
    """Write what `read_colours` reads; factors [C, 3], bias [3]."""
    rounded = (values.double().round(decimals=4).tolist() for values in (factors, bias))
    described = dict(zip(("factors", "bias"), rounded, strict=True))
    (Path(folder) / COLOURS).write_text(json.dumps(described), encoding="utf-8")


def save_autoencoder(autoencoder: DemoAutoencoder, folder: Path) -> None:
    """Write both files into a folder that exists."""
    tensors = {k: v.detach().contiguous() for k, v in autoencoder.state_dict().items()}
    save_file(tensors, folder / "vae.safetensors")
    config = json.dumps(asdict(autoencoder.config), indent=1)
    (folder / "vae.json").write_text(config, encoding="utf-8")
