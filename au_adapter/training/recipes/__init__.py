"""Recipes: each file brings a network, its loss and its data; training/run.py names them all."""
