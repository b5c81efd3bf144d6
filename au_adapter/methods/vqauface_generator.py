"""VQ-AUFace from a prompt: the base draws a person, whose face is then drawn with AUs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor

from ..facs import AUVector
from .base_generator import BaseGenerator, open_base
from .method import settings_of
from .vqauface_editor import VQAUFaceEditor, open_vqauface


@dataclass(frozen=True, kw_only=True)
class VQAUFaceGenerator:
    """A Generator of two steps: `base` draws the prompt, `editor` gives the face AUs."""

    base: BaseGenerator
    editor: VQAUFaceEditor

    name: ClassVar[str] = "VQ-AUFace"
    scale: ClassVar[str] = "absolute"

    @property
    def units(self) -> tuple[int, ...]:
        """The AUs that the editor knows."""
        return self.editor.units

    @property
    def sides(self) -> bool:
        """Whether left and right are apart."""
        return self.editor.sides

    @property
    def batch(self) -> int:
        """Faces drawn at once."""
        return self.editor.batch

    def settings(self) -> dict[str, object]:
        """What a reader of its numbers must know."""
        return {**self.editor.settings(), "reference": self.base.settings()}

    def plain(self, prompt: str, seed: int) -> Tensor:
        """The picture [1, H, W, 3] of the base, which is the reference."""
        return self.base.plain(prompt, seed)

    def draw(self, prompt: str, seed: int, aus: AUVector) -> Tensor:
        """Pictures [N, H, W, 3] of N AU vectors, of one person and one noise. ValueError where the
        base drew no face."""
        return self.editor.open(self.plain(prompt, seed)).edit(aus, seed)


@settings_of(VQAUFaceEditor)
def open_vqauface_generator(
    model: str | Path | None = None,
    file: str | Path | None = None,
    base_steps: int = BaseGenerator.steps,
    device: str | None = None,
    half: bool = False,
    **settings: Any,
) -> VQAUFaceGenerator:
    """model, base_steps: of the base, see `open_pipeline`; by default the bundled one, whose
    pictures are framed as the bundled VQ-AUFace's. The rest: of `open_vqauface`."""
    base = open_base(model, device, half, steps=base_steps)
    editor = open_vqauface(file, device=device, half=half, **settings)
    return VQAUFaceGenerator(base=base, editor=editor if model else editor.changed(landmarker=None))
