"""Start a recipe by name: `au-adapter train --recipe NAME --data DATA --steps N --output DIR`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from inspect import Parameter, signature
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from ..estimators import Estimator
from ..evaluation.shell import estimator_of
from ..processes import launched_processes
from .errors import checked, explained
from .follow import LOCK
from .loop import Trainer
from .progress import quiet
from .recipe import Report
from .settings import Settings, require_switch
from .sources import data_card, find_faces
from .validation import Estimate, validation_for

RECIPES = {
    "demo-autoencoder": ("autoencoder_recipe", "AutoencoderRecipe"),
    "demo-base": ("base_recipe", "BaseRecipe"),
    "dreambooth": ("dreambooth_recipe", "DreamBoothRecipe"),
    "estimator": ("estimator_recipe", "EstimatorRecipe"),
    "fineface": ("fineface_recipe", "FineFaceRecipe"),
    "fineface-sd15": ("fineface_sd_recipe", "FineFaceSD15Recipe"),
    "fineface-sd21": ("fineface_sd_recipe", "FineFaceSD21Recipe"),
    "lora-au": ("lora_recipe", "LoRAAURecipe"),
    "lora-text": ("lora_recipe", "LoRATextRecipe"),
    "magicface": ("magicface_recipe", "MagicFaceRecipe"),
    "regressor": ("regressor_recipe", "RegressorRecipe"),
}


SWITCHES = ("bool", "bool | None")  # how a recipe writes down what is true or false
WAIT = 120  # seconds for another run in the same folder to end
DESCRIBED = ("folder", "faces", "uneven", "captioned", "steps")  # of a data card, for `report`


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
    estimate: Estimate | Estimator | str | None = None,
    report: Report = quiet,
    **changes: object,
) -> Path:
    """Train a recipe on labelled faces, see `sources`; resumes when output holds a state.

    changes replaces fields of the recipe's Settings (steps, batch_size, ...) by name; those that
    Settings does not have go to the recipe (base=, smoothing=, ...), and None leaves the default.
    estimate: reads AUs off pictures for validate_every, or the name of an estimator, see
    `estimator_of`; default the regressor beside a demo base. report: hears what happens, see
    `progress`. Returns the result folder. A full disk is an OSError and no memory left a
    MemoryError, which say what to do.
    """
    make, settings = find_recipe(recipe)
    chosen = {k: v for k, v in changes.items() if v is not None}
    fields = {k: chosen.pop(k) for k in list(chosen) if k in Settings.__dataclass_fields__}
    settings = replace(settings, **_fitting(settings, fields))
    torch.manual_seed(settings.seed)  # the networks start from the seed too
    _check_keywords(recipe, make, chosen)
    if isinstance(estimate, str):
        estimate = estimator_of(estimate, {})
    processes = launched_processes()
    if not processes.is_main_process:
        report = quiet
    with explained(Path(output)), _alone(Path(output), report):
        with processes.main_process_first():
            faces = [find_faces(d, Path(output)) for d in data]
        cards = _cards(faces, data) if processes.is_main_process else []  # it tells and saves
        for card in cards:
            report({"event": "data", **{name: card[name] for name in DESCRIBED}})
        made = make(faces, **chosen)
        validate = None
        if settings.validate_every:
            validate = checked(validation_for(made, estimate), Path(output), report)
        about = {"recipe": recipe, "options": _named(chosen), "data": cards}
        Trainer(made, settings, Path(output), validate, report, about).run()
    return Path(output) / "result"


def _fitting(settings: Settings, fields: dict[str, Any]) -> dict[str, Any]:
    """The fields that are changed; warm-up and decay, where nobody chose them, take no more than
    their share of fewer steps."""
    if not isinstance(steps := fields.get("steps", 0), int):
        return fields
    shares = {"warmup_steps": steps // 20, "decay_steps": steps // 4} if steps else {}
    return {n: min(most, getattr(settings, n)) for n, most in shares.items()} | fields


def _cards(faces: list[Path], data: list[str | Path]) -> list[dict]:
    """The data card of each folder, under the name that was given."""
    named = [Path(d).name for d in data]
    return [data_card(f) | {"folder": n} for f, n in zip(faces, named, strict=True)]


def _named(options: dict[str, Any]) -> dict[str, Any]:
    """The recipe's options that were chosen, files by their names: folders are of one machine."""
    return {
        name: Path(value).name if isinstance(value, Path | str) else value
        for name, value in options.items()
    }


@contextmanager
def _alone(output: Path, report: Report) -> Iterator[None]:
    """No other run works in the folder meanwhile: one that was just stopped is still saving.

    RuntimeError when it does not end.
    """
    output.mkdir(parents=True, exist_ok=True)
    lock = FileLock(output / LOCK)
    if launched_processes().is_main_process:
        _acquire(lock, output, report)
    try:
        yield
    finally:
        lock.release()


def _acquire(lock: FileLock, output: Path, report: Report) -> None:
    try:
        lock.acquire(timeout=0)
    except Timeout:
        report({"event": "waiting"})
        try:
            lock.acquire(timeout=WAIT)
        except Timeout as error:
            raise RuntimeError(
                f"another training works in {output}: wait for its end, or choose another folder"
            ) from error


def _check_keywords(recipe: str, make: type, chosen: dict[str, object]) -> None:
    """A ValueError, in the words of the command line, for settings too many or too few."""
    own = signature(make.__init__).parameters
    parameters: dict[str, Parameter] = {}
    for each in reversed(make.__mro__[:-1]):
        parameters |= signature(each.__init__).parameters
    known = set(parameters) - {"self", "data", "keywords"}
    if unknown := sorted(set(chosen) - known):
        settings = sorted(known | set(Settings.__dataclass_fields__))
        raise ValueError(
            f"recipe {recipe} has no setting {unknown[0]!r}; it has {', '.join(settings)}"
        )
    for name, value in chosen.items():
        if parameters[name].annotation in SWITCHES:
            require_switch(name, value)
    needed = [n for n in known & set(own) if own[n].default is Parameter.empty]
    if missing := sorted(set(needed) - set(chosen)):
        raise ValueError(f"recipe {recipe} needs a folder: --set {missing[0]}=FOLDER")
