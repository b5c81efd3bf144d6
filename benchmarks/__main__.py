"""`python -m benchmarks [NAME ...]`: run the named benchmarks, or all, into benchmarks/results/.

Those that need a GPU or hours run only when named.
"""

from __future__ import annotations

import sys
from importlib import import_module

import click

NAMES = (
    "alternation",
    "aueditnet_cost",
    "aueditnet_tables",
    "au_range",
    "au_response",
    "calibration",
    "cost",
    "estimator",
    "face_reader",
    "full_size",
    "landmarker",
    "magicface_cost",
    "magicface_quality",
    "train_proof",
)
ONLY_NAMED = ("aueditnet_tables", "full_size", "train_proof")


def main(names: list[str]) -> None:
    """Run each benchmark's main. Raises SystemExit naming the choices for an unknown name."""
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        raise SystemExit(f"no benchmark named {', '.join(unknown)}: choose from {', '.join(NAMES)}")
    for name in names or [name for name in NAMES if name not in ONLY_NAMED]:
        main = import_module(f"benchmarks.{name}").main
        main([], standalone_mode=False) if isinstance(main, click.Command) else main()


if __name__ == "__main__":
    main(sys.argv[1:])
