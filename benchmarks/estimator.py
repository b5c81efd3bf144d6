"""The AU estimator beside the table made by hand: renders of people it never saw, photos, a clip.

Renders from runs/estimator/heldout and heldout_natural where they are (the estimator's data card
says how to draw them), else the committed sample; photos and clip from .cache/photos/.

    python -m benchmarks estimator
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from au_adapter.data.rendered import SAMPLE
from au_adapter.estimators import BlendshapeMap, LandmarkEstimator, MeshMeasure
from au_adapter.faces import FaceLandmarker
from au_adapter.faces.alignment import align
from au_adapter.facs import SET_A, UNITS, AUVector
from au_adapter.metrics import icc_3_1
from au_adapter.training.landmark_cache import LandmarkedSet, read_renders
from au_adapter.training.resting import resting_rows
from tools import face_files

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
HELD_OUT = {
    "any AUs together": ROOT / "runs" / "estimator" / "heldout",
    "as in people": ROOT / "runs" / "estimator" / "heldout_natural",
}
SAMPLE_COPY = ROOT / ".cache" / "benchmarks" / "estimator"  # where what is read may be kept
TASK = face_files.MODELS / "face_landmarker.task"
CLIP = "single_face.mp4"
# The photos' labels are emotions; beside each, the AUs of set A that its prototypes hold
# (facs.presets: EMFACS, and Du, Tao & Martinez 2014).
PHOTOS = {
    "0-f1-su-ph.jpg": ("surprise", (1, 2, 5, 25, 26)),
    "0-f15-hao-ph.jpg": ("happiness, open mouth", (6, 12, 25)),
    "15-f13-anc-ph.jpg": ("anger, closed mouth", (4, 5, 9, 17)),
    "45-m7-di-ph.jpg": ("disgust, half profile", (4, 9, 15, 17)),
}


@dataclass(frozen=True)
class Readings:
    """What a way of reading says of F faces: [F, 2, K], left and right, for its units."""

    units: tuple[int, ...]
    values: Tensor

    def of(self, unit: int) -> Tensor:
        """Left and right, [F, 2]."""
        return self.values[..., self.units.index(unit)]


def main() -> None:
    """Read everything and write results/estimator.{json,md}."""
    torch.set_num_threads(1)
    parts, content = [], {"schema": 1}
    for title, folder in held_out().items():
        faces = read_renders([folder], TASK)
        text, numbers = on_renders(title, faces)
        parts += text
        content[title] = numbers
    landmarker = FaceLandmarker(TASK)
    text, content["photos"] = on_photos(landmarker)
    parts += text
    text, content["clip"] = on_clip(landmarker)
    header = [
        "# The AU estimator on people it never saw",
        "",
        "`python -m benchmarks estimator`. Intensities 0..5, both sides of every face counted. "
        "*Table*: blendshapes weighed by hand; *ours*: the network trained on renders; "
        "*+ neutral*: the same, given the person's relaxed face; *zero*: always 0, for scale. "
        "Sides: mean error of left minus right. Labels are what FACS codes of a render "
        "(`au_adapter/data/rendering/head.py`).",
        "",
    ]
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "estimator.md").write_text("\n".join([*header, *parts, *text]), encoding="utf-8")
    (RESULTS / "estimator.json").write_text(json.dumps(content, indent=1), encoding="utf-8")
    print("\n".join([*header, *parts, *text]))


def held_out() -> dict[str, Path]:
    """Folders of renders of people that were not trained on, by what they show."""
    folders = {title: folder for title, folder in HELD_OUT.items() if folder.is_dir()}
    if not folders:
        shutil.copytree(SAMPLE, SAMPLE_COPY, dirs_exist_ok=True)
        folders = {"the committed sample": SAMPLE_COPY}
    return folders


def on_renders(title: str, faces: LandmarkedSet) -> tuple[list[str], dict]:
    """The tables for one set of renders, and their numbers."""
    ways, wanted = read_all(faces)
    chosen = resting_rows(faces)[1] > 0  # every way reads the same pictures
    numbers = {
        str(unit): {name: scores(way, wanted, unit, chosen) for name, way in ways.items()}
        for unit in wanted.units
    }
    ours = {unit: numbers[str(unit)]["ours"] for unit in SET_A}
    table = {unit: numbers[str(unit)]["table"] for unit in SET_A}
    lower = {unit for unit in SET_A if ours[unit]["mae"] < table[unit]["mae"]}
    higher = {unit for unit in SET_A if ours[unit]["icc"] > table[unit]["icc"]}
    text = [
        f"## Renders: {title}",
        "",
        f"{faces.pictures} renders, a face found in {len(faces)}; {int(chosen.sum())} of them with "
        "another picture of the person at rest are counted.",
        "",
        "| AU | zero | MAE: table | ours | + neutral | ICC(3,1): table | ours | + neutral | sides: "
        "table | ours | + neutral |",
        "|" + "---|" * 11,
        *(_row(unit, numbers[str(unit)]) for unit in wanted.units),
        "",
        f"Of the 12 AUs of set A, ours has the lower MAE on {len(lower)}, the higher ICC on "
        f"{len(higher)}, and both on {len(lower & higher)}.",
        "",
        *groups(faces, ways["ours"], wanted),
        "",
    ]
    return text, numbers


def read_all(faces: LandmarkedSet) -> tuple[dict[str, Readings], Readings]:
    """Every way of reading the faces, and what was rendered."""
    points, _ = align(faces.points)
    mesh, table = MeshMeasure(), BlendshapeMap()
    seen, units = (points, faces.blendshapes), mesh.units
    rows, _ = resting_rows(faces)
    ways = {
        "zero": Readings(units, torch.zeros(len(points), 2, len(units))),
        "table": _readings(table(*seen)),
        "ours": _readings(mesh(*seen)),
        "+ neutral": _readings(mesh(*seen, (points[rows], faces.blendshapes[rows]))),
    }
    sides = [faces.aus(side, units) for side in ("left", "right")]
    return ways, Readings(units, torch.stack(sides, 1))


def _readings(vector: AUVector) -> Readings:
    return Readings(vector.units, torch.stack(vector.sides(), 1))


def scores(way: Readings, wanted: Readings, unit: int, chosen: Tensor) -> dict[str, float] | None:
    """MAE, ICC(3,1) and the error of left minus right; None where it does not read the unit."""
    if unit not in way.units:
        return None
    found, true = way.of(unit)[chosen], wanted.of(unit)[chosen]
    pairs = torch.stack([true.flatten(), found.flatten()], -1)
    difference = (found[:, 0] - found[:, 1]) - (true[:, 0] - true[:, 1])
    return {
        "mae": float((found - true).abs().mean()),
        "icc": icc_3_1(pairs) if found.any() else 0.0,
        "sides": float(difference.abs().mean()),
    }


def _row(unit: int, numbers: dict[str, dict[str, float] | None]) -> str:
    cells = [f"{numbers['zero']['mae']:.2f}"]
    for metric in ("mae", "icc", "sides"):
        for name in ("table", "ours", "+ neutral"):
            found = numbers[name]
            cells.append(f"{found[metric]:.2f}" if found else "-")
    return f"| {unit} {UNITS[unit].name.lower()} | " + " | ".join(cells) + " |"


def groups(faces: LandmarkedSet, way: Readings, wanted: Readings) -> list[str]:
    """Errors of set A by skin tone, glasses, age and pose."""
    kinds: dict[str, Callable[[dict], str]] = {
        "skin": lambda label: label["appearance"]["skin"],
        "glasses": lambda label: "glasses" if label["appearance"]["glasses"] else "none",
        "age-like shape": lambda label: label["appearance"]["age"],
        "gender-like shape": lambda label: label["appearance"]["gender"],
        "yaw": lambda label: _band(abs(label["pose"]["yaw"])),
    }
    lines = ["| Group | | faces | MAE, set A | ICC(3,1), set A |", "|---|---|---|---|---|"]
    for title, kind in kinds.items():
        names = np.array([kind(label) for label in faces.labels])
        for name in dict.fromkeys(sorted(names)):
            chosen = torch.from_numpy(names == name)
            each = [scores(way, wanted, unit, chosen) for unit in SET_A]
            mae, icc = (np.nanmean([row[metric] for row in each]) for metric in ("mae", "icc"))
            lines.append(f"| {title} | {name} | {int(chosen.sum())} | {mae:.2f} | {icc:.2f} |")
    return lines


def _band(degrees: float) -> str:
    low = 10 * int(min(degrees, 29) // 10)
    return f"{low}..{low + 10} degrees" if low < 20 else "20 and more"


def on_photos(landmarker: FaceLandmarker) -> tuple[list[str], dict]:
    """Which AUs lead in the labelled photos."""
    lines = [
        "## Labelled photos",
        "",
        "| Photo | expected of set A | ours | table |",
        "|---|---|---|---|",
    ]
    numbers = {}
    for name, (label, expected) in PHOTOS.items():
        pixels = np.asarray(Image.open(face_files.PHOTOS / name).convert("RGB"), np.float32) / 255
        frames = landmarker.detect(torch.from_numpy(pixels)[None])
        found = {
            title: LandmarkEstimator(measure, None).read(frames)[0].aus
            for title, measure in (("ours", MeshMeasure()), ("table", BlendshapeMap()))
        }
        cells = [_strongest(aus, expected) for aus in found.values()]
        lines.append(f"| {label} | {' '.join(map(str, expected))} | {cells[0]} | {cells[1]} |")
        numbers[label] = {
            k: {u: round(v, 2) for u, v in a.dict().items()} for k, a in found.items()
        }
    return [
        *lines,
        "",
        "Bold: expected. The five strongest of set A, mean of both sides.",
        "",
    ], numbers


def _strongest(aus: AUVector, expected: tuple[int, ...]) -> str:
    values = dict(zip(SET_A, aus.select(SET_A, strict=False).values[0].tolist(), strict=True))
    strongest = sorted(values, key=lambda unit: -values[unit])[:5]
    return ", ".join(
        f"**{unit}** {values[unit]:.1f}" if unit in expected else f"{unit} {values[unit]:.1f}"
        for unit in strongest
        if values[unit] >= 0.2
    )


def on_clip(landmarker: FaceLandmarker) -> tuple[list[str], dict]:
    """AU12 through a clip from a neutral face to a smile."""
    with av.open(str(face_files.PHOTOS / CLIP)) as clip:
        frames = [frame.to_ndarray(format="rgb24") for frame in clip.decode(video=0)]
    images = torch.from_numpy(np.stack(frames)).float() / 255
    faces = landmarker.detect(images)
    plain = LandmarkEstimator(MeshMeasure(), landmarker)
    ways = {
        "table": LandmarkEstimator(BlendshapeMap(), None),
        "ours": plain,
        "+ neutral": plain.relative_to(images[:1]),
    }
    curves = {name: _curve(way, faces, 12) for name, way in ways.items()}
    steps = range(0, len(frames), 6)
    lines = [
        "## A clip from neutral to a smile: AU12 by frame",
        "",
        "The network's smiles were adjusted while looking at this clip and these photos: "
        "see its card.",
        "",
        "| | " + " | ".join(map(str, steps)) + " |",
        "|---|" + "---|" * len(steps),
        *(
            f"| {name} | " + " | ".join(f"{curve[step]:.1f}" for step in steps) + " |"
            for name, curve in curves.items()
        ),
        "",
    ]
    return lines, {name: [round(value, 2) for value in curve] for name, curve in curves.items()}


def _curve(way: LandmarkEstimator, faces: list, unit: int) -> list[float]:
    """The unit on the first face of each frame, NaN where there is none."""
    first = {
        r.image: float(r.aus.select((unit,), strict=False).values)
        for r in way.read(faces)
        if r.face == 0
    }
    return [first.get(frame, float("nan")) for frame in range(len(faces))]


if __name__ == "__main__":
    main()
