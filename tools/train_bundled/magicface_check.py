"""How MagicFace edits people that it was not trained on, read by the regressor of the same run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from au_adapter.bases import load_base
from au_adapter.bases.bundled import BUNDLED
from au_adapter.data.rendered import RenderedSet, load
from au_adapter.estimators.bundled_regressor import load_regressor
from au_adapter.methods.magicface_editor import edit_latents
from au_adapter.models.autoencoder import SCALING_FACTOR
from au_adapter.training.drawing import STEPS
from au_adapter.training.face_tensors import to_unit_range
from au_adapter.training.pairs import Partners, with_jaw
from au_adapter.training.recipes.magicface_recipe import encode_prompt
from au_adapter.weights.autoencoder_files import load_autoencoder
from au_adapter.weights.magicface_files import load_magicface

from .sheets import save_rows

PHOTOS = 48
SHOWN = 12
SEED = 9001


def check_magicface(
    result: Path, base: Path, regressor: Path, pairs: Path, sheet: Path
) -> dict[str, float]:
    """Mean squared error of the AUs in edits towards another picture's of the person, and that of
    the photos themselves. The sheet: photo, edit, and the picture whose AUs were asked for."""
    faces = load(pairs)
    partners = Partners(faces.identity)
    photos = partners.rows[:PHOTOS]
    targets = [int(partners.of(row)[0]) for row in photos]
    asked = torch.from_numpy(faces.aus)
    edits = edit(result, base, faces, photos, asked[targets] - asked[photos])
    before, wanted = (
        torch.from_numpy(faces.images[rows]).movedim(-1, 1).float() / 255
        for rows in (photos, targets)
    )
    rows = zip(before.split(SHOWN), edits.split(SHOWN), wanted.split(SHOWN), strict=True)
    save_rows(sheet, [row for three in rows for row in three])
    reader = load_regressor(regressor / "regressor.safetensors")

    def error(pictures: Tensor) -> float:
        return float((reader.read(pictures.movedim(1, -1)) - asked[targets]).square().mean())

    return {"au_error": error(edits), "au_error_of_photos": error(before)}


@torch.no_grad()
def edit(
    result: Path, base: Path, faces: RenderedSet, photos: list[int], changes: Tensor
) -> Tensor:
    """Pictures [N, 3, H, W] in 0..1: each photo with its change of AUs, of changes [N, 12]."""
    network, autoencoder = load_magicface(result / "magicface.safetensors"), load_autoencoder(base)
    text, behind = encode_prompt(BUNDLED, load_base(base)), with_jaw(faces).images
    edits = []
    for number, (photo, change) in enumerate(zip(photos, changes, strict=True)):
        pictures = to_unit_range(torch.from_numpy(np.stack([faces.images[photo], behind[photo]])))
        seen, background = autoencoder.encode(pictures).split(1)
        noise = torch.randn(seen.shape, generator=torch.Generator().manual_seed(SEED + number))
        latents = edit_latents(network, text, seen, background, change[None], noise, STEPS)
        edits.append(autoencoder.decode(latents / SCALING_FACTOR) / 2 + 0.5)
    return torch.cat(edits).clamp(0, 1)
