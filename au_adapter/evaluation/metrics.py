"""The old import path of `au_adapter.metrics`, kept for scripts."""

from ..metrics import *  # noqa: F403
from ..metrics import __all__  # noqa: F401
