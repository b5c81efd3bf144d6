"""The base models that adapters are for: one file a family, and nobody else asks which it is.

A base is the bundled model's folder, a folder as diffusers saves a pipeline, or a checkpoint in one
file. Finding its family needs neither diffusers nor transformers; loading it does.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .bundled import BUNDLED
from .family import BaseFamily, EncodedText
from .sd15 import SD15
from .sd21 import SD21
from .sdxl import SDXL
from .stable_diffusion import StableDiffusionFamily

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline

__all__ = [
    "FAMILIES", "BaseFamily", "EncodedText", "StableDiffusionFamily", "base_name", "family_of",
    "find_family", "load_base", "register",
]  # fmt: skip

FAMILIES: list[BaseFamily] = [BUNDLED, SDXL, SD21, SD15]  # in the order of detection


def register(family: BaseFamily) -> None:
    """Add a family. It is asked before those that are there; one of its name is replaced."""
    FAMILIES[:] = [family, *(known for known in FAMILIES if known.name != family.name)]


def find_family(path: str | Path) -> BaseFamily:
    """The family of the base at a path.

    FileNotFoundError where there is nothing; ValueError, with the kinds of base, for anything else.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"there is no {path}: {_what_to_name()}")
    found = next((family for family in FAMILIES if family.detect(path)), None)
    if found is None:
        raise ValueError(f"{path} is no base that is known here: {_what_to_name()}")
    return found


def family_of(pipeline: DiffusionPipeline) -> BaseFamily:
    """The family of a pipeline in memory; ValueError for one of none."""
    found = next((family for family in FAMILIES if family.owns(pipeline)), None)
    if found is None:
        titles = ", ".join(family.title for family in FAMILIES)
        raise ValueError(f"{type(pipeline).__name__} is of no base known here: {titles}")
    return found


def base_name(path: str | Path) -> str:
    """The name of the base at a path, for an adapter's config and for reports."""
    return find_family(path).base_name(Path(path).resolve())


def load_base(path: str | Path, tokenizer: str | Path | None = None) -> DiffusionPipeline:
    """The networks of a base as a pipeline in float32, on the CPU, frozen; see `BaseFamily.load`.

    Errors as `find_family`, and ValueError for files that are not whole.
    """
    family = find_family(path)
    pipeline = family.load(Path(path), tokenizer)
    for part in family.parts:
        getattr(pipeline, part).requires_grad_(False)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _what_to_name() -> str:
    titles = ", ".join(family.title for family in FAMILIES)
    return (
        "name a folder with model_index.json, as diffusers saves a pipeline, a checkpoint with "
        f"UNet, text encoder and VAE in one file, or the bundled model's folder. Known: {titles}"
    )
