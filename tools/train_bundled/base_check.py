"""What the base draws for captions of people that nothing was trained on."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from au_adapter.bundled import load_diffusers_pipeline
from au_adapter.data.rendered import load
from au_adapter.faces import Face, FaceLandmarker
from au_adapter.facs import AUVector
from au_adapter.training.drawing import drawing

from .distance import kernel_distance
from .sheets import save_rows

PICTURES = 1000
FIRST_SEED = 500
STEPS, GUIDANCE = 20, 5.0
COLUMNS, ROWS = 12, 4
# Of the landmarker's mesh, for the subject's right and left eye: upper and lower lid, both corners.
EYES = ((159, 145, 33, 133), (386, 374, 263, 362))


def check_base(
    result: Path, held_out: Path, landmarker: FaceLandmarker, sheet: Path
) -> dict[str, float]:
    """Of the captions of renders: the share of pictures in which Google's landmarker finds a face;
    how far left and right eyes differ in opening, as a share of it, in relaxed faces; the distance
    to the renders. The sheet: renders of relaxed faces and what is drawn for them, in turn."""
    renders = load(held_out, PICTURES)
    shown = torch.from_numpy(renders.images).float() / 255
    pictures = draw(result, renders.captions)
    relaxed = relaxed_rows(renders.captions)
    rows = zip(shown[relaxed].split(COLUMNS), pictures[relaxed].split(COLUMNS), strict=True)
    save_rows(sheet, [row.movedim(-1, 1) for pair in list(rows)[:ROWS] for row in pair])
    drawn, rendered = (landmarker.detect(p, maximum_faces=1) for p in (pictures, shown))
    return {
        "faces_found": sum(map(bool, drawn)) / len(pictures),
        "faces_found_in_renders": sum(map(bool, rendered)) / len(shown),
        "eye_difference": eye_difference([drawn[row] for row in relaxed]),
        "eye_difference_of_renders": eye_difference([rendered[row] for row in relaxed]),
        **kernel_distance(pictures.movedim(-1, 1), shown.movedim(-1, 1)),
    }


def relaxed_rows(captions: list[str]) -> list[int]:
    """The rows of captions that say nothing of an expression."""
    moods = ("smiling", "making a face")
    return [row for row, text in enumerate(captions) if not any(mood in text for mood in moods)]


def draw(result: Path, captions: list[str]) -> Tensor:
    """Pictures [N, H, W, 3] in 0..1 of captions, each from a seed of its own."""
    generator = drawing(load_diffusers_pipeline(result), steps=STEPS).changed(guidance=GUIDANCE)
    seeds = range(FIRST_SEED, FIRST_SEED + len(captions))
    return generator.draw_each(captions, seeds, AUVector.zeros(faces=len(captions)))


def eye_difference(frames: list[list[Face]]) -> float:
    """Mean over faces: the difference of the eyes' openings over their mean; nan without faces."""
    openings = torch.tensor([eye_openings(faces[0].points) for faces in frames if faces])
    left, right = openings.reshape(-1, 2).unbind(1)
    return float(((left - right).abs() / ((left + right) / 2)).mean())


def eye_openings(points: Tensor) -> list[float]:
    """Height over width of the right and the left eye of points [478, 3]."""
    places = points[:, :2]
    return [
        float((places[top] - places[bottom]).norm() / (places[inner] - places[outer]).norm())
        for top, bottom, inner, outer in EYES
    ]
