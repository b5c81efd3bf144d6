"""Figures about the product, each with a baseline in the same run: `python -m benchmarks NAME`."""
