"""The change from one expression to another, by region and by share."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from au_adapter import AUVector
from au_adapter.facs import REGIONS, SET_A, UNITS, change_of_aus

PHOTO, TARGET = AUVector.parse("1B+6C+12D"), AUVector.parse("4C+12A+25B")
vectors = st.lists(st.floats(0, 5, width=32), min_size=12, max_size=12).map(
    lambda values: AUVector(SET_A, torch.tensor([values]))
)


@given(vectors, vectors)
def test_the_photo_and_the_change_make_the_target(photo: AUVector, target: AUVector) -> None:
    arrived = photo + change_of_aus(photo, target)
    torch.testing.assert_close(arrived.dense(), target.dense())
    assert not (photo + change_of_aus(photo)).dense().any()


@given(vectors, vectors)
def test_upper_and_lower_face_make_the_whole(photo: AUVector, target: AUVector) -> None:
    parts = [change_of_aus(photo, target, region) for region in ("upper face", "lower face")]
    assert torch.equal((parts[0] + parts[1]).dense(), change_of_aus(photo, target).dense())


def test_a_change_in_numbers() -> None:
    assert change_of_aus(PHOTO).dict() == {"1": -2, "6": -3, "12": -4}
    assert change_of_aus(PHOTO, TARGET, strength=0.5).dict() == {
        **{"1": -1, "4": 1.5, "6": -1.5, "12": -1.5, "25": 1}
    }
    assert change_of_aus(PHOTO, TARGET, "upper face").dict() == {"1": -2, "4": 3, "6": -3}
    assert change_of_aus(PHOTO, TARGET, "brows").dict() == {"1": -2, "4": 3}
    assert change_of_aus(PHOTO, TARGET, "mouth and jaw").dict() == {"12": -3, "25": 2}
    assert change_of_aus(PHOTO, PHOTO).dict() == change_of_aus(PHOTO, strength=0).dict() == {}


def test_sides_are_one_unless_asked_for() -> None:
    crooked = AUVector.parse("L12D+R12B+1A")
    assert change_of_aus(crooked).dict() == {"1": -1, "12": -3}
    assert change_of_aus(crooked, sides_apart=True).dict() == {"1": -1, "L12": -4, "R12": -2}


def test_one_goes_with_many() -> None:
    many = AUVector.stack([PHOTO, TARGET])
    assert [change_of_aus(many, TARGET).dict(face) for face in (0, 1)] == [
        change_of_aus(PHOTO, TARGET).dict(),
        {},
    ]
    assert len(change_of_aus(many)) == len(change_of_aus(PHOTO, many)) == 2
    with pytest.raises(ValueError, match="3 faces cannot be combined with 2"):
        change_of_aus(many, AUVector.stack([PHOTO] * 3))


def test_regions_are_those_of_facs() -> None:
    upper, lower = REGIONS["upper face"], REGIONS["lower face"]
    assert {1, 2, 4, 5, 6, 7, 43} <= {*upper} and {9, 10, 12, 15, 17, 20, 25, 26} <= {*lower}
    assert sorted(upper + lower) == sorted(UNITS) == sorted(REGIONS["all"])
    placed = {
        number for name, numbers in REGIONS.items() if " face" not in name for number in numbers
    }
    assert placed == {*UNITS} and {*SET_A} <= {n for p in list(REGIONS)[3:] for n in REGIONS[p]}


def test_a_region_without_units_of_the_vector_changes_nothing() -> None:
    assert change_of_aus(AUVector.parse("12D"), region="brows").dict() == {}
    with pytest.raises(ValueError, match="no region 'ears'; expected one of all, upper face"):
        change_of_aus(PHOTO, region="ears")
