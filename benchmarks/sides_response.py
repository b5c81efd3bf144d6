"""An adapter that knows left and right apart: do both sides, and each alone, do what is asked?

Every AU is asked for on both sides and, where the renderer has sides for it, on each alone, on
prompts and seeds that nothing was trained or chosen on. Drawn by diffusers, read by the shipped
mesh estimator, which reads both sides of 22 AUs; how well it sees each AU stands beside the
answer. An AU's rise on a side is what is measured there, less what the face without AUs shows.

    python -m benchmarks.sides_response ADAPTER
"""

from __future__ import annotations

import json
from pathlib import Path

import click
import torch
from torch import Tensor
from torchvision.utils import save_image

from au_adapter.data.rendering.head import MIDDLE_UNITS
from au_adapter.evaluation.estimators import Estimator, MeshMeasure, open_estimator, read_set
from au_adapter.evaluation.subject import Subject
from au_adapter.facs import UNITS, AUVector
from tools import face_files

from .au_response import PROMPTS

RESULTS = Path(__file__).parent / "results"
PICTURES = Path(__file__).parents[1] / ".cache" / "benchmarks" / "sides_response"
FIRST_SEED = 901
STEPS, GUIDANCE = 20, 5.0
LEVELS = (2.0, 4.0)
# An AU answers on one side when that side rises by so much, and so many times the other.
LEAST, APART = 0.5, 2.0


@click.command()
@click.argument("adapter", type=click.Path(exists=True, path_type=Path))
@click.option("--prompts", default=4, show_default=True, help="How many of au_response's.")
def main(adapter: Path, prompts: int) -> None:
    """Measure ADAPTER on the bundled base; write results/sides_response.{json,md} and pictures."""
    subject = Subject.load(adapter=adapter, steps=STEPS, guidance=GUIDANCE)
    reader = open_estimator("mesh", folders=[face_files.MODELS])
    found = measure(subject, reader, PROMPTS.splitlines()[:prompts])
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "sides_response.json").write_text(json.dumps(found), encoding="utf-8")
    text = report(found)
    (RESULTS / "sides_response.md").write_text(text, encoding="utf-8")
    click.echo(text)


def measure(subject: Subject, reader: Estimator, prompts: list[str]) -> dict:
    """Rises [left, right] by code and level, averaged over prompts, and the faces not found."""
    units = subject.adapter.config.units
    wanted, seen_well = requests(units), MeshMeasure().reliability
    codes = [f"{code} {level:g}" for code, level in wanted]
    vectors = [AUVector.zeros(units), *(AUVector.from_dict({c: v}, units) for c, v in wanted)]
    rises, missing = [], 0
    for number, prompt in enumerate(prompts):
        pictures = subject.draw(prompt, FIRST_SEED + number, AUVector.stack(vectors))
        _save(pictures, number)
        seen, lost = _read(reader, pictures, units)
        rises.append(seen[1:] - seen[:1])
        missing += lost
    mean = torch.stack(rises).nanmean(0)
    return {
        "adapter": subject.settings()["adapter"],
        "estimator": reader.name,
        "seeds": [FIRST_SEED, FIRST_SEED + len(prompts) - 1],
        "units": list(units),
        "pictures": len(vectors) * len(prompts),
        "missing": missing,
        "reliability": {str(u): round(seen_well[u], 2) for u in units},
        "rises": {code: mean[i].tolist() for i, code in enumerate(codes)},
    }


def requests(units: tuple[int, ...]) -> list[tuple[str, float]]:
    """(code, level): each AU on both sides and, outside the middle of the face, on each alone."""
    codes = [
        f"{side}{unit}"
        for unit in units
        for side in (("",) if unit in MIDDLE_UNITS else ("", "L", "R"))
    ]
    return [(code, level) for code in codes for level in LEVELS]


def _read(reader: Estimator, pictures: Tensor, units: tuple[int, ...]) -> tuple[Tensor, int]:
    """[N, 2, K] of both sides, NaN where no face was found, and how many those are."""
    rows = torch.full((len(pictures), 2, len(units)), float("nan"))
    faces = read_set(reader, pictures).surest()
    for row, face in zip(rows, faces, strict=True):
        if face is not None:
            row[:] = torch.cat(face.aus.select(units, strict=False).sides())
    return rows, sum(face is None for face in faces)


def report(found: dict) -> str:
    """The result as Markdown."""
    lines = [
        "# An adapter with left and right apart",
        "",
        f"`python -m benchmarks.sides_response ADAPTER`, adapter {found['adapter']}, seeds "
        f"{found['seeds'][0]} to {found['seeds'][1]}, {STEPS} steps, CFG {GUIDANCE:g}. Reader: "
        f"{found['estimator']}; ICC is how well it reads each AU on renders. Faces found in "
        f"{found['pictures'] - found['missing']} of {found['pictures']} pictures.",
        "",
        "| AU | ICC | both at 2 | both at 4 | one side at 4: that side | the other side |",
        "|---|---|---|---|---|---|",
        *(_line(found, unit) for unit in found["units"]),
        "",
        _summary(found),
    ]
    return "\n".join(lines) + "\n"


def _line(found: dict, unit: int) -> str:
    both = [_rise(found, str(unit), level, unit, (0, 1)) for level in LEVELS]
    cells = [f"{value:.2f}" for value in both]
    apart = one_sided(found, unit)
    cells += ["", ""] if apart is None else [f"{value:.2f}" for value in apart]
    name = UNITS[unit].name
    return f"| {unit} {name} | {found['reliability'][str(unit)]:.2f} | {' | '.join(cells)} |"


def one_sided(found: dict, unit: int) -> tuple[float, float] | None:
    """Rise of the side asked for at the strongest level, and of the other; None without sides."""
    if unit in MIDDLE_UNITS:
        return None
    asked = [_rise(found, f"{s}{unit}", LEVELS[-1], unit, (i,)) for i, s in enumerate("LR")]
    other = [_rise(found, f"{s}{unit}", LEVELS[-1], unit, (1 - i,)) for i, s in enumerate("LR")]
    return sum(asked) / 2, sum(other) / 2


def _rise(found: dict, code: str, level: float, unit: int, sides: tuple[int, ...]) -> float:
    column = found["units"].index(unit)
    values = [found["rises"][f"{code} {level:g}"][side][column] for side in sides]
    return sum(values) / len(values)


def _summary(found: dict) -> str:
    units = found["units"]
    rising = [
        unit
        for unit in units
        if 0 < _rise(found, str(unit), LEVELS[0], unit, (0, 1))
        < _rise(found, str(unit), LEVELS[1], unit, (0, 1))
    ]  # fmt: skip
    pairs = {unit: one_sided(found, unit) for unit in units}
    sided = {unit: pair for unit, pair in pairs.items() if pair is not None}
    apart = [unit for unit, (asked, other) in sided.items() if asked > max(LEAST, APART * other)]
    return (
        f"{len(rising)} of {len(units)} AUs rise from 0 over 2 to 4. Asked for on one side, that "
        f"side rises at least {APART:g} times as much as the other for {len(apart)} of "
        f"{len(sided)}: {', '.join(f'AU{u}' for u in apart) or 'none'}."
    )


def _save(pictures: Tensor, number: int) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    save_image(pictures.movedim(-1, 1), PICTURES / f"{number}.png", nrow=8)


if __name__ == "__main__":
    main()
