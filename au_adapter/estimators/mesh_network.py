"""AUs by the network that this project trained on renders, from points and expression scores."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..facs import AUVector
from ..models.mesh_regressor import MeshRegressor, MeshRegressorConfig

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
        try:
            with safe_open(path, framework="pt") as file:
                metadata = (file.metadata() or {}).get("au_estimator")
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except SafetensorError as error:
            raise ValueError(f"{path} is not a whole safetensors file: copy it again") from error
        if metadata is None:
            raise ValueError(
                f"{path} is no AU estimator: its metadata lacks 'au_estimator'; "
                "give au_estimator.safetensors"
            )
        self.network = MeshRegressor(MeshRegressorConfig.from_dict(json.loads(metadata)["network"]))
        self.network.load_state_dict(tensors)
        self.network.eval().requires_grad_(False)
        self.units = self.network.config.units
        self.reliability = {int(u): v for u, v in json.loads(metadata)["reliability"].items()}
        self.weak = tuple(unit for unit, icc in self.reliability.items() if icc < RELIABLE)

    def __call__(
        self, points: Tensor, blendshapes: Tensor, resting: tuple[Tensor, Tensor] | None = None
    ) -> AUVector:
        left, right = self.network.read(points, blendshapes, resting)
        return AUVector(self.units, left, left, right)
