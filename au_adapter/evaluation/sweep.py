"""The faces on which a calibration learns how an adapter answers: prompts, seeds, what comes of it.

How an AU answers differs from face to face as much as from AU to AU, so that a few faces tell
little: curves of 4 faces hit other faces' intensities by a tenth less well than curves of 12.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..estimators import Estimator, read_set
from ..estimators.reading import ReadingSet
from ..facs import AUVector
from ..methods import Generator
from .fit_calibration import changes

# In the bundled model's words; another base knows them as well.
PROMPTS = (
    "a portrait of a young woman with light skin and long blond hair, in a blue sweater",
    "a photo of a middle-aged man with tan skin and short brown hair, grey background",
    "a close-up of an old woman with olive skin and short grey hair, wearing a red shirt",
    "a headshot of a young man with brown skin and short black hair, white background",
    "a photo of a young woman with dark skin and long black hair, in a white shirt",
    "a portrait of an old man with light skin and short white hair, in a black jacket",
    "a close-up of a middle-aged woman with brown skin and short brown hair, blue background",
    "a headshot of a young man with tan skin and short blond hair, wearing a green sweater",
    "a photo of an old woman with dark skin and long grey hair, in a yellow jacket",
    "a portrait of a middle-aged man with olive skin and short black hair, street background",
    "a close-up of a young woman with tan skin and long red hair, wearing a white sweater",
    "a headshot of an old man with brown skin and short grey hair, in a blue shirt",
)
SEED = 1001  # of the first; the next ones follow


@dataclass(frozen=True)
class SweepOutcome:
    """Picture by picture, N in all: what was asked for, what was read, and the RMSE [N] (0..1) to
    the picture of the same face at rest."""

    requested: AUVector
    readings: ReadingSet
    changes: Tensor


def read_sweep(
    method: Generator, reader: Estimator, sweep: AUVector, prompts: Sequence[str] = PROMPTS
) -> SweepOutcome:
    """Draw and read a sweep, the neutral face first, on a face per prompt. The pictures of one face
    are in memory at a time."""
    readings, changed = [], []
    for number, prompt in enumerate(prompts):
        pictures = method.draw(prompt, SEED + number, sweep)
        readings.append(read_set(reader, pictures))
        changed.append(changes(sweep, pictures))
    stacked = ReadingSet.stack(readings)
    return SweepOutcome(AUVector.stack([sweep] * len(readings)), stacked, torch.cat(changed))
