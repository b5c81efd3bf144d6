"""How well the regressor reads renders of people that it was not trained on."""

from __future__ import annotations

from pathlib import Path

import torch

from au_adapter.data.rendered import load
from au_adapter.estimators.bundled_regressor import load_regressor


def check_regressor(result: Path, held_out: Path) -> dict[str, float]:
    """Mean absolute error over all AUs in intensities, and the least correlation of one of them."""
    faces = load(held_out)
    regressor = load_regressor(result / "regressor.safetensors")
    with torch.no_grad():
        read = regressor.read(torch.from_numpy(faces.images).float() / 255)
    wanted = torch.from_numpy(faces.aus)
    pairs = torch.stack([read, wanted]).movedim(-1, 0)
    return {
        "error": float((read - wanted).abs().mean()),
        "least_correlation": min(float(torch.corrcoef(pair)[0, 1]) for pair in pairs),
    }
