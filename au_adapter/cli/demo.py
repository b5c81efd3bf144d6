"""`au-adapter demo`: faces that follow their AU values, in a real ComfyUI."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click

from .verb import PATH, verb

ROOT = Path(__file__).parents[2]


@verb
@click.option("--output", type=PATH, default="demo")
def demo(output: Path) -> None:
    """Show faces that follow their AU values, made by a real ComfyUI."""
    if not (ROOT / "tools" / "run_demo.py").is_file():
        raise FileNotFoundError(
            f"The demo needs a clone of the project, {ROOT} is an installed copy: clone the "
            "repository and run `make demo` there"
        )
    command = [sys.executable, "-m", "tools.run_demo", "--output", str(output.absolute())]
    code = subprocess.call(command, cwd=ROOT)
    if code:
        raise SystemExit(code)
