"""AUVector: sides, arithmetic, selection, JSON."""

from __future__ import annotations

import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from test_facs_notation import faces, unhurried

from au_adapter import AUVector
from au_adapter.facs import ALL_UNITS, SET_A

vectors = st.lists(faces(), min_size=1, max_size=3).map(
    lambda items: AUVector.stack([AUVector.from_dict(item) for item in items])
)


def test_values_stand_under_their_units() -> None:
    vector = AUVector.parse("6C+12D", units=SET_A)
    assert vector.units == SET_A and vector.values.shape == (1, 12) and len(vector) == 1
    assert vector.values.dtype == torch.float32
    assert vector.dict() == {"6": 3.0, "12": 4.0} and vector.notation() == "6C+12D"


def test_units_default_to_those_named_and_to_set_a() -> None:
    assert AUVector.parse("12D+6").units == (6, 12)
    assert AUVector.parse("").units == SET_A


def test_sides_are_apart_and_their_mean_is_the_value() -> None:
    vector = AUVector.from_dict({12: 3.0, "L4": 2})
    assert vector.left.tolist() == [[2, 3]] and vector.right.tolist() == [[0, 3]]
    assert vector.values.tolist() == [[1, 3]]
    assert vector.dict() == {"L4": 2.0, "12": 3.0}


def test_a_vector_does_not_follow_changes_of_the_tensor_it_was_made_from() -> None:
    values = torch.zeros(1, 12)
    vector = AUVector(SET_A, values)
    values += 1
    assert not vector.values.any()


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf"), 1e39])
def test_numbers_must_be_finite(bad: float) -> None:
    with pytest.raises(ValueError, match="AU2 .* must be finite"):
        AUVector(units=(1, 2), values=torch.tensor([[0.0, bad]]))
    with pytest.raises(ValueError, match="finite"):
        AUVector.from_dict({12: bad})


@pytest.mark.parametrize("units", [(), (1, 1), (3,), (45,)])
def test_units_must_exist_once(units: tuple[int, ...]) -> None:
    with pytest.raises(ValueError):
        AUVector.zeros(units)


def test_shapes_are_checked() -> None:
    with pytest.raises(ValueError, match=r"\[12\]; expected \[faces, 12\]"):
        AUVector(SET_A, torch.zeros(12))
    with pytest.raises(ValueError, match="together"):
        AUVector((1,), torch.zeros(1, 1), left=torch.zeros(1, 1))
    with pytest.raises(ValueError, match="left has 1 faces and right 2"):
        AUVector((1,), torch.zeros(1, 1), torch.zeros(1, 1), torch.zeros(2, 1))


@pytest.mark.parametrize(
    "values", [{12: 1, "AU12": 2}, {12: 1, "L12": 2}, {"12C": 1}, {12: "3"}, {12: True}, {"T23": 1}]
)
def test_from_dict_refuses(values: dict) -> None:
    with pytest.raises(ValueError):
        AUVector.from_dict(values)


def test_naming_a_unit_that_is_not_in_use() -> None:
    with pytest.raises(ValueError, match="AU7 not among"):
        AUVector.parse("7+12", units=SET_A)


def test_selection_reorders_and_refuses_to_lose() -> None:
    vector = AUVector.parse("6C+12D+L4B")
    chosen = vector.select((12, 1, 4, 6))
    assert chosen.values.tolist() == [[4, 0, 1, 3]] and chosen.left.tolist() == [[4, 0, 2, 3]]
    with pytest.raises(ValueError, match="AU4 AU6 set"):
        vector.select((12,))
    assert vector.select((12,), strict=False).values.tolist() == [[4]]
    assert AUVector.zeros(ALL_UNITS).dense(SET_A).shape == (1, 12)


def test_arithmetic_joins_units_and_spreads_one_face() -> None:
    steps = AUVector((12,), torch.tensor([[0.0], [2.0], [4.0]]))
    total = AUVector.parse("6B") + steps
    assert total.units == (6, 12) and total.values.tolist() == [[2, 0], [2, 2], [2, 4]]
    assert (steps - steps) == AUVector.zeros((12,), 3)
    assert (0.5 * steps).values.flatten().tolist() == [0, 1, 2]
    assert AUVector((12,), torch.tensor([[-1.0], [7.0]])).clamp().values.tolist() == [[0], [5]]
    with pytest.raises(ValueError, match="3 faces cannot be combined with 2"):
        steps + AUVector.zeros((12,), 2)


def test_adding_a_side_keeps_the_other() -> None:
    total = AUVector.parse("12B") + AUVector.parse("L12A")
    assert total.dict() == {"L12": 3.0, "R12": 2.0}


def test_faces() -> None:
    vector = AUVector.stack([AUVector.parse("12A"), AUVector.parse("L4C")])
    assert vector.units == (12, 4) and len(vector) == 2
    assert vector.face(1).notation() == "L4C" and vector.face(-2).notation() == "12A"
    with pytest.raises(IndexError, match="Face 2"):
        vector.face(2)
    with pytest.raises(ValueError, match="empty"):
        AUVector.stack([])


@unhurried
@given(vectors)
def test_json_is_the_identity(vector: AUVector) -> None:
    assert AUVector.from_json(vector.to_json()) == vector
    assert AUVector.from_json(json.loads(vector.to_json())) == vector
    assert hash(AUVector.from_json(vector.to_json())) == hash(vector)


@unhurried
@given(vectors)
def test_notation_is_the_identity(vector: AUVector) -> None:
    for index in range(len(vector)):
        face = vector.face(index)
        again = AUVector.parse(face.notation(), units=vector.units)
        assert torch.equal(again.values, face.values) and again.dict() == face.dict()


@unhurried
@given(vectors, vectors, st.floats(0, 1))
def test_lerp_and_arithmetic_agree(a: AUVector, b: AUVector, t: float) -> None:
    a, b = a.face(0), b.face(0)
    between = a.lerp(b, t)
    torch.testing.assert_close(between.values, (a + (b - a) * t).values, rtol=0, atol=1e-4)
    assert a.lerp(b, 0).dict() == a.dict()


def test_json_by_hand_and_without_faces() -> None:
    assert AUVector.from_json('{"12": 3, "L4": 0.5}') == AUVector.parse("12:3+L4:0.5")
    empty = AUVector.zeros(SET_A, 0)
    assert AUVector.from_json(empty.to_json()) == empty


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not JSON"),
        ("6C+12D", "not JSON"),
        ("[1]", "an object, not list"),
        ('{"12": NaN}', "finite"),
        ('{"12": "3"}', "not a code and its intensity"),
        ('{"units": [12]}', '"faces"'),
        ('{"units": ["12"], "faces": []}', '"units"'),
        ('{"units": [12], "faces": [[3]]}', '"faces"'),
        ('{"units": [12], "faces": [{"6": 3}]}', "AU6 not among"),
        ('{"schema": 2, "units": [12], "faces": []}', "schema 2"),
    ],
)
def test_json_that_is_something_else(text: str, reason: str) -> None:
    with pytest.raises(ValueError) as caught:
        AUVector.from_json(text)
    assert reason in str(caught.value)
