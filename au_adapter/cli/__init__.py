"""The command line: `au-adapter VERB`, also `python -m au_adapter VERB`. One file a verb.

Each verb imports what it needs when it runs, so that `--help` is quick and a missing extra is
named by the verb that asked for it.
"""

# isort: off
from . import calibrate, convert, demo, download, draw, edit  # noqa: F401
from . import estimate, evaluate, prepare, render, text, train  # noqa: F401
from .verb import main

__all__ = ["main"]
