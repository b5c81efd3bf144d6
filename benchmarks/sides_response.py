"""An adapter that knows left and right apart: do both sides, and each alone, do what is asked?

Every AU is asked for on both sides and, where the renderer has sides for it, on each alone, on
prompts and seeds that nothing was trained or chosen on. Drawn by diffusers, read by the shipped
mesh estimator, which reads both sides of 22 AUs. An AU's rise on a side is what is measured there,
less what the face without AUs shows. What no adapter can beat stands beside it: the same faces
rendered, of people that nothing was trained on, read by the same estimator.

    python -m benchmarks.sides_response ADAPTER

A sheet shows the first face: each AU on both sides and on each, drawn and rendered.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from au_adapter.bundled import SIDED_GUIDANCE
from au_adapter.data.pictures import as_picture
from au_adapter.data.rendering.head import MIDDLE_UNITS
from au_adapter.data.rendering.renderer import Renderer
from au_adapter.data.rendering.sample import Expression, sample_person, sample_scene
from au_adapter.estimators import Estimator, MeshMeasure, open_estimator, read_set
from au_adapter.evaluation.contact_sheet import contact_sheet
from au_adapter.facs import UNITS, AUVector
from au_adapter.methods import Generator, open_generator
from au_adapter.weights.downloads import face_model
from tools import face_files

from .au_response import PROMPTS

RESULTS = Path(__file__).parent / "results"
FIRST_SEED = 901
FIRST_PERSON = 3_000_000  # of the renders
STEPS = 20
LEVELS = (2.0, 4.0)
# An AU answers on one side when that side rises by so much, and so many times the other.
LEAST, APART = 0.5, 2.0

Draw = Callable[[int, AUVector], Tensor]  # number of a face, its expressions: float [N, H, W, 3]


@click.command()
@click.argument("adapter", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--prompts", type=click.IntRange(1, len(PROMPTS.splitlines())), default=4, show_default=True,
    help="How many of au_response's.",
)  # fmt: skip
def main(adapter: Path, prompts: int) -> None:
    """Measure ADAPTER on the bundled base; write results/sides_response.{json,md,jpg}."""
    generator = open_generator(adapter=adapter, steps=STEPS, guidance=SIDED_GUIDANCE)
    reader = open_estimator("mesh", folders=[face_files.MODELS])
    units = generator.units
    found, first = measure(drawing(generator), rendering(face_model()), reader, units, prompts)
    found |= {
        "adapter": generator.settings()["adapter"],
        "estimator": reader.name,
        "seeds": [FIRST_SEED, FIRST_SEED + prompts - 1],
    }
    RESULTS.mkdir(exist_ok=True)
    sheet(first, units).save(RESULTS / "sides_response.jpg", quality=88)
    (RESULTS / "sides_response.json").write_text(json.dumps(found), encoding="utf-8")
    text = report(found)
    (RESULTS / "sides_response.md").write_text(text, encoding="utf-8")
    click.echo(text)


def drawing(generator: Generator) -> Draw:
    """Draws on the prompts of au_response, each at a seed of its own."""
    prompts = PROMPTS.splitlines()
    return lambda number, vectors: generator.draw(prompts[number], FIRST_SEED + number, vectors)


def rendering(model: Path) -> Draw:
    """Renders one person for each prompt, who looks at the camera; see `au-adapter render`."""
    renderer = Renderer(model)

    def draw(number: int, vectors: AUVector) -> Tensor:
        person = sample_person(FIRST_PERSON + number, renderer.model.masculine)
        scene = sample_scene(np.random.default_rng(FIRST_SEED + number), pose_spread=0.0)
        pictures = [renderer.render(person, scene, e).image for e in _expressions(vectors)]
        return torch.from_numpy(np.stack(pictures)).float() / 255

    return draw


def _expressions(vectors: AUVector) -> list[Expression]:
    left, right = (side.tolist() for side in vectors.sides())
    return [
        Expression(*(dict(zip(vectors.units, side, strict=True)) for side in sides))
        for sides in zip(left, right, strict=True)
    ]


def measure(
    adapted: Draw, rendered: Draw, reader: Estimator, units: tuple[int, ...], count: int
) -> tuple[dict, dict[str, Tensor]]:
    """Rises [left, right] of each AU by code and level, averaged over `count` faces: of what the
    adapter draws and, as `renders`, of what is rendered; and how many faces were not found.
    Besides, the pictures of the first face."""
    wanted = requests(units)
    vectors = [AUVector.zeros(units), *(AUVector.from_dict({c: v}, units) for c, v in wanted)]
    asked, codes = AUVector.stack(vectors), [f"{code} {level:g}" for code, level in wanted]
    found, rises, left, first = {}, {}, {}, {}
    for name, draw in (("adapter", adapted), ("renders", rendered)):
        pictures = [draw(number, asked) for number in range(count)]
        first[name] = pictures[0]
        mean, found[f"{name}_missing"] = _mean_rises(pictures, reader, units)
        rises[name] = dict(zip(codes, mean.tolist(), strict=True))
        shares = torch.stack([left_share(each) for each in pictures]).mean(0)
        left[name] = dict(zip(codes, shares.tolist(), strict=True))
    seen_well = MeshMeasure().reliability
    found |= {
        "units": list(units),
        "pictures": len(vectors) * count,
        "reliability": {str(u): round(seen_well[u], 2) for u in units},
        "rises": rises,
        "left_share": left,
    }
    return found, first


def left_share(pictures: Tensor) -> Tensor:
    """[N - 1] of [N, H, W, 3]: of the squared change from the first, what lies on the person's
    left, which is the picture's right."""
    change = (pictures[1:] - pictures[:1]).square().sum((1, 3))
    return change[:, change.shape[1] // 2 :].sum(1) / change.sum(1).clamp_min(1e-12)


def _mean_rises(
    pictures: list[Tensor], reader: Estimator, units: tuple[int, ...]
) -> tuple[Tensor, int]:
    """[requests, 2, K] over the faces, and how many were not found; each set begins neutral."""
    seen, lost = zip(*(_read(reader, each, units) for each in pictures), strict=True)
    return torch.stack([each[1:] - each[:1] for each in seen]).nanmean(0), sum(lost)


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
    first, last = found["seeds"]
    lost = [f"{found['pictures'] - found[f'{n}_missing']}" for n in ("adapter", "renders")]
    lines = [
        "# An adapter with left and right apart",
        "",
        f"`python -m benchmarks.sides_response ADAPTER`, adapter {found['adapter']}, seeds {first} "
        f"to {last}, {STEPS} steps, CFG {SIDED_GUIDANCE:g}. Reader: "
        f"{found['estimator']}; ICC is how "
        f"well it reads each AU on renders. In brackets: rendered faces that were asked for the "
        f"same, read in the same way. The last column needs no reader: of the squared change of "
        f"the picture, the share on the side asked for. Faces found in {lost[0]} ({lost[1]}) of "
        f"{found['pictures']} pictures.",
        "",
        "| AU | ICC | both at 2 | both at 4 | one side at 4: that side "
        "| the other side | change there |",
        "|---|---|---|---|---|---|---|",
        *(_line(found, unit) for unit in found["units"]),
        "",
        f"The adapter: {_summary(found, 'adapter')} The renders: {_summary(found, 'renders')}",
        "",
        "![The first face, drawn and rendered](sides_response.jpg)",
    ]
    return "\n".join(lines) + "\n"


def _line(found: dict, unit: int) -> str:
    ours, theirs = (_numbers(found, name, unit) for name in ("adapter", "renders"))
    cells = [f"{a:.2f} ({b:.2f})" for a, b in zip(ours, theirs, strict=True)]
    cells += [""] * (5 - len(cells))
    name = UNITS[unit].name
    return f"| {unit} {name} | {found['reliability'][str(unit)]:.2f} | {' | '.join(cells)} |"


def _numbers(found: dict, name: str, unit: int) -> list[float]:
    both = [_rise(found, name, str(unit), level, unit, (0, 1)) for level in LEVELS]
    return [*both, *(one_sided(found, name, unit) or ())]


def one_sided(found: dict, name: str, unit: int) -> tuple[float, float, float] | None:
    """Asked for on one side at the strongest level: the rise of that side, of the other, and the
    share of the picture's change on that side; None without sides."""
    if unit in MIDDLE_UNITS:
        return None
    left, right = (found["left_share"][name][f"{s}{unit} {LEVELS[-1]:g}"] for s in "LR")
    asked, other = (
        [_rise(found, name, f"{s}{unit}", LEVELS[-1], unit, (i ^ n,)) for i, s in enumerate("LR")]
        for n in (0, 1)
    )
    return sum(asked) / 2, sum(other) / 2, (left + 1 - right) / 2


def _rise(
    found: dict, name: str, code: str, level: float, unit: int, sides: tuple[int, ...]
) -> float:
    column, rises = found["units"].index(unit), found["rises"][name][f"{code} {level:g}"]
    return sum(rises[side][column] for side in sides) / len(sides)


def _summary(found: dict, name: str) -> str:
    units = found["units"]
    twice = {unit: _numbers(found, name, unit)[:2] for unit in units}
    rising = [unit for unit, (weak, strong) in twice.items() if 0 < weak < strong]
    pairs = {unit: one_sided(found, name, unit) for unit in units}
    sided = {unit: pair for unit, pair in pairs.items() if pair is not None}
    apart = [unit for unit, (asked, other, _) in sided.items() if asked > max(LEAST, APART * other)]
    there = sum(share for _, _, share in sided.values()) / len(sided)
    return (
        f"{len(rising)} of {len(units)} AUs rise from 0 over {LEVELS[0]:g} to {LEVELS[1]:g}. Asked "
        f"for on one side, that side rises by {LEAST:g} or more, {APART:g} times the other, for "
        f"{len(apart)} of {len(sided)}: {', '.join(f'AU{u}' for u in apart) or 'none'}. "
        f"{there:.0%} of the change is there."
    )


def sheet(first: dict[str, Tensor], units: tuple[int, ...]) -> Image.Image:
    """The AUs that have sides, at the strongest level, of the pictures that `measure` gives."""
    place = {code: 1 + i for i, (code, level) in enumerate(requests(units)) if level == LEVELS[-1]}
    shown = [unit for unit in units if unit not in MIDDLE_UNITS]
    rows = [
        (f"{name}, {words}", [as_picture(pictures[place[f"{side}{unit}"]]) for unit in shown])
        for name, pictures in first.items()
        for side, words in (("", "both"), ("L", "left"), ("R", "right"))
    ]
    columns = [f"AU{unit}" for unit in shown]
    return contact_sheet(rows, columns, f"Asked for at {LEVELS[-1]:g}; left is the person's")


if __name__ == "__main__":
    main()
