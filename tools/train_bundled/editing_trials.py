"""Edits of people that nothing was trained on, towards other pictures of them, and what an
estimator of differences reads in them: AUEditNet's section 4.2 on renders, whose AUs are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from au_adapter.facs import SET_A, AUVector
from au_adapter.methods.wplus_editing import FaceLatent, drawn, edited, invert, relaxed
from au_adapter.metrics import mean_score, per_unit
from au_adapter.models.aueditnet import AUEditNet
from au_adapter.models.siamese import SiameseAU
from au_adapter.training.aligned_faces import AlignedFaces, SubjectRows, load_aligned
from au_adapter.weights.wplus_files import WPlus

SEED = 9003


@dataclass(frozen=True, eq=False)
class Trials:
    """N edits: rows of faces of the source, the target, the relaxed picture of the same person, and
    of somebody else. Pictures are [.., S, S, 3] in 0..1 at the generator's size."""

    faces: AlignedFaces
    source: Tensor
    target: Tensor
    neutral: Tensor
    other: Tensor

    def pictures(self, rows: Tensor) -> Tensor:
        """Of some rows."""
        return self.faces.images[rows].float() / 255

    def aus(self, rows: Tensor) -> AUVector:
        """What some rows show, known from their making."""
        return AUVector(self.units, self.faces.aus[rows])

    @property
    def units(self) -> tuple[int, ...]:
        """The AUs that are edited and read."""
        return SET_A


def make_trials(folders: Sequence[Path], wplus: WPlus, count: int) -> Trials:
    """The same edits for every method that knows the faces of `folders` in the framing of wplus."""
    faces = load_aligned(folders, wplus.generator.config.size, wplus.framing)
    people = SubjectRows(faces)
    rows = people.draw(count, torch.Generator().manual_seed(SEED))
    return Trials(faces, *rows[:2], people.most_neutral(faces.aus)[rows[0]], rows[2])


@torch.no_grad()
def read(judge: SiameseAU, trials: Trials, pictures: Tensor, neutral: Tensor) -> Tensor:
    """Intensities [N, K], 0..5, of pictures: what the judge sees beside the relaxed picture of the
    person, and the little that this shows."""
    parts = zip(pictures.split(16), trials.pictures(neutral).split(16), strict=True)
    seen = torch.cat([judge(_signed(a), _signed(b)) for a, b in parts])
    return (seen + trials.faces.aus[neutral]).clamp(0, 5)


def agreement(wanted: Tensor, seen: Tensor, units: Sequence[int]) -> dict[str, float]:
    """ICC(3,1) and MSE, mean over AUs, of intensities [N, K]."""
    score = mean_score(per_unit(wanted, seen, units))
    return {"icc": score.icc, "mse": score.mse}


def inverted(wplus: WPlus, trials: Trials, rows: Tensor) -> FaceLatent:
    """The codes of some rows."""
    parts = [invert(wplus, trials.pictures(part)).codes for part in rows.split(16)]
    return FaceLatent(torch.cat(parts), wplus.space)


@dataclass(frozen=True, eq=False)
class Edits:
    """What AUEditNet made of N trials: pictures [N, S, S, 3]."""

    unchanged: Tensor
    wanted: Tensor
    edited: Tensor
    relaxed: Tensor
    transferred: Tensor


def make_edits(wplus: WPlus, network: AUEditNet, trials: Trials) -> Edits:
    """Sources inverted, targets inverted, sources with the targets' AUs, without AUs, and with the
    expression of somebody else's picture."""
    source, target, other = (
        inverted(wplus, trials, rows) for rows in (trials.source, trials.target, trials.other)
    )
    moved, _ = edited(network, source, trials.aus(trials.target))
    nothing = AUVector.zeros(network.config.units)
    taken, _ = edited(network, source, nothing, expression=other)
    latents = (source, target, moved, relaxed(network, source), taken)
    return Edits(*(drawn(wplus.generator, latent) for latent in latents))


def _signed(pictures: Tensor) -> Tensor:
    return pictures.movedim(-1, 1) * 2 - 1
