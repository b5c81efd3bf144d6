"""Recipes: each file names a network, its loss and its data; au_adapter.training.run lists them by name."""
