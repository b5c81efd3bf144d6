"""Keyframes against values computed by hand."""

from __future__ import annotations

import json

import pytest
import torch

from au_adapter import AUVector
from au_adapter.facs.keyframes import EASINGS, Keyframe, Keyframes

SMILE = "0:\n4: 12D"


def curve(text: str, frames: int, unit: int = 12, **options: object) -> list[float]:
    return Keyframes.parse(text).vector(frames, **options).dense((unit,))[:, 0].tolist()


def test_straight_between_and_flat_outside() -> None:
    assert curve("2: 12B\n4: 12D", 7) == [2, 2, 2, 3, 4, 4, 4]


@pytest.mark.parametrize(
    ("easing", "expected"),
    [
        ("linear", [0, 1, 2, 3, 4]),
        ("hold", [0, 0, 0, 0, 4]),
        ("ease-in", [0, 4 / 64, 4 / 8, 4 * 27 / 64, 4]),
        ("ease-out", [0, 4 * 37 / 64, 4 * 7 / 8, 4 * 63 / 64, 4]),
        ("ease-in-out", [0, 4 * 4 / 64, 2, 4 * 60 / 64, 4]),
    ],
)
def test_easings(easing: str, expected: list[float]) -> None:
    for text in (f"0: {easing}\n4: 12D", SMILE):
        found = Keyframes.parse(text, easing).vector(5).dense((12,))[:, 0].tolist()
        assert found == pytest.approx(expected)


@pytest.mark.parametrize("easing", [name for name in EASINGS if name != "hold"])
def test_an_easing_goes_from_0_to_1_without_turning(easing: str) -> None:
    values = [EASINGS[easing](i / 100) for i in range(101)]
    assert values[0] == 0 and values[-1] == 1 and values == sorted(values)


def test_a_line_may_name_its_own_easing() -> None:
    text = "0: 12B hold\n2: 12D\n4: 12B"
    assert curve(text, 5) == [2, 2, 4, 3, 2]


def test_units_and_sides_of_all_keyframes() -> None:
    vector = Keyframes.parse("0: 6C\n2: L12D").vector(3)
    assert vector.units == (6, 12)
    assert vector.dict(1) == {"6": 1.5, "L12": 2.0}


def test_a_keyframe_behind_the_end_is_on_the_way() -> None:
    assert curve("0:\n10: 12E", 3) == [0, 0.5, 1]


def test_weights_scale_each_frame() -> None:
    assert curve(SMILE, 5, weights=[1, 1, 0.5, 0, -1]) == [0, 1, 1, 0, -4]
    assert curve(SMILE, 5, weights=[2.0]) == [0, 2, 4, 6, 8]


@pytest.mark.parametrize(("frames", "weights"), [(5, [1, 1]), (1, [1, 1]), (5, []), (0, [])])
def test_another_number_of_weights_is_refused(frames: int, weights: list[float]) -> None:
    with pytest.raises(ValueError, match=f"{len(weights)} weights for {frames} frames"):
        Keyframes.parse(SMILE).vector(frames, weights)


def test_lines_in_any_order_with_empty_ones_between() -> None:
    assert curve("\n4 : 12D\n\n  0:12A\n", 5)[::4] == [1, 4]


def test_json_both_ways() -> None:
    keys = Keyframes.parse("0: L4B hold\n7: 6:0.1+12:-5 ease-in")
    assert json.loads(keys.to_json())["schema"] == 1
    again = Keyframes.parse(keys.to_json(), "ease-out")
    assert again == keys
    assert again.vector(9) == keys.vector(9)


def test_short_json() -> None:
    short = Keyframes.parse('{"0": "", "2": {"12": 4, "L6": 1}}')
    assert short.vector(3).dict(1) == {"L6": 0.5, "12": 2.0}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "no keyframes: write"),
        ("smile", "line 1 of the keyframes is 'smile': write"),
        ("0: 12A\n-3: 12B", "line 2 .*'-3: 12B'"),
        ("0: 99A", "keyframe at 0: .*99"),
        ("0: 12A bounce", "keyframe at 0: .*'BOUNCE'"),
        ("0: 12A\n00: 12B", "frame 0 has two keyframes"),
        ('{"0": ', "not JSON"),
        ('{"zero": "12A"}', "keyframe at zero: write the number of a frame"),
        ('{"0": 3}', "keyframe at 0 is 3: write FACS notation"),
        ('{"0": null}', "keyframe at 0 is None: write FACS notation"),
        ('{"schema": 2, "keyframes": []}', "schema 2"),
        ('{"schema": 1, "keyframes": [{"frame": 0}]}', "keyframes in JSON are"),
        ('{"keyframes": [{"frame": -1, "aus": {}}]}', "not at -1"),
        ('{"keyframes": [{"frame": 0.5, "aus": {}}]}', "not at 0.5"),
        ('{"keyframes": [{"frame": 0, "aus": {}, "easing": "jump"}]}', "'jump'; known are linear"),
    ],
)
def test_bad_input_is_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Keyframes.parse(text)


def test_a_keyframe_holds_one_face() -> None:
    with pytest.raises(ValueError, match="2 faces; it needs one"):
        Keyframe(0, AUVector((12,), torch.zeros(2, 1)))
