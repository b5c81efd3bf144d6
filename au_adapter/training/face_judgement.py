"""How well VQ-AUFace draws while it learns: its AUs against those asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from ..estimators import Estimator
from ..evaluation.contact_sheet import contact_sheet
from ..facs import AUVector
from ..metrics import au_mse
from ..models.vqauface import VQAUFace, VQAUFaceConfig
from ..models.vqauface.vqauface import VECTOR
from .reference_pairs import ReferencePairs, aus_of, text_of
from .validation import SHEET, Estimate

FACES = 16
DRAWN_AT_ONCE = 8
SEED = 4001
COLUMNS = 8


class FaceJudgement:
    """Draws the same faces whenever it is called; fits `Trainer(validate=)`.

    The reference itself, which shows no AU, is measured beside: an error near its own means that
    nothing was learnt.
    """

    def __init__(
        self, pairs: ReferencePairs, config: VQAUFaceConfig, estimate: Estimate | Estimator | None
    ):
        """ValueError without an estimator, or with one that reads none of the model's AUs."""
        if estimate is None:
            raise ValueError(
                "validate_every needs something that reads AUs: name an estimator such as mesh "
                "(--estimator), or set validate_every=0"
            )
        named = isinstance(estimate, Estimator)
        self.estimate = estimate.estimate if named else estimate
        self.estimator = estimate.name if named else "unnamed"
        readable = estimate.units if named else config.units
        self.units = tuple(unit for unit in config.units if unit in readable)
        if not self.units:
            raise ValueError(f"the estimator {self.estimator} reads none of the AUs {config.units}")
        self.pairs = pairs.read(0, max(FACES, pairs.stream.lanes))
        self.asked = [aus_of(label, config) for label in self.pairs.labels]

    def __call__(self, module: Any, folder: Path) -> dict[str, Any]:
        """ "au_error" and "au_error_of_references", intensity units squared, over the AUs that each
        face was asked for; "faces", the share in which one was found; "estimator"."""
        references, targets = self.pairs.pictures()
        drawn = self._drawn(module.network, references)
        rows = [self._read(pictures) for pictures in (references, drawn)]
        (_, before), (found, after) = rows
        wanted = AUVector.stack(self.asked).select(self.units, strict=False).values
        there = wanted > 0
        self._sheet(references, drawn, targets).save(folder / SHEET)
        return {
            "au_error": _error(after, wanted, there),
            "au_error_of_references": _error(before, wanted, there),
            "faces": found / len(drawn),
            "estimator": self.estimator,
        }

    def _drawn(self, network: VQAUFace, references: Tensor) -> Tensor:
        device, config = network.untold.device, network.config
        parts = []
        for first in range(0, len(references), DRAWN_AT_ONCE):
            rows = slice(first, first + DRAWN_AT_ONCE)
            if config.driver == VECTOR:
                condition = network.ask_vector(AUVector.stack(self.asked[rows]).values)
            else:
                texts = [text_of(label, config, SEED) for label in self.pairs.labels[rows]]
                condition = network.ask_text(texts)
            seen = network.look(references[rows].to(device))
            parts.append(network.draw(condition, seen, SEED).clamp(-1, 1).cpu())
        return torch.cat(parts)

    def _read(self, pictures: Tensor) -> tuple[int, Tensor]:
        """How many show a face, and the AUs [N, K] read; none where no face is found."""
        values = torch.zeros(len(pictures), len(self.units))
        found = set()
        readings = self.estimate((pictures / 2 + 0.5).movedim(1, -1))
        for reading in sorted(readings, key=lambda r: r.confidence):  # the surest comes last
            values[reading.image] = reading.aus.select(self.units, strict=False).values[0]
            found.add(reading.image)
        return len(found), values

    def _sheet(self, *rows: Tensor) -> Image.Image:
        shown = [(row[:COLUMNS] * 127.5 + 127.5).round().byte().movedim(1, -1) for row in rows]
        names = ("reference", "drawn", "target")
        pictures = [[Image.fromarray(p) for p in row.numpy()] for row in shown]
        codes = [aus.notation() or "no AU" for aus in self.asked[:COLUMNS]]
        return contact_sheet(list(zip(names, pictures, strict=True)), codes, "")


def _error(read: Tensor, wanted: Tensor, there: Tensor) -> float:
    """The mean over faces of the mean squared error over the AUs that are there."""
    rows = there.any(1)
    return au_mse(wanted[rows], read[rows], there[rows])
