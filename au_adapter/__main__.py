"""`python -m au_adapter` is the command `au-adapter`."""

from au_adapter.cli import main

if __name__ == "__main__":
    main()
