"""The AU estimator: learned on renders as the landmarker sees them.

    au-adapter train --recipe estimator --data FACES --output DIR \\
        --set landmarker=face_landmarker.task
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from ...data.rendering.head import MIDDLE_UNITS, UNITS
from ...faces import FACE_LANDMARKER, FaceLandmarker, locate
from ...faces.blendshapes import BLENDSHAPE_NAMES
from ...metrics import icc_3_1
from ...models.mesh_regressor import MeshRegressor, MeshRegressorConfig
from ...weights.tensors import write_tensors
from ..landmark_cache import read_renders
from ..resting import RestingFaces, same_person
from ..settings import Settings

VARIANTS = 4  # of every face
REFERENCE_GIVEN = 0.5  # how often a face is compared with another of the person
ANY_REFERENCE = 0.3  # how often that is any picture of the person instead of the relaxed one
NOISE = 0.1  # deviation, in deviations of each feature
HELD_OUT = 10  # one person in so many only tells how well it reads
IRISES = (468, 473)  # the right and the left centre; the rings around them are left out


class EstimatorLoss(nn.Module):
    """Huber's error of both sides, in intensity units; from 1 on it is linear."""

    def __init__(self, estimator: MeshRegressor):
        super().__init__()
        self.estimator = estimator

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        sides = self.estimator(batch["face"], batch["resting"], batch["known"])
        wanted = (batch["left"], batch["right"])
        return sum(functional.huber_loss(a, b) for a, b in zip(sides, wanted, strict=True)) / 2


@dataclass(frozen=True)
class EstimatorOptions:
    """Options of the estimator. landmarker: the file of Google's face landmarker; None: where
    `faces.locate` looks for it."""

    landmarker: str | Path | None = None


class EstimatorRecipe:
    """Reads renders, best of `--neutral-first --expressions full`, through Google's landmarker."""

    Options = EstimatorOptions
    settings = Settings(
        steps=6000,  # more fit the people it knows better, and others worse
        batch_size=256,
        learning_rate=1e-3,
        weight_decay=2e-2,
        warmup_steps=100,
        decay_steps=4500,
        average_decay=0.998,
        save_every=3000,
        log_every=500,
    )

    def __init__(self, data: list[Path], options: EstimatorOptions):
        path = locate(FACE_LANDMARKER, options.landmarker)
        network = FaceLandmarker(path)
        faces = read_renders(data, path)
        self.left, self.right = (faces.aus(side, UNITS) for side in ("left", "right"))
        people = RestingFaces(faces, network)
        self.known, self.resting_row = people.known, people.resting_row
        self.same_person = same_person(faces.identities())
        # Each face as it was rendered, and with other resting faces under it.
        generator = torch.Generator().manual_seed(0)
        variants = [people.variant(generator) for _ in range(VARIANTS)]
        estimator = MeshRegressor(
            MeshRegressorConfig(UNITS, MIDDLE_UNITS, len(network.geometry.vertices) + len(IRISES))
        )
        prepare(estimator, network.geometry.vertices.float(), *variants[0])
        variants.append((people.points, people.scores))
        self.features = torch.stack([estimator.features(*variant) for variant in variants])
        self.held_out = faces.identities() % HELD_OUT == 0
        self.learned_rows = (~self.held_out).nonzero()[:, 0]
        self.module = EstimatorLoss(estimator)

    def batch(self, size: int, generator: torch.Generator) -> dict[str, Tensor]:
        variant = torch.randint(len(self.features), (size,), generator=generator)
        row = self.learned_rows[torch.randint(len(self.learned_rows), (size,), generator=generator)]
        reference, known = self._references(row, generator)
        face, other = self.features[variant, row], self.features[variant, reference]
        before = known[:, None]
        return {
            "face": face + NOISE * torch.randn(face.shape, generator=generator),
            "resting": other + NOISE * torch.randn(face.shape, generator=generator),
            "known": known,
            # Beside a reference, what counts is the change from it.
            "left": (self.left[row] - before * self.left[reference]).clamp(min=0),
            "right": (self.right[row] - before * self.right[reference]).clamp(min=0),
        }

    def _references(self, row: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """A picture of the same person for each row, and 1 where it is given. A reference that is
        no relaxed face, even the face itself, teaches that it is the change that counts."""
        draw = torch.rand(3, len(row), generator=generator)
        any_of_them = draw[0] < ANY_REFERENCE
        column = (draw[1] * self.same_person.shape[1]).long()
        reference = torch.where(any_of_them, self.same_person[row, column], self.resting_row[row])
        given = (draw[2] < REFERENCE_GIVEN) & ((self.known[row] > 0) | any_of_them)
        return reference, given.float()

    def save(self, module: EstimatorLoss, folder: Path) -> None:
        network = module.estimator
        described = {"network": asdict(network.config), "reliability": self.reliability(network)}
        metadata = {"au_estimator": json.dumps(described)}
        write_tensors(folder / "au_estimator.safetensors", network.state_dict(), metadata)

    @torch.no_grad()
    def reliability(self, estimator: MeshRegressor) -> dict[int, float]:
        """ICC(3,1) of each AU over both sides of the people held out, without a resting face; none
        of an AU that they do not show."""
        device = next(estimator.parameters()).device
        face = self.features[-1, self.held_out].to(device)  # as rendered
        estimator.eval()
        left, right = estimator(face, face, torch.zeros(len(face), device=device))
        estimator.train()
        found = torch.cat([left, right]).clamp(0, 5).cpu()
        wanted = torch.cat([self.left[self.held_out], self.right[self.held_out]])
        pairs = zip(UNITS, torch.stack([wanted, found], -1).unbind(1), strict=True)
        return {unit: round(icc_3_1(pair), 3) for unit, pair in pairs if pair[:, 0].any()}


def prepare(estimator: MeshRegressor, canonical: Tensor, points: Tensor, scores: Tensor) -> None:
    """Fill the buffers: which points, what mirrors what, components, shift and scale."""
    count = len(canonical)
    mirrored = canonical * canonical.new_tensor([-1.0, 1.0, 1.0])
    other_side = torch.cdist(mirrored, canonical).argmin(-1).tolist()
    estimator.chosen.copy_(torch.tensor([*range(count), *IRISES]))
    estimator.mirror.copy_(torch.tensor([*other_side, count + 1, count]))
    opposite = {"Left": "Right", "Right": "Left"}
    names = [re.sub("(Left|Right)$", lambda side: opposite[side[0]], n) for n in BLENDSHAPE_NAMES]
    estimator.mirror_scores.copy_(torch.tensor([BLENDSHAPE_NAMES.index(name) for name in names]))
    chosen = points[:, estimator.chosen].flatten(1)
    estimator.centre.copy_(chosen.mean(0))
    centred, width = chosen - estimator.centre, estimator.config.components
    values, directions = torch.linalg.eigh(centred.T @ centred)
    estimator.basis.copy_(directions[:, values.argsort(descending=True)[:width]])
    features = estimator.features(points, scores).flatten(0, 1)
    estimator.shift.copy_(features.mean(0))
    # A feature that hardly varies is noise: dividing by little would make it loud.
    floor = torch.tensor([0.1] * width + [0.05] * len(BLENDSHAPE_NAMES))
    estimator.scale.copy_(features.std(0).maximum(floor))
