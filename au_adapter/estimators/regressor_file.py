"""Reads AUs off the demo model's pictures with the regressor that ships beside it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from ..data.pictures import read_rgb
from ..models.regressor import AURegressor

ESTIMATOR = "au-adapter demo regressor"


def load_regressor(path: str | Path) -> AURegressor:
    """The regressor in a safetensors file, ready to read; another kind of file: ValueError."""
    with safe_open(path, framework="pt") as file:
        text = (file.metadata() or {}).get("au_regressor")
    if text is None:
        raise ValueError(
            f"{path} is no AU regressor: its metadata lacks 'au_regressor'; "
            "give regressor.safetensors"
        )
    config = json.loads(text)
    regressor = AURegressor(tuple(config["units"]), config["size"])
    regressor.load_state_dict(load_file(path))
    return regressor.eval().requires_grad_(False)


def read_files(regressor: AURegressor, files: list[Path]) -> list[dict[str, float]]:
    """AU number as text -> intensity 0..5, for each picture file."""
    images = np.stack([np.asarray(read_rgb(file)) for file in files])
    values = regressor.read(torch.from_numpy(images).float() / 255)
    return [
        {
            str(unit): round(float(value), 3)
            for unit, value in zip(regressor.units, row, strict=True)
        }
        for row in values
    ]
