"""The bundled regressor as an Estimator: it reads the one face of a tightly framed picture."""

from __future__ import annotations

from torch import Tensor

from au_adapter.demo import demo_folder
from au_adapter.evaluation.reading import Reading
from au_adapter.evaluation.regressor import ESTIMATOR, load_regressor
from au_adapter.facs import AUVector


class DemoReader:
    """Sees one face in every picture, as large as the picture, except in flat ones."""

    def __init__(self) -> None:
        self.regressor = load_regressor(demo_folder() / "regressor.safetensors")
        self.name, self.units = ESTIMATOR, self.regressor.units

    def estimate(self, images: Tensor) -> list[Reading]:
        height, width = images.shape[1:3]
        values = self.regressor.read(images)
        return [
            Reading(i, 0, (0, 0, width, height), 1.0, AUVector(self.units, values[i : i + 1]))
            for i in range(len(images))
            if images[i].std() > 0.02
        ]
