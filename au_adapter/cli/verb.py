"""What a verb of `au-adapter` is: a function that ends in a result, or in one sentence."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType

import click

from .. import __version__

LOGGER = logging.getLogger("au_adapter")
PATH = click.Path(path_type=Path)
# Which extra of pyproject.toml brings a package.
TRAIN = ("accelerate", "av", "diffusers", "peft", "torchvision", "transformers")
EXTRAS = {
    **dict.fromkeys(TRAIN, "train"),
    "moderngl": "render",
    "matplotlib": "eval",
}
# What a person can mend; anything else is a bug and keeps its traceback.
USER_ERRORS = (ValueError, OSError, RuntimeError, MemoryError)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.version_option(__version__, package_name="au-adapter")
@click.option("--verbose", is_flag=True, help="Say more, and where an error happened.")
def main(verbose: bool) -> None:
    """Facial expression under muscle-level control, by FACS Action Units."""
    logging.basicConfig(format="%(message)s")
    LOGGER.setLevel(logging.DEBUG if verbose else logging.INFO)


def verb(function: Callable) -> Callable:
    """Register a function as a verb; its ValueError and the like end in one sentence."""

    @functools.wraps(function)
    def guarded(*arguments: object, **options: object) -> None:
        try:
            function(*arguments, **options)
        except BrokenPipeError:  # whoever read our output has enough; click knows what to do
            raise
        except USER_ERRORS as error:
            LOGGER.debug("It happened here:", exc_info=True)
            raise click.ClickException(str(error)) from error
        except ModuleNotFoundError as error:
            raise with_extra(error) from error

    return main.command()(guarded)


def load(module: str) -> ModuleType:
    """Import a module of the library. An optional package that is missing is named with its
    extra, in one sentence."""
    try:
        return import_module(f"au_adapter.{module}")
    except ModuleNotFoundError as error:
        raise with_extra(error) from error


def with_extra(error: Exception) -> Exception:
    """The sentence for an optional package that is missing; any other error as it is."""
    package = ((isinstance(error, ModuleNotFoundError) and error.name) or "").partition(".")[0]
    if package not in EXTRAS:
        return error
    return click.ClickException(
        f"This needs the package {package}. Install it with: "
        f'pip install "au-adapter[{EXTRAS[package]}]"'
    )
