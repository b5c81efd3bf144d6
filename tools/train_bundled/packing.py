"""The bundled folder, out of what the stages left."""

from __future__ import annotations

from pathlib import Path

from .work import Workshop


def pack_all(shop: Workshop, folder: Path) -> None:
    raise NotImplementedError
