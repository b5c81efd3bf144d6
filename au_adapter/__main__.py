"""`python -m au_adapter`: the command line."""

from .cli import main

main(prog_name="au-adapter")
