"""What a method of making faces is: a Generator draws from text, an Editor changes a photo.

Anything with these attributes is one; nothing has to be inherited. A method of your own is one file
with a function that returns it: open_generator("module:function", ...), open_editor(...).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from torch import Tensor

from ..facs import AUVector

# Told after every step of a sampler how many of how many are done; what it raises ends the drawing.
OnStep = Callable[[int, int], None]
Function = TypeVar("Function", bound=Callable)


def settings_of(kind: type) -> Callable[[Function], Function]:
    """Marks a function that opens a method: its further keyword arguments are fields of a dataclass
    `kind`, so that others can be refused by name."""

    def mark(function: Function) -> Function:
        function.settings_of = kind
        return function

    return mark


class Generator(Protocol):
    """Draws faces from text.

    name: stands beside every picture and number. units: the AUs that it knows. sides: whether left
    and right are apart. scale: "absolute", AUs are the intensities to show, 0..5.

    A generator with a base of its own may also have plain(prompt, seed) -> [1, H, W, 3], the base
    without the method, and `batch`, how many pictures it draws at once.
    """

    name: str
    units: tuple[int, ...]
    sides: bool
    scale: str

    def settings(self) -> dict[str, object]:
        """Whatever its pictures depend on, for reports: weights by hash, steps. Values for JSON."""

    def draw(self, prompt: str, seed: int, aus: AUVector) -> Tensor:
        """Pictures [N, H, W, 3] in 0..1 of N AU vectors, all from one noise, so that only the AUs
        differ. Zeros are the method's neutral. The same arguments give the same pictures."""


class OpenPhoto(Protocol):
    """One face of one photo, ready to be edited: whatever depends on the photo alone is known."""

    def edit(self, aus: AUVector, seed: int = 0) -> Tensor:
        """The photo [N, H, W, 3], at its own size, with each of N AU vectors."""


class Editor(Protocol):
    """Changes the face in a photo. name, units, sides, settings: as in `Generator`.

    scale: "absolute", AUs are the intensities to show; "change", they are added to what the photo
    shows. An editor that draws the whole photo anew has a `size`, the side in pixels of the square
    it draws: evaluations resize photos to it, so that resizing is not counted as an edit. It may
    have `batch` as well.
    """

    name: str
    units: tuple[int, ...]
    sides: bool
    scale: str

    def settings(self) -> dict[str, object]: ...

    def open(self, photo: Tensor, face: int = 0) -> OpenPhoto:
        """A photo [1, H, W, 3] in 0..1. face: which of those in it, the largest first. ValueError
        where there is no such face."""
