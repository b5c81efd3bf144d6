"""Judging weights in the middle of a run: pictures at fixed seeds, read by an estimator of AUs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn
from torchvision.utils import save_image

from ..evaluation.reading import Reading
from ..evaluation.regressor import load_regressor
from ..evaluation.response import full_error, prompted_error
from ..facs import AUVector
from ..models.regressor import AURegressor
from .sampling import Case

PROMPTS = ("a photo of a young man", "a portrait of an old woman")
LEVEL = 4.0  # the intensity asked for
FIRST_SEED = 4001

Estimate = Callable[[Tensor], list[Reading]]


class DrawingRecipe(Protocol):
    """A recipe that can show what its module has learnt."""

    units: tuple[int, ...]
    base: Path

    def pictures(self, module: nn.Module, cases: Sequence[Case]) -> Tensor:
        """Pictures [N, H, W, 3] in 0..1."""


def single_units(units: Iterable[int], prompts: Sequence[str] = PROMPTS) -> list[Case]:
    """Each AU alone, marked to severe, for each prompt; one seed for a prompt."""
    return [
        Case(prompt, FIRST_SEED + number, {str(unit): LEVEL})
        for number, prompt in enumerate(prompts)
        for unit in units
    ]


class Validation:
    """Draws the same cases whenever it is called, and measures what the faces show.

    Fits `Trainer(validate=)`. The pictures are kept as one sheet, a row for each prompt.
    """

    def __init__(
        self, recipe: DrawingRecipe, estimate: Estimate, cases: Sequence[Case] | None = None
    ):
        """estimate: pictures [N, H, W, 3] in 0..1 -> Readings. cases: default each AU alone."""
        self.recipe, self.estimate = recipe, estimate
        self.cases = list(cases) if cases is not None else single_units(recipe.units)

    def __call__(self, module: nn.Module, folder: Path) -> dict[str, float]:
        """Measures of the module as it is: "au_error" over the AUs asked for and "full_error" over
        all (intensity units squared), "faces", the share of pictures in which one was found.

        A picture without a face counts as a face that shows no AU.
        """
        images = self.recipe.pictures(module, self.cases)
        columns = len(self.cases) // len({case.prompt for case in self.cases})
        save_image(images.movedim(-1, 1), folder / "pictures.png", nrow=columns, padding=1)
        rows, found = self._rows(self.estimate(images))
        return {
            "au_error": prompted_error(rows, "adapter"),
            "full_error": full_error(rows, "adapter"),
            "faces": found / len(rows),
        }

    def _rows(self, readings: Sequence[Reading]) -> tuple[list[dict], int]:
        """Rows as `evaluation.response` reads them, and how many show a face."""
        shown: dict[int, dict[str, float]] = {}
        for reading in sorted(readings, key=lambda r: r.confidence):  # the surest comes last
            values = reading.aus.values[0].tolist()
            shown[reading.image] = dict(zip(map(str, reading.aus.units), values, strict=True))
        rows = [self._row(case, shown.get(number)) for number, case in enumerate(self.cases)]
        return rows, len(shown)

    @staticmethod
    def _row(case: Case, shown: dict[str, float] | None) -> dict:
        measured = dict.fromkeys(case.requested, 0.0) if shown is None else shown
        if missing := sorted(set(case.requested) - set(measured)):
            raise ValueError(
                f"the estimator does not read AU{missing[0]}, which a validation case asks for: "
                "give Validation other cases, or another estimator"
            )
        return {"method": "adapter", "requested": dict(case.requested), "measured": measured}


def by_regressor(regressor: AURegressor) -> Estimate:
    """An AU regressor as an estimator: each picture is one face as large as the picture."""

    def estimate(images: Tensor) -> list[Reading]:
        values = regressor.read(images)
        height, width = images.shape[1:3]
        return [
            Reading(n, 0, (0.0, 0.0, float(width), float(height)), 1.0, AUVector(units, row[None]))
            for n, row in enumerate(torch.as_tensor(values))
        ]

    units = regressor.units
    return estimate


def validation_for(recipe: object, estimate: Estimate | None = None) -> Validation:
    """The validation of a recipe; without an estimator, by the regressor beside a demo base.

    ValueError for a recipe that draws no faces, and where nothing can read them.
    """
    if not hasattr(recipe, "pictures"):
        raise ValueError(
            f"{type(recipe).__name__} draws no faces to judge: set validate_every=0 for it"
        )
    if estimate is not None:
        return Validation(recipe, estimate)
    path = recipe.base / "regressor.safetensors"
    if not path.is_file():
        raise ValueError(
            f"validate_every needs something that reads AUs, and {path} does not exist: set "
            "validate_every=0, or give train() an estimate of its own"
        )
    regressor = load_regressor(path)
    readable = [unit for unit in recipe.units if unit in regressor.units]
    return Validation(recipe, by_regressor(regressor), single_units(readable))
