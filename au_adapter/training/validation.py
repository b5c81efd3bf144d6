"""Validation: pictures at fixed seeds by the weights as they are, read by an estimator of AUs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from textwrap import wrap
from typing import Any

from PIL import Image
from torch import Tensor, nn

from ..data.pictures import as_picture, write_png
from ..estimators import BundledRegressor, Estimator
from ..estimators.bundled_regressor import load_regressor
from ..estimators.reading import Reading
from ..evaluation.contact_sheet import contact_sheet
from ..evaluation.records import Row
from ..evaluation.response import full_error, prompted_error, response_curve
from ..facs import AUVector
from ..methods.base_generator import BaseGenerator

PROMPTS = ("a photo of a young man", "a portrait of an old woman")
LEVELS = (2.0, 4.0)  # the intensities asked for, beside none
FIRST_SEED = 4001
SHEET = "pictures.png"
LABEL = 26  # characters that fit beside a row of the sheet

Estimate = Callable[[Tensor], list[Reading]]


@dataclass(frozen=True)
class Case:
    """One picture to draw: its prompt, its seed, and AU number as text -> intensity asked for."""

    prompt: str
    seed: int
    requested: Mapping[str, float]


def draw_cases(generator: BaseGenerator, cases: Sequence[Case], units: Sequence[int]) -> Tensor:
    """Pictures [N, H, W, 3] in 0..1 of N cases that ask for some of `units`."""
    aus = AUVector.stack([AUVector.from_dict(case.requested, units) for case in cases])
    prompts, seeds = [case.prompt for case in cases], [case.seed for case in cases]
    return generator.draw_each(prompts, seeds, aus)


def single_units(units: Iterable[int], prompts: Sequence[str] = PROMPTS) -> list[Case]:
    """For each prompt, of one seed, and each of LEVELS: a face without AUs, then each AU alone."""
    return [
        Case(prompt, FIRST_SEED + number, requested)
        for number, prompt in enumerate(prompts)
        for level in LEVELS
        for requested in ({}, *({str(unit): level} for unit in units))
    ]


class Validation:
    """Draws the same cases whenever it is called, and measures what the faces show.

    Fits `Trainer(validate=)`. The pictures are kept as one sheet, by default in rows that begin
    with the face without AUs.
    """

    def __init__(
        self,
        recipe: Any,
        estimate: Estimate,
        cases: Sequence[Case] | None = None,
        estimator: str = "unnamed",
    ):
        """recipe: has `units` and generator(module), a method that draws with the module as it is.
        Where its `scale` is "change", cases ask for changes of their prompt's face without AUs.
        estimate: pictures [N, H, W, 3] in 0..1 -> Readings. cases: default `single_units`.
        estimator: the name that stands beside every measure."""
        self.recipe, self.estimate, self.estimator = recipe, estimate, estimator
        self.cases = list(cases) if cases is not None else single_units(recipe.units)
        self.asked = {unit for case in self.cases for unit in case.requested}

    def __call__(self, module: nn.Module, folder: Path) -> dict[str, Any]:
        """Measures of the module as it is: "au_error" over the AUs asked for and "full_error" over
        all (intensity units squared), "faces", the share of pictures in which one was found,
        "response", AU -> requested -> mean measured, "estimator", who measured, and "not_measured",
        what the recipe learns and no case asks for, in words.

        A picture without a face counts as a face that shows no AU.
        """
        images = draw_cases(self.recipe.generator(module), self.cases, self.recipe.units)
        write_png(folder / SHEET, self._sheet(images, folder.name))
        shown = self._shown(self.estimate(images))
        if getattr(self.recipe, "scale", "absolute") == "change":
            shown = self._changes(shown)
        rows = [self._row(case, shown.get(number)) for number, case in enumerate(self.cases)]
        return {
            "au_error": prompted_error(rows, "adapter"),
            "full_error": full_error(rows, "adapter"),
            "faces": len(shown) / len(rows),
            "response": _response(rows),
            "estimator": self.estimator,
            "not_measured": self._not_measured(),
        }

    def _not_measured(self) -> list[str]:
        unasked = [f"AU{unit}" for unit in self.recipe.units if str(unit) not in self.asked]
        apart = any(unit.startswith(("L", "R")) for unit in self.asked)
        sides = getattr(self.recipe, "sides", False) and not apart
        return [*unasked, *(["left and right apart"] if sides else [])]

    def _sheet(self, images: Tensor, title: str) -> Image.Image:
        """A row from one face without AUs to the next; one of all where there are no two."""
        neutral = [n for n, case in enumerate(self.cases) if not case.requested]
        columns = neutral[1] - neutral[0] if len(neutral) > 1 else len(self.cases)
        pictures = [as_picture(image) for image in images]
        rows = []
        for first in range(0, len(pictures), columns):
            cases = self.cases[first : first + columns]
            levels = sorted({f"{v:g}" for case in cases for v in case.requested.values()})
            label = [*wrap(cases[0].prompt, LABEL), f"asked for {', '.join(levels)}"]
            rows.append(("\n".join(label), pictures[first : first + columns]))
        codes = (", ".join(f"AU{u}" for u in c.requested) for c in self.cases[:columns])
        return contact_sheet(rows, [code or "no AU" for code in codes], title)

    def _row(self, case: Case, shown: dict[str, float] | None) -> Row:
        measured = dict.fromkeys(sorted(self.asked, key=int), 0.0) if shown is None else shown
        if missing := sorted(set(case.requested) - set(measured)):
            raise ValueError(
                f"the estimator does not read AU{missing[0]}, which a validation case asks for: "
                "give Validation other cases, or another estimator"
            )
        return Row("", "", dict(case.requested), case.seed, method="adapter", measured=measured)

    def _changes(self, shown: Mapping[int, dict[str, float]]) -> dict[int, dict[str, float]]:
        """What differs from the face without AUs of the same prompt, where both show one."""
        plain = {case.prompt: n for n, case in enumerate(self.cases) if not case.requested}
        return {
            number: {unit: value - before[unit] for unit, value in aus.items()}
            for number, aus in shown.items()
            if (before := shown.get(plain[self.cases[number].prompt])) is not None
        }

    @staticmethod
    def _shown(readings: Sequence[Reading]) -> dict[int, dict[str, float]]:
        """Number of a picture -> AU -> intensity, of the surest face."""
        shown = {}
        for reading in sorted(readings, key=lambda r: r.confidence):
            values = reading.aus.values[0].tolist()
            shown[reading.image] = dict(zip(map(str, reading.aus.units), values, strict=True))
        return shown


def validation_for(recipe: object, estimate: Estimate | Estimator | None = None) -> Validation:
    """The validation of a recipe; without an estimator, by the regressor beside a demo base. An
    Estimator is asked for the AUs that it reads, a function for all of the recipe's.

    ValueError for a recipe that draws no faces, and where nothing can read them.
    """
    if hasattr(recipe, "judgement"):  # a recipe that judges itself otherwise than by drawn prompts
        return recipe.judgement(estimate)
    if not hasattr(recipe, "generator"):
        raise ValueError(
            f"{type(recipe).__name__} draws no faces to judge: set validate_every=0 for it"
        )
    if estimate is None:
        path = Path(recipe.base) / "regressor.safetensors"
        if not path.is_file():
            raise ValueError(
                f"validate_every needs something that reads AUs, and {path} does not exist: name "
                "an estimator such as mesh (--estimator), or set validate_every=0"
            )
        estimate = BundledRegressor(load_regressor(path))
    prompts = getattr(recipe, "prompts", PROMPTS)
    if not isinstance(estimate, Estimator):
        return Validation(recipe, estimate, single_units(recipe.units, prompts))
    readable = [unit for unit in recipe.units if unit in estimate.units]
    if not readable:
        raise ValueError(
            f"the estimator {estimate.name} reads none of the AUs {recipe.units} that this run "
            "learns: choose another, or set validate_every=0"
        )
    return Validation(recipe, estimate.estimate, single_units(readable, prompts), estimate.name)


def _response(rows: list[Row]) -> dict[str, dict[str, float]]:
    """AU -> requested -> mean measured, of AUs asked for alone; 0 is the face without AUs."""
    units = sorted({u for row in rows for u in row.requested}, key=int)
    found = {}
    for unit in units:
        neutral = [replace(row, requested={unit: 0.0}) for row in rows if not row.requested]
        measured = [row for row in [*neutral, *rows] if unit in row.measured]
        curve = response_curve(measured, unit)
        found[unit] = {f"{level:g}": round(value, 3) for level, value in curve.items()}
    return found
