"""The bundled model's regressor: reads AUs off that model's own pictures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from ..data.pictures import read_picture
from ..disk import damage_named
from ..faces.picture_checks import finite_pictures
from ..facs import AUVector
from ..models.regressor import AURegressor
from ..weights.tensors import load_weights, read_described
from .estimator import Abilities
from .reading import Reading

ESTIMATOR = "au-adapter demo regressor"


class BundledRegressor:
    """An Estimator that takes each picture for one tightly framed rendered head.

    It looks for no face: every picture with finite values has one Reading, of the whole picture
    and with confidence 1. It computes where the regressor is.
    """

    name = ESTIMATOR
    abilities = Abilities(device=True)

    def __init__(self, regressor: AURegressor):
        self.regressor, self.units = regressor, regressor.units

    def to(self, device: torch.device | str) -> BundledRegressor:
        self.regressor.to(device)
        return self

    def estimate(self, images: Tensor) -> list[Reading]:
        """One Reading for each of images [N, H, W, 3] in 0..1; see Estimator."""
        images, groups = finite_pictures(images)
        height, width = images.shape[1:3]
        box = (0.0, 0.0, float(width), float(height))
        device, found = next(self.regressor.parameters()).device, []
        for pictures in groups:
            values = self.regressor.read(images[pictures].float().to(device)).cpu()
            found += [
                Reading(picture, 0, box, 1.0, AUVector(self.units, row[None]))
                for picture, row in zip(pictures, values, strict=True)
            ]
        return found


def load_regressor(path: str | Path) -> AURegressor:
    """The regressor in a safetensors file, ready to read; another kind of file: ValueError."""
    advice = "; give regressor.safetensors"
    text = read_described(path, "au_regressor", "AU regressor", advice)
    with damage_named(path):
        config = json.loads(text)
        units, size = AUVector.zeros(config["units"]).units, config["size"]
        regressor = load_weights(path, lambda: AURegressor(units, size))
    return regressor.eval().requires_grad_(False)


def read_files(regressor: AURegressor, files: Sequence[Path]) -> list[dict[str, float]]:
    """AU number as text -> intensity 0..5, for each picture file; all files of one size."""
    rows = regressor.read(torch.cat([read_picture(file) for file in files])).tolist()
    names = list(map(str, regressor.units))
    return [dict(zip(names, (round(v, 3) for v in row), strict=True)) for row in rows]
