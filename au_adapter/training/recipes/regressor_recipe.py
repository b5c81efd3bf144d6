"""The AU regressor that reads the bundled model's pictures, trained on renders of other people."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.transforms import v2

from ...data.rendered import load
from ...models.regressor import AURegressor
from ...weights.tensors import write_tensors
from ..settings import BUNDLED


class RegressorLoss(nn.Module):
    """Squared error over all units, in intensity units squared."""

    def __init__(self, regressor: AURegressor):
        super().__init__()
        self.regressor = regressor

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        return ((self.regressor(batch["pictures"]).float() - batch["aus"]) ** 2).mean()


def blemish(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Pictures [N, 3, H, W] in 0..1 as a model may draw them: softer, noisier, shifted, tinted."""
    draw = torch.rand(5, generator=generator)
    if draw[0] < 0.5:
        pictures = v2.functional.gaussian_blur(pictures, [5, 5], [0.3 + 0.9 * float(draw[1])])
    shift = torch.randint(-6, 7, (2,), generator=generator).tolist()
    pictures = v2.functional.affine(
        pictures, angle=0.0, translate=shift, scale=0.94 + 0.12 * float(draw[2]), shear=[0.0]
    )
    gain = 0.85 + 0.3 * torch.rand(len(pictures), 3, 1, 1, generator=generator)
    noise = 0.02 * draw[3] * torch.randn(pictures.shape, generator=generator)
    return (pictures * gain + noise).clamp(0, 1)


@dataclass(frozen=True)
class RegressorOptions:
    """The regressor has no options."""


class RegressorRecipe:
    """Reads pictures and bilateral AU values from folders of renders."""

    Options = RegressorOptions
    settings = replace(
        BUNDLED,
        steps=6000,
        learning_rate=1e-3,
        warmup_steps=100,
        decay_steps=3000,
        average_decay=0.995,
    )

    def __init__(self, data: list[Path], options: RegressorOptions):
        sets = [load(folder) for folder in data]
        self.images = torch.from_numpy(np.concatenate([faces.images for faces in sets]))
        self.aus = torch.from_numpy(np.concatenate([faces.aus for faces in sets]))
        self.module = RegressorLoss(AURegressor())

    def batch(self, size: int, generator: torch.Generator) -> dict[str, Tensor]:
        rows = torch.randint(len(self.images), (size,), generator=generator)
        pictures = blemish(self.images[rows].movedim(-1, 1).float() / 255, generator)
        # The units are bilateral, so a mirrored face keeps its label.
        if torch.rand((), generator=generator) < 0.5:
            pictures = pictures.flip(-1)
        return {"pictures": pictures, "aus": self.aus[rows]}

    def save(self, module: RegressorLoss, folder: Path) -> None:
        network = module.regressor
        metadata = {"au_regressor": json.dumps({"units": network.units, "size": network.size})}
        write_tensors(folder / "regressor.safetensors", network.state_dict(), metadata)
