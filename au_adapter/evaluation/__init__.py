"""Evaluation: readers of AUs and numbers about what was asked for and what is seen."""
