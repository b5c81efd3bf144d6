"""Facial expression under muscle-level control: Action Units in, pictures out.

A library of torch modules; ComfyUI is not needed.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# Where each public name lives. A module loads when its name is first used: importing is cheap.
_EXPORTS = {
    "AUVector": "facs.vector",
    "AUAdapter": "models.adapter",
    "AUAdapterConfig": "models.adapter",
    "Reading": "estimators.reading",
    "describe": "facs.face_text",
    "apply_to_unet": "models.diffusers_unet",
    "estimate": "estimators",
    "load_adapter": "weights.adapter_files",
    "open_editor": "methods",
    "open_generator": "methods",
    "save_adapter": "weights.adapter_files",
}
__all__ = ["__version__", *_EXPORTS]


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_EXPORTS[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_EXPORTS})
