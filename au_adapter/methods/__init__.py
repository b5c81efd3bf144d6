"""How faces get made: one file a method, behind two verbs.

    generator = open_generator("au-adapter", steps=30)
    pictures = generator.draw("a portrait of a man", 7, AUVector.parse("6C+12D"))

    photo = read_picture("photo.jpg")
    editor = open_editor("magicface", steps=30)
    edited = editor.open(photo).edit(AUVector.parse("12C"), seed=1)

A method of your own: MODULE:FUNCTION instead of a name, see `method`.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from ..load_object import load_object
from .method import Editor, Generator, OnStep, OpenPhoto

__all__ = [
    "EDITORS", "GENERATORS", "Editor", "Generator", "OnStep", "OpenPhoto", "open_editor",
    "open_generator",
]  # fmt: skip

# Name -> the function that opens it; its keyword arguments are the method's options.
GENERATORS = {
    "au-adapter": "au_adapter.methods.adapter_generator:open_adapter",
    "words": "au_adapter.methods.words_generator:open_words",
    "base": "au_adapter.methods.base_generator:open_base",
    "vq-auface": "au_adapter.methods.vqauface_generator:open_vqauface_generator",
    "lora-text": "au_adapter.methods.baselines:open_lora_text",
    "lora-au": "au_adapter.methods.baselines:open_lora_au",
    "dreambooth": "au_adapter.methods.baselines:open_dreambooth",
}
EDITORS = {
    "magicface": "au_adapter.methods.magicface_editor:open_magicface",
    "au-adapter-sdedit": "au_adapter.methods.adapter_sdedit:open_sdedit",
    "aueditnet": "au_adapter.methods.aueditnet_editor:open_aueditnet",
    "vq-auface": "au_adapter.methods.vqauface_editor:open_vqauface",
}


def open_generator(name: str = "au-adapter", **options: Any) -> Generator:
    """A method that draws faces from text: a name in GENERATORS, or MODULE:FUNCTION.

    options: the method's own, such as model, adapter, steps, guidance, device ("cuda:0"), half (16
    bits instead of 32). Nothing is downloaded. ValueError for an unknown name or option,
    FileNotFoundError for files that are not there.
    """
    return _opened(name, options, GENERATORS, "generator", "draw")


def open_editor(name: str = "magicface", **options: Any) -> Editor:
    """A method that edits photos: a name in EDITORS, or MODULE:FUNCTION; see `open_generator`."""
    return _opened(name, options, EDITORS, "editor", "open")


def _opened(
    name: str, options: Mapping[str, Any], known: Mapping[str, str], kind: str, verb: str
) -> Any:
    if name not in known and ":" not in name:
        raise ValueError(
            f"There is no {kind} '{name}': choose {', '.join(known)}, or give MODULE:FUNCTION"
        )
    function = load_object(known.get(name, name))
    _check_options(name, function, options)
    method = function(**options)
    if not hasattr(method, verb):
        raise ValueError(f"What {name} returns is no {kind}: it has no {verb}(...)")
    return method


def _check_options(name: str, function: Any, options: Mapping[str, Any]) -> None:
    """ValueError naming the options that a method does not take."""
    parameters = inspect.signature(function).parameters.values()
    taken = [p.name for p in parameters if p.kind is not p.VAR_KEYWORD]
    if len(taken) < len(parameters):
        if not hasattr(function, "settings_of"):
            return
        taken += [field.name for field in fields(function.settings_of) if field.name not in taken]
    if unknown := [option for option in options if option not in taken]:
        raise ValueError(
            f"The method '{name}' takes no {', '.join(unknown)}; its options are "
            f"{', '.join(taken) or 'none'}"
        )
