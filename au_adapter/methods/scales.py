"""Intensities and changes: one place that turns what was asked for into what an editor takes."""

from __future__ import annotations

from collections.abc import Callable

from ..facs import AUVector
from .method import Editor

SCALES = ("absolute", "change")


def for_editor(
    editor: Editor, aus: AUVector, scale: str, shown: Callable[[], AUVector]
) -> AUVector:
    """N requests on `scale` as the editor takes them. shown: reads the AUs of the photo, one face;
    called only where the scales differ.

    An intensity is the whole expression: AUs that it does not name become 0. A change leaves them.
    """
    if scale == editor.scale:
        return aus
    if editor.scale == "absolute":
        return as_intensities(aus, scale, shown)
    seen = shown()
    if not editor.sides:  # no face is quite symmetric, and the editor knows both sides alike
        seen = AUVector(seen.units, seen.values)
    return aus.select(editor.units) - seen.select(editor.units, strict=False)


def as_intensities(aus: AUVector, scale: str, shown: Callable[[], AUVector]) -> AUVector:
    """N requests on `scale` as the intensities 0..5 to show."""
    return aus if scale == "absolute" else (shown() + aus).clamp()
