"""Fit the colours in which ComfyUI previews the bundled model's latents, on the sample of renders.

    python -m tools.preview_colours    # writes au_adapter/bundled/latent_colours.json

To be run once after the bundled autoencoder has changed: with the colours of another one, a preview
is a face in wrong colours.
"""

from __future__ import annotations

import io
import tarfile

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from au_adapter.bundled import demo_folder
from au_adapter.data.rendered import SAMPLE
from au_adapter.models.autoencoder import SCALING_FACTOR
from au_adapter.weights.autoencoder_files import load_autoencoder, save_colours

PICTURES = 64


def main() -> None:
    """Fit, write, and say how much of the colours a linear preview explains."""
    pictures = _renders(PICTURES)
    with torch.no_grad():
        latents = load_autoencoder(demo_folder()).eval().encode(pictures) * SCALING_FACTOR
    factors, bias, explained = fit_colours(latents, pictures)
    save_colours(demo_folder(), factors, bias)
    print(f"latent_colours.json: {explained:.0%} of the variance of colours is explained")


def fit_colours(latents: Tensor, pictures: Tensor) -> tuple[Tensor, Tensor, float]:
    """Factors [C, 3], bias [3] and R2 of the linear map from a cell of scaled latents [N, C, h, w]
    to the mean colour of its pixels, of pictures [N, 3, H, W] in -1..1. Least squares."""
    cells = latents.permute(0, 2, 3, 1).flatten(0, 2)
    colours = adaptive_avg_pool2d(pictures, latents.shape[-2:]).permute(0, 2, 3, 1).flatten(0, 2)
    inputs = torch.cat([cells, torch.ones(len(cells), 1)], 1)
    solution = torch.linalg.lstsq(inputs, colours).solution
    rest = (inputs @ solution - colours).square().sum()
    explained = 1 - rest / (colours - colours.mean(0)).square().sum()
    return solution[:-1], solution[-1], explained.item()


def _renders(count: int) -> Tensor:
    """Pictures [N, 3, H, W] of the sample, in -1..1."""
    with tarfile.open(sorted(SAMPLE.glob("*.tar"))[0]) as shard:
        names = [n for n in shard.getnames() if n.endswith(".png") and ".mask." not in n][:count]
        found = [Image.open(io.BytesIO(shard.extractfile(name).read())) for name in names]
    pixels = np.stack([np.asarray(picture.convert("RGB")) for picture in found])
    return torch.from_numpy(pixels).float().permute(0, 3, 1, 2) / 127.5 - 1


if __name__ == "__main__":
    main()
