"""Start a recipe by name: `au-adapter train --recipe NAME --data DATA --steps N --output DIR`."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from inspect import Parameter, signature
from pathlib import Path

import torch

from ..data.rendered import find_renders
from .loop import Settings, Trainer
from .validation import Estimate, validation_for

logger = logging.getLogger("au_adapter")

RECIPES = {
    "demo-autoencoder": ("autoencoder", "AutoencoderRecipe"),
    "demo-base": ("base", "BaseRecipe"),
    "dreambooth": ("dreambooth", "DreamBoothRecipe"),
    "estimator": ("estimator", "EstimatorRecipe"),
    "fineface": ("fineface", "FineFaceRecipe"),
    "fineface-sd15": ("fineface_sd", "FineFaceSD15Recipe"),
    "fineface-sd21": ("fineface_sd", "FineFaceSD21Recipe"),
    "lora-au": ("lora", "LoRAAURecipe"),
    "lora-text": ("lora", "LoRATextRecipe"),
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


def train(
    recipe: str,
    data: list[str | Path],
    output: str | Path,
    estimate: Estimate | None = None,
    **changes: object,
) -> Path:
    """Train a recipe on folders of labelled faces; resumes when output holds a state. "rendered"
    stands for `find_renders`, where no folder has that name.

    changes replaces fields of the recipe's Settings (steps, batch_size, ...) by name; those that
    Settings does not have go to the recipe (base=, smoothing=, ...), and None leaves the default.
    estimate: reads AUs off pictures for validate_every; default the regressor beside a demo base.
    Returns the result folder.
    """
    make, settings = find_recipe(recipe)
    chosen = {k: v for k, v in changes.items() if v is not None}
    fields = {k: chosen.pop(k) for k in list(chosen) if k in Settings.__dataclass_fields__}
    settings = replace(settings, **fields)
    torch.manual_seed(settings.seed)  # the networks start from the seed too
    _check_keywords(recipe, make, chosen)
    made = make([_find(Path(d)) for d in data], **chosen)
    validate = None
    if settings.validate_every:
        validate = validation_for(made, estimate)
    Trainer(made, settings, Path(output), validate).run()
    return Path(output) / "result"


def _check_keywords(recipe: str, make: type, chosen: dict[str, object]) -> None:
    """A ValueError, in the words of the command line, for settings too many or too few."""
    own = signature(make.__init__).parameters
    everywhere = [signature(each.__init__).parameters for each in make.__mro__[:-1]]
    known = {name for names in everywhere for name in names} - {"self", "data", "keywords"}
    if unknown := sorted(set(chosen) - known):
        settings = sorted(known | set(Settings.__dataclass_fields__))
        raise ValueError(
            f"recipe {recipe} has no setting {unknown[0]!r}; it has {', '.join(settings)}"
        )
    needed = [n for n in known & set(own) if own[n].default is Parameter.empty]
    if missing := sorted(set(needed) - set(chosen)):
        raise ValueError(f"recipe {recipe} needs a folder: --set {missing[0]}=FOLDER")


def _find(folder: Path) -> Path:
    if folder != Path("rendered") or folder.exists():
        return folder
    found = find_renders()
    logger.info("rendered faces: %s", found)
    return found
