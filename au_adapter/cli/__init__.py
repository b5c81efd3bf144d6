"""The command line: `au-adapter VERB`, also `python -m au_adapter VERB`. One file a verb.

Each verb imports what it needs when it runs, so that `--help` is quick and a missing extra is
named by the verb that asked for it.
"""

from . import (  # noqa: F401
    calibrate,
    convert,
    demo,
    download,
    draw,
    edit,
    estimate,
    evaluate,
    prepare,
    render,
    text,
    train,
)
from .verb import main

__all__ = ["main"]
