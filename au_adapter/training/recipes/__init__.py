"""Recipes by name. To add one, write its file and name its class in RECIPES.

A recipe is a class with `Options`, a frozen dataclass that checks itself, `settings`, the defaults
of the loop, and what `training.recipe.Recipe` asks for; it is made of folders of faces and options.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, fields, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from ...bases import find_family
from ...bundled import demo_folder
from ..recipe import Recipe
from ..settings import Settings

LOOP = frozenset(field.name for field in fields(Settings))  # the settings of any run
# Name -> file and class; and the base family that the name promises, if any.
RECIPES: dict[str, tuple[str, str, str | None]] = {
    "aueditnet": ("aueditnet_recipe", "AUEditNetRecipe", None),
    "demo-autoencoder": ("autoencoder_recipe", "AutoencoderRecipe", None),
    "demo-base": ("base_recipe", "BaseRecipe", None),
    "dreambooth": ("dreambooth_recipe", "DreamBoothRecipe", None),
    "estimator": ("estimator_recipe", "EstimatorRecipe", None),
    "fineface": ("fineface_recipe", "FineFaceRecipe", None),
    "fineface-sd15": ("fineface_recipe", "FineFaceRecipe", "sd15"),
    "fineface-sd21": ("fineface_recipe", "FineFaceRecipe", "sd21"),
    "fineface-sdxl": ("fineface_recipe", "FineFaceRecipe", "sdxl"),
    "lora-au": ("lora_recipe", "LoRAAURecipe", None),
    "lora-text": ("lora_recipe", "LoRATextRecipe", None),
    "magicface": ("magicface_recipe", "MagicFaceRecipe", None),
    "magicface-sd15": ("magicface_recipe", "MagicFaceRecipe", "sd15"),
    "regressor": ("regressor_recipe", "RegressorRecipe", None),
    "siamese": ("siamese_recipe", "SiameseRecipe", None),
    "wplus": ("wplus_recipe", "WPlusRecipe", None),
    "vq-auface": ("vqauface_recipe", "VQAUFaceRecipe", None),
    "vq-auface-codec": ("vqauface_codec_recipe", "VQAUFaceCodecRecipe", None),
}


@dataclass(frozen=True)
class ChosenRecipe:
    """A recipe with everything chosen. given: the options that somebody named, of all."""

    make: type
    settings: Settings
    options: Any
    given: Mapping[str, Any]

    def open(self, data: list[Path]) -> Recipe:
        """The recipe on folders of faces; loads its networks."""
        return self.make(data, self.options)


def choose(name: str, changes: Mapping[str, Any]) -> ChosenRecipe:
    """The recipe of a name with changes to its settings and options; None leaves the default.

    Defaults are the recipe's, then those of the base's family. ValueError, in the words of the
    command line, for a name, an option or a value that cannot be.
    """
    make, promised = find_recipe(name)
    named = {k: v for k, v in changes.items() if v is not None}
    _check_names(name, make, named, promised)
    suited = _suited_to_base(name, make, named, promised)
    loop, own = _parted(suited)
    asked, given = _parted(named)
    settings = replace(make.settings, **loop)
    # Where nobody asked, warm-up and decay take no more than their share of fewer steps.
    if isinstance(steps := asked.get("steps"), int):
        for part, most in (("warmup_steps", steps // 20), ("decay_steps", steps // 4)):
            asked.setdefault(part, min(most, getattr(settings, part)))
    settings = replace(settings, **asked)
    own = {k: v for k, v in own.items() if k in _options(make)}
    return ChosenRecipe(make, settings, make.Options(**own | given), given)


def _parted(named: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Settings of the loop, and options of the recipe."""
    loop = {name: value for name, value in named.items() if name in LOOP}
    return loop, {name: value for name, value in named.items() if name not in LOOP}


def find_recipe(name: str) -> tuple[type, str | None]:
    """The class of a recipe, and the base family that its name promises; a ValueError names all."""
    if name not in RECIPES:
        raise ValueError(f"recipe {name!r} is not known: choose one of {', '.join(RECIPES)}")
    file, class_name, family = RECIPES[name]
    return getattr(import_module(f".{file}", __package__), class_name), family


def _options(make: type) -> dict[str, Field]:
    return {field.name: field for field in fields(make.Options)}


def _check_names(recipe: str, make: type, named: Mapping[str, Any], promised: str | None) -> None:
    """ValueError, in the words of the command line, for options too many or too few."""
    options = _options(make)
    if unknown := sorted(set(named) - set(options) - LOOP):
        known = ", ".join(sorted({*options, *LOOP}))
        raise ValueError(f"recipe {recipe} has no setting {unknown[0]!r}; it has {known}")
    required = [n for n, field in options.items() if field.default is MISSING]
    for needed in (*required, *(["base"] if promised else [])):
        if needed not in named:
            raise ValueError(f"recipe {recipe} needs a folder: --set {needed}=FOLDER")


def _suited_to_base(
    recipe: str, make: type, named: Mapping[str, Any], promised: str | None
) -> Mapping[str, Any]:
    """What the family of the chosen base has instead of the recipe's own defaults."""
    if "base" not in _options(make):
        return {}
    family = find_family(named.get("base") or demo_folder())
    if promised not in (None, family.name):
        raise ValueError(
            f"recipe {recipe} is not for {named['base']}, which is {family.title}: --recipe "
            f"{recipe.removesuffix(f'-{promised}')} takes what suits any base"
        )
    return family.recipe_defaults.get(recipe.removesuffix(f"-{family.name}"), {})
