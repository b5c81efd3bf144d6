"""What makes the pictures of a protocol: a generator from prompts, or an editor from photos."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from ..data.pictures import read_picture
from ..estimators import Estimator, read_set
from ..facs import AUVector
from ..methods import Editor, Generator, OpenPhoto
from ..methods.sampling import resized
from ..methods.scales import as_intensities, for_editor
from .closed_loop import closed_loop
from .records import REFERENCE, Request

LOGGER = logging.getLogger("au_adapter")


@dataclass(frozen=True)
class PromptPictures:
    """Draws rows of one prompt with a generator. rounds: of the closed loop; 1 draws what is asked
    for and leaves it at that."""

    method: Generator
    estimator: Estimator
    rounds: int = 1

    def __call__(self, rows: Sequence[Request]) -> Tensor:
        first = rows[0]
        if first.group == REFERENCE:
            return torch.cat([self._reference(row) for row in rows])

        def draw(aus: AUVector) -> Tensor:
            return self.method.draw(first.prompt, first.seed, aus)

        if self.rounds == 1:
            return draw(requested(rows))
        return closed_loop(draw, self.estimator, requested(rows), rounds=self.rounds).images

    def _reference(self, row: Request) -> Tensor:
        """The method's neutral face: Eq. 4 of FineFace compares pictures of one network."""
        return self.method.draw(row.prompt, row.seed, AUVector.zeros())

    def references(self, rows: Sequence[Request], references: Tensor) -> Tensor:
        """What the pictures of rows are compared with [N, H, W, 3]."""
        return references


@dataclass(frozen=True)
class PhotoPictures:
    """Edits the photo of rows with an editor. scale: as in the protocol; where the editor has the
    other one, what the estimator reads on the photo lies between them. rounds: of the closed
    loop."""

    method: Editor
    estimator: Estimator
    scale: str
    rounds: int = 1
    _opened: dict[str, tuple[OpenPhoto, Tensor]] = field(default_factory=dict, repr=False)

    def __call__(self, rows: Sequence[Request]) -> Tensor:
        first = rows[0]
        if first.group == REFERENCE:
            return torch.cat([self.photo(row.source) for row in rows])
        opened, photo = self._open(first.source)

        def shown() -> AUVector:
            return self._shown(photo)

        def edit(aus: AUVector, scale: str) -> Tensor:
            return opened.edit(for_editor(self.method, aus, scale, shown), first.seed)

        if self.rounds == 1:
            return edit(requested(rows), self.scale)
        wanted = as_intensities(requested(rows), self.scale, shown)
        draw = partial(edit, scale="absolute")
        return closed_loop(draw, self.estimator, wanted, rounds=self.rounds).images

    def photo(self, file: str | Path) -> Tensor:
        """A photo [1, H, W, 3], at the size of an editor that draws it anew as a whole."""
        picture = read_picture(file)
        size = getattr(self.method, "size", None)
        return resized(picture, (size, size)) if size else picture

    def _open(self, file: str) -> tuple[OpenPhoto, Tensor]:
        """The photo ready to be edited; the last one is kept, as rows of one photo follow one
        another."""
        if file not in self._opened:
            photo = self.photo(file)
            try:
                opened = self.method.open(photo)
            except ValueError as error:
                raise ValueError(f"{file}: {error}") from error
            self._opened.clear()
            self._opened[file] = opened, photo
        return self._opened[file]

    def _shown(self, photo: Tensor) -> AUVector:
        """The photo's AUs that the method knows; none of a face that is not found. Where the loop
        corrects, which takes both sides as one, their mean: no face is quite symmetric."""
        (face,) = read_set(self.estimator, photo).surest()
        if face is None:
            LOGGER.warning("%s finds no face in a photo: it counts as relaxed", self.estimator.name)
            return AUVector.zeros(self.method.units)
        seen = face.aus.select(self.method.units, strict=False)
        return seen if self.rounds == 1 else AUVector(seen.units, seen.values)

    def references(self, rows: Sequence[Request], references: Tensor) -> Tensor:
        """What the pictures of rows are compared with: the photo that shows what was asked for
        where there is one, as in AUEditNet, else the given ones [N, H, W, 3]."""
        if not any(row.target for row in rows):
            return references
        size = tuple(references.shape[1:3])
        pairs = zip(rows, references, strict=True)
        found = [resized(self.photo(r.target), size) if r.target else old[None] for r, old in pairs]
        return torch.cat(found)


def requested(rows: Sequence[Request]) -> AUVector:
    """What rows ask for, an AU vector each."""
    return AUVector.stack([AUVector.from_dict(row.requested) for row in rows])
