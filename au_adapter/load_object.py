"""Objects by name: MODULE:FUNCTION, how people bring estimators, methods and networks of theirs."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def load_object(name: str) -> Any:
    """What MODULE:NAME means. ValueError where the module or the name in it does not exist."""
    module, _, attribute = name.partition(":")
    try:
        found = getattr(import_module(module), attribute, None) if attribute else None
    except ModuleNotFoundError as error:
        if not f"{module}.".startswith(f"{error.name}."):  # a package that the module asks for
            raise
        found = None
    if found is None:
        raise ValueError(
            f"There is no function '{name}': give MODULE:FUNCTION, a module that Python finds and "
            "a function in it"
        )
    return found
