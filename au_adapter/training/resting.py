"""Renders seen by the landmarker, as faces of more people than were rendered.

Rendered people differ less at rest than real ones do, and their brows sit high. Reading AUs off
absolute places then fails on photos. So each face is used with several resting faces: some of the
difference between two other people is added to its points, some of the way to the canonical
face too, and Google's network reads the expression scores again from the changed points.

Real smiles also lift nose and upper lip and widen the mouth more than those of the face model, so
some of what AU9, AU10 and AU20 do to a face is added to smiling ones, which keep their labels.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..data.references import most_relaxed
from ..faces import FaceLandmarker
from ..faces.alignment import align, turned_back
from .landmark_cache import LandmarkedSet

RESTING = 0.6  # the strongest AU of a face that may pass as relaxed
EXCHANGE = 1.2  # the largest share of the difference between two people that is added
TOWARDS_CANONICAL = 0.9  # the largest share of the way from the mean relaxed face
# What a unit of AU12 may look like besides, in units of other AUs.
SMILE_LEAKS = {9: 0.7, 10: 0.6, 20: 0.4}
NOISE = 0.02  # centimetres, of every point by itself
RIDGE = 1.0
CHUNK = 256
Seen = tuple[Tensor, Tensor]


class RestingFaces:
    """The faces of a set, aligned points [N, 478, 3] in centimetres and scores [N, 52].

    resting_row [N]: the most relaxed face of each one's person. known [N]: 1 where that is relaxed
    enough and another picture, else 0.
    """

    def __init__(self, faces: LandmarkedSet, landmarker: FaceLandmarker):
        self.blendshapes = landmarker.blendshapes
        self.points, self.rotation = align(faces.points)
        self.scores = faces.blendshapes
        self.resting_row, self.known = resting_rows(faces)
        self.relaxed = self.resting_row[self.known > 0].unique()
        if not len(self.relaxed):
            raise ValueError(
                "No render shows a relaxed face, which the others are compared with: render with "
                "--neutral-first"
            )
        self.leaks = self._smile_leaks(faces)
        canonical = landmarker.geometry.vertices.float()
        self.to_canonical = torch.zeros_like(self.points[0])
        mean = self.points[self.relaxed].mean(0)
        self.to_canonical[: len(canonical)] = canonical - mean[: len(canonical)]

    @torch.no_grad()
    def variant(self, generator: torch.Generator) -> Seen:
        """Points and scores of every face with another resting face under it, one for a person."""
        noise = NOISE * torch.randn(self.points.shape, generator=generator)
        shares = torch.rand(len(self.leaks), len(noise), 1, 1, generator=generator)
        smile = (shares * self.leaks).sum(0)
        points = self.points + self._change(generator)[self.resting_row] + smile + noise
        return points, self._read_scores(points)

    def _change(self, generator: torch.Generator) -> Tensor:
        """What is added to the faces of N people, [N, 478, 3]."""
        count = len(self.points)
        people = torch.randint(len(self.relaxed), (2, count), generator=generator)
        first, second = self.points[self.relaxed[people]]
        shares = torch.rand(2, count, 1, 1, generator=generator)
        exchange = EXCHANGE * shares[0] * (first - second)
        return exchange + TOWARDS_CANONICAL * shares[1] * self.to_canonical

    def _smile_leaks(self, faces: LandmarkedSet) -> Tensor:
        """The most that may be added to each face for each of SMILE_LEAKS, [leaks, N, 478, 3]."""
        units = (12, *SMILE_LEAKS)
        sides = torch.stack([faces.aus(side, units) for side in ("left", "right")])
        moved = (self.points - self.points[self.resting_row])[self.known > 0].flatten(1)
        labels = torch.cat([*sides[:, self.known > 0]], -1)
        # How far a unit moves each point, for each side: linear least squares with a little ridge,
        # which halves what both sides do together.
        normal = labels.T @ labels + RIDGE * torch.eye(2 * len(units))
        fields = torch.linalg.solve(normal, labels.T @ moved).reshape(2, len(units), -1, 3)
        smiles = sides[..., 0, None, None]
        return torch.stack(
            [
                rate * (smiles * fields[:, index, None]).sum(0)
                for index, rate in enumerate(SMILE_LEAKS.values(), start=1)
            ]
        )

    def _read_scores(self, points: Tensor) -> Tensor:
        parts = turned_back(points, self.rotation).split(CHUNK)
        return torch.cat([self.blendshapes(part) for part in parts])


def resting_rows(faces: LandmarkedSet) -> tuple[Tensor, Tensor]:
    """For each face: the row of its person's most relaxed face, and 1 where that is relaxed enough
    and another picture than itself, else 0."""
    strongest = torch.tensor(
        [max([0.0, *label["left"].values(), *label["right"].values()]) for label in faces.labels]
    )
    people = faces.identities().tolist()
    best = most_relaxed(people, strongest.tolist())
    rows = torch.tensor([best[person] for person in people])
    others = rows != torch.arange(len(rows))
    return rows, ((strongest[rows] <= RESTING) & others).float()


def same_person(identities: Tensor) -> Tensor:
    """For each of identities [N]: the rows of that person, [N, most pictures of one person]; with
    fewer pictures, over again."""
    rows: dict[int, list[int]] = {}
    for row, person in enumerate(identities.tolist()):
        rows.setdefault(person, []).append(row)
    most = max(map(len, rows.values()))
    filled = {person: (own * most)[:most] for person, own in rows.items()}
    return torch.tensor([filled[person] for person in identities.tolist()])
