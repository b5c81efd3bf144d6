"""How faces answer an adapter's AUs, read by the regressor of the same run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from au_adapter.bundled import load_diffusers_pipeline
from au_adapter.data.rendering.head import MIDDLE_UNITS
from au_adapter.estimators.bundled_regressor import load_regressor
from au_adapter.evaluation.records import Row
from au_adapter.evaluation.response import prompted_error, response_curve, rise, spearman
from au_adapter.facs import SET_A, AUVector
from au_adapter.methods.adapter_generator import AdapterGenerator
from au_adapter.models.regressor import AURegressor
from au_adapter.weights.adapter_files import load_adapter

from .base_check import GUIDANCE, STEPS
from .sheets import save_rows

PROMPTS = (
    "a portrait of an old man with dark skin and short white hair, in a blue shirt",
    "a photo of a young woman with freckles and long red hair, green background",
    "a headshot of a middle-aged man with a brown beard and tan skin, wearing glasses",
)
FIRST_SEED = 7001
LEVELS = (0.0, 1.0, 2.0, 3.0, 4.0, 5.0)
RISE, SPEARMAN = 1.5, 0.95  # from which on an AU counts as answering
ASKED = 4.0  # of one side


def check_adapter(adapter: Path, base: Path, regressor: Path, sheet: Path) -> dict[str, float]:
    """How many AUs of set A answer, the least rise from 0 to 5, the squared error of what is asked
    for and the mean change of the others. With sides, the share of a picture's change that is on
    the side asked for. The sheet: each prompt at rest and each AU at 5."""
    generator = open_trained(adapter, base)
    reader = load_regressor(regressor / "regressor.safetensors")
    rows, shown = [], []
    for number, prompt in enumerate(PROMPTS):
        pictures = generator.draw(prompt, FIRST_SEED + number, sweep())
        shown.append(pictures[[0, *range(len(LEVELS) - 1, len(pictures), len(LEVELS) - 1)]])
        rows += list(_rows(prompt, number, pictures, reader))
        plain = generator.plain(prompt, FIRST_SEED + number)
        rows += list(_plain_rows(prompt, number, plain, reader))
    save_rows(sheet, [row.movedim(-1, 1) for row in shown])
    found = answers(rows)
    return found | (one_sided(generator) if generator.sides else {})


def open_trained(adapter: Path, base: Path) -> AdapterGenerator:
    """The base of a result folder with an adapter file."""
    pipeline = load_diffusers_pipeline(base)
    loaded = load_adapter(adapter).requires_grad_(False).eval()
    return AdapterGenerator(pipeline=pipeline, adapter=loaded, steps=STEPS, guidance=GUIDANCE)


def sweep() -> AUVector:
    """The face at rest, then every AU of set A at each level above 0."""
    faces: list[dict[str, float]] = [{}]
    faces += [{str(unit): level} for unit in SET_A for level in LEVELS[1:]]
    return AUVector.stack([AUVector.from_dict(face, SET_A) for face in faces])


def _rows(prompt: str, seed: int, pictures: Tensor, reader: AURegressor) -> Iterator[Row]:
    asked = [(unit, level) for unit in SET_A for level in LEVELS[1:]]
    at_rest, *measured = _read(pictures, reader)
    for unit in SET_A:
        yield _row("adapter", prompt, seed, {str(unit): 0.0}, at_rest)
    for (unit, level), values in zip(asked, measured, strict=True):
        yield _row("adapter", prompt, seed, {str(unit): level}, values)


def _plain_rows(prompt: str, seed: int, picture: Tensor, reader: AURegressor) -> Iterator[Row]:
    (values,) = _read(picture, reader)
    for unit in SET_A:
        for level in LEVELS:
            yield _row("none", prompt, seed, {str(unit): level}, values)


def _row(method: str, prompt: str, seed: int, requested: dict, measured: dict) -> Row:
    """As `au_adapter.evaluation.response` reads it."""
    return Row("", "", requested, seed, prompt=prompt, method=method, measured=measured)


@torch.no_grad()
def _read(pictures: Tensor, reader: AURegressor) -> list[dict[str, float]]:
    values = reader.read(pictures).tolist()
    return [dict(zip(map(str, reader.units), row, strict=True)) for row in values]


def answers(rows: Sequence[Row]) -> dict[str, float]:
    """The numbers of `check_adapter` but those of sides."""
    rows = list(rows)
    curves = {unit: response_curve(rows, str(unit)) for unit in SET_A}
    rises = {unit: rise(curve) for unit, curve in curves.items()}
    good = [u for u in SET_A if rises[u] >= RISE and spearman(curves[u]) >= SPEARMAN]
    return {
        "aus_that_answer": float(len(good)),
        "least_rise": min(rises.values()),
        "asked_error": prompted_error(rows, "adapter"),
        "asked_error_of_base": prompted_error(rows, "none"),
        "others_change": others_change(rows),
    }


def others_change(rows: Sequence[Row]) -> float:
    """Mean absolute change of the AUs not asked for, against the same face at rest."""
    asked = [row for row in rows if row.method == "adapter"]
    neutral = {row.prompt: row.measured for row in asked if not any(row.requested.values())}
    changes = [
        abs(value - neutral[row.prompt][unit])
        for row in asked
        if any(row.requested.values())
        for unit, value in row.measured.items()
        if unit not in row.requested
    ]
    return sum(changes) / len(changes)


def one_sided(generator: AdapterGenerator) -> dict[str, float]:
    """Of requests of one side alone: the share of the picture's change in that side's half."""
    units = [unit for unit in SET_A if unit not in MIDDLE_UNITS]
    faces = [{}, *({f"{side}{unit}": ASKED} for unit in units for side in "LR")]
    vector = AUVector.stack([AUVector.from_dict(face, SET_A) for face in faces])
    shares = []
    for number, prompt in enumerate(PROMPTS):
        pictures = generator.draw(prompt, FIRST_SEED + number, vector)
        change = (pictures[1:] - pictures[:1]).abs().sum((1, 3))  # [2 K, W]
        left = change[:, change.shape[1] // 2 :].sum(1) / change.sum(1)  # the subject's left
        shares += [left[0::2], 1 - left[1::2]]
    return {"change_on_the_side_asked": float(torch.cat(shares).mean())}
