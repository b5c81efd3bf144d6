"""What makes the pictures of a protocol: a Subject that draws and edits, or files."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from ..data.pictures import read_picture
from ..estimators import Estimator, read_set
from ..facs import AUVector
from ..methods.subject import Subject, resized
from .closed_loop import closed_loop
from .protocols import REFERENCE, Protocol, Row


@dataclass(frozen=True)
class Drawing:
    """Draws rows of one reference with a Subject: from their prompt, or from their photo.

    scale: as in the protocol. A change is added to what the estimator reads on the photo, as an
    AU-Adapter takes intensities. prompt: what photos are said to show. rounds: of the closed loop;
    1 draws what is asked for and leaves it at that.
    """

    subject: Subject
    estimator: Estimator
    scale: str
    prompt: str
    rounds: int = 1

    def __call__(self, rows: Sequence[Row]) -> Tensor:
        first = rows[0]
        if first.group == REFERENCE:
            return torch.cat([self._reference(row) for row in rows])
        wanted = AUVector.stack([AUVector.from_dict(row.requested) for row in rows])
        if not first.source:
            return self._reached(wanted, first)
        photo = self.photo(first.source)
        if self.scale == "change":
            wanted = (self._seen(photo) + wanted).clamp()
        return self._reached(wanted, first, photo)

    def photo(self, file: str | Path) -> Tensor:
        """A photo [1, H, W, 3] at the size of the subject's pictures."""
        return resized(read_picture(file), (self.subject.size(),) * 2)

    def _reference(self, row: Row) -> Tensor:
        if row.source:
            return self.photo(row.source)
        return self.subject.draw_plain(row.prompt, row.seed)

    def _seen(self, photo: Tensor) -> AUVector:
        """The photo's AUs that the adapter knows; none of a face that is not found. Where the loop
        corrects, which takes both sides as one, their mean: no face is quite symmetric."""
        (face,) = read_set(self.estimator, photo).surest()
        units = self.subject.adapter.config.units
        if face is None:
            return AUVector.zeros(units)
        seen = face.aus.select(units, strict=False)
        return seen if self.rounds == 1 else AUVector(units, seen.values)

    def _reached(self, wanted: AUVector, row: Row, photo: Tensor | None = None) -> Tensor:
        def draw(aus: AUVector) -> Tensor:
            if photo is None:
                return self.subject.draw(row.prompt, row.seed, aus)
            return self.subject.edit(photo, self.prompt, row.seed, aus)

        if self.rounds == 1:
            return draw(wanted)
        return closed_loop(draw, self.estimator, wanted, rounds=self.rounds).images

    def references(self, rows: Sequence[Row], references: Tensor) -> Tensor:
        """What the pictures of rows are compared with: the photo that shows what was asked for
        where there is one, as in AUEditNet, else the given ones [N, H, W, 3]."""
        if not any(row.target for row in rows):
            return references
        pairs = zip(rows, references, strict=True)
        return torch.cat([self.photo(r.target) if r.target else old[None] for r, old in pairs])


def limited(protocol: Protocol, limit: int | None) -> Protocol:
    """`limit` of the rows, scattered over the protocol and in its order, with their references. The
    choice comes from hashes of their ids: it is the same every time, and a larger one contains a
    smaller one."""
    if limit is None or limit >= len(protocol.rows):
        return protocol

    def scattered(row: Row) -> str:
        return hashlib.sha256(row.id.encode()).hexdigest()

    chosen = {row.id for row in sorted(protocol.rows, key=scattered)[:limit]}
    rows = tuple(row for row in protocol.rows if row.id in chosen)
    used = {row.reference for row in rows}
    references = tuple(row for row in protocol.references if row.id in used)
    title = f"{protocol.title}: a trial of {limit} of its {len(protocol.rows)} pictures"
    return replace(protocol, rows=rows, references=references, title=title)
