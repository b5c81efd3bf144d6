"""The demo model's regressor as an estimator: for the bundled model's own pictures."""

from __future__ import annotations

from torch import Tensor

from ..faces.picture_checks import checked
from ..facs import AUVector
from ..models.regressor import AURegressor
from .reading import Reading
from .regressor_file import ESTIMATOR


class DemoEstimator:
    """An Estimator (see base.py) that takes each picture for one tightly framed rendered head.

    It looks for no face: every picture with finite values has one Reading, of the whole picture
    and with confidence 1.
    """

    name = ESTIMATOR

    def __init__(self, regressor: AURegressor):
        self.regressor, self.units = regressor, regressor.units

    def estimate(self, images: Tensor) -> list[Reading]:
        """One Reading for each of images [N, H, W, 3] in 0..1; see base.Estimator."""
        images, groups = checked(images)
        height, width = images.shape[1:3]
        box = (0.0, 0.0, float(width), float(height))
        return [
            Reading(picture, 0, box, 1.0, AUVector(self.units, values[None]))
            for pictures in groups
            for picture, values in zip(
                pictures, self.regressor.read(images[pictures].float()), strict=True
            )
        ]
