"""Estimators of Action Units behind one small interface."""

from __future__ import annotations

from .base import Estimator, read_set

__all__ = ["Estimator", "read_set"]
