"""The change of AUs from one expression to another, as models that edit photos take it."""

from __future__ import annotations

from .units import REGIONS
from .vector import AUVector


def change_of_aus(
    photo: AUVector,
    target: AUVector | None = None,
    region: str = "all",
    strength: float = 1.0,
    sides_apart: bool = False,
) -> AUVector:
    """Target minus photo, N faces: what takes the one expression to the other.

    photo, target: AUs as an estimator reads them, of as many faces each, or one of them of one. No
    target is the relaxed face. region: a name of `REGIONS`; AUs elsewhere do not change. strength:
    the share of the way, 1 arrives. sides_apart: keep the sides, of which otherwise the mean
    counts. ValueError for an unknown region, or numbers of faces that do not fit.
    """
    if region not in REGIONS:
        raise ValueError(f"there is no region {region!r}; expected one of {', '.join(REGIONS)}")
    whole = (AUVector.zeros(photo.units) if target is None else target) - photo
    here = tuple(number for number in whole.units if number in REGIONS[region])
    part = whole.select(here, strict=False) if here else AUVector.zeros(whole.units, len(whole))
    change = part.select(whole.units) * strength
    return change if sides_apart else AUVector(change.units, change.values)
