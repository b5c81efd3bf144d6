"""AUs by the network that this project trained on renders, from points and expression scores."""

from __future__ import annotations

import json
from pathlib import Path

from torch import Tensor

from ..disk import damage_named
from ..facs import AUVector
from ..models.mesh_regressor import MeshRegressor, MeshRegressorConfig
from ..weights.tensors import load_weights, read_described

RELIABLE = 0.4  # ICC(3,1) below which the mesh hardly shows an AU
SHIPPED = Path(__file__).with_name("au_estimator.safetensors")


class MeshMeasure:
    """22 AUs with left and right apart, from aligned points [F, 478, 3] (see faces.alignment) and
    the 52 blendshapes [F, 52]; more exact when the person's resting face is given.

    reliability: AU -> ICC(3,1) on renders of held-out people. weak: AUs below RELIABLE.
    """

    name = "au-adapter mesh estimator"

    def __init__(self, path: str | Path = SHIPPED):
        """Open a file that the recipe `estimator` made. ValueError for another kind of file."""
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"There is no AU estimator {path}: install AU-Adapter again")
        advice = "; give au_estimator.safetensors"
        text = read_described(path, "au_estimator", "AU estimator", advice)
        with damage_named(path):
            described = json.loads(text)
            config = MeshRegressorConfig.from_dict(described["network"])
            self.network = load_weights(path, lambda: MeshRegressor(config))
            self.units = AUVector.zeros(self.network.config.units).units
            self.reliability = {int(u): float(v) for u, v in described["reliability"].items()}
        self.network.eval().requires_grad_(False)
        self.weak = tuple(unit for unit, icc in self.reliability.items() if icc < RELIABLE)

    def __call__(
        self, points: Tensor, blendshapes: Tensor, resting: tuple[Tensor, Tensor] | None = None
    ) -> AUVector:
        left, right = self.network.read(points, blendshapes, resting)
        return AUVector(self.units, left, left, right)
