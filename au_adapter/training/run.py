"""Start a recipe by name: `au-adapter train --recipe NAME --data DATA --steps N --output DIR`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import torch

from .loop import Settings, Trainer

RECIPES = {
    "demo-autoencoder": ("autoencoder", "AutoencoderRecipe"),
    "demo-base": ("base", "BaseRecipe"),
    "fineface": ("fineface", "FineFaceRecipe"),
    "magicface": ("magicface", "MagicFaceRecipe"),
    "regressor": ("regressor", "RegressorRecipe"),
}


def find_recipe(name: str) -> tuple[Callable, Settings]:
    """The recipe class of a name and its default settings; a name not in RECIPES: ValueError."""
    if name not in RECIPES:
        raise ValueError(f"recipe {name!r} is not known: choose one of {', '.join(RECIPES)}")
    module_name, class_name = RECIPES[name]
    module = import_module(f".recipes.{module_name}", __package__)
    return getattr(module, class_name), module.SETTINGS


def train(recipe: str, data: list[str | Path], output: str | Path, **changes: object) -> Path:
    """Train a recipe on folders of renders; resumes when output holds a state.

    changes replaces fields of the recipe's Settings (steps, batch_size, ...) by name; those that
    Settings does not have go to the recipe (base=, smoothing=, ...), and None leaves the default.
    Returns the result folder.
    """
    make, settings = find_recipe(recipe)
    chosen = {k: v for k, v in changes.items() if v is not None}
    fields = {k: chosen.pop(k) for k in list(chosen) if k in Settings.__dataclass_fields__}
    settings = replace(settings, **fields)
    torch.manual_seed(settings.seed)  # the networks start from the seed too
    Trainer(make([Path(d) for d in data], **chosen), settings, Path(output)).run()
    return Path(output) / "result"
