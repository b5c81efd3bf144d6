"""Options of methods that several verbs share: which method, with what, read by which estimator."""

from __future__ import annotations

import ast
import functools
import json
from collections.abc import Callable
from typing import Any

import click

from .verb import PATH

FLAGS = (
    click.option("--model", type=PATH, help="A base: a diffusers folder or a checkpoint in one "
                 "file; default: bundled."),
    click.option("--steps", type=click.IntRange(1), help="Of the sampler; default: 20."),
    click.option("--guidance", type=float, help="Scale of CFG; default: the method's."),
    click.option("--strength", type=float, help="Of the adapter; default: 1."),
    click.option(
        "--start",
        type=click.FloatRange(0, 1),
        help="Share of the steps before the AUs act: later, a picture changes less; default: 0.",
    ),
    click.option("--batch", type=click.IntRange(1), help="Pictures at once; default: 8."),
    click.option("--device", help="Such as cuda:1; default: the GPU where there is one."),
    click.option("--half", is_flag=True, help="16 bits instead of 32."),
    click.option(
        "--set",
        "more",
        multiple=True,
        metavar="NAME=VALUE",
        help="Another option of the method, such as mask_rule='face only' of magicface.",
    ),
)  # fmt: skip
ADAPTER_FLAGS = (
    click.option("--adapter", type=PATH, help="An adapter file; default: the bundled one."),
    click.option("--calibrated", is_flag=True, help="Ask by the adapter's response curves."),
)
EDIT_FLAGS = (
    click.option("--edit-noise", type=float, help="SDEdit: share of a photo drawn anew; 0.6."),
)
ESTIMATOR = click.option(
    "--estimator",
    metavar="NAME|MODULE:FUNCTION",
    help="mesh, blendshapes or demo, or code that makes one; default: demo for the bundled model, "
    "else mesh.",
)


def method_options(*flags: Callable) -> Callable:
    """A decorator: FLAGS and further flags, of which those given are gathered as the keyword
    `options`."""
    chosen = (*FLAGS, *flags)

    def decorate(function: Callable) -> Callable:
        @functools.wraps(function)
        def gathered(**given: Any) -> None:
            found = {parameter.name: given.pop(parameter.name) for parameter in parameters}
            more = dict(map(setting, found.pop("more")))
            options = {k: v for k, v in found.items() if v is not None and v is not False}
            function(options={**options, **more}, **given)

        before = len(getattr(function, "__click_params__", ()))
        for option in reversed(chosen):
            gathered = option(gathered)
        parameters = gathered.__click_params__[before:][::-1]
        return gathered

    return decorate


def setting(text: str) -> tuple[str, Any]:
    """A name and its value: JSON such as 8, 1e-4 and true, or Python's True and .001, or else the
    text itself."""
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise ValueError(f"--set takes NAME=VALUE such as batch_size=16, found '{text}'")
    for read in (json.loads, ast.literal_eval):
        try:
            return name, read(value)
        except (ValueError, SyntaxError):
            continue
    return name, value
