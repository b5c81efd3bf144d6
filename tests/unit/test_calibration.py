"""Calibration: monotone curves, their inverse by hand, what is stored, and what it changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from tiny_unet import SD21, tiny_adapter, tiny_unet

from au_adapter import AUVector, load_adapter, save_adapter
from au_adapter.estimators.reading import Reading, ReadingSet
from au_adapter.evaluation.fit_calibration import (
    changes,
    fit_calibration,
    observations,
    sweep_vectors,
)
from au_adapter.models.adapter import AUAdapter
from au_adapter.models.calibration import Calibration, ResponseCurve
from au_adapter.weights.adapter_files import CALIBRATION_KEY, adapter_hash

# Answers from 1 on, half as much as asked for, and no more beyond 4.
CURVE = ResponseCurve((0, 1, 4, 6), (0.5, 0.5, 2.0, 2.0))


def readings(values: list[list[float] | None], units: tuple[int, ...]) -> ReadingSet:
    """One face a picture, None where it is not found."""
    faces = [
        Reading(i, 0, (0, 0, 9, 9), 0.9, AUVector(units, torch.tensor([row])))
        for i, row in enumerate(values)
        if row is not None
    ]
    return ReadingSet("by hand", len(values), tuple(faces))


def requests(curve: ResponseCurve, *wanted: float) -> list[float]:
    return curve.request(torch.tensor(wanted)).tolist()


def test_the_smallest_request_that_measures_it() -> None:
    assert requests(CURVE, 1.0, 1.25, 2.0) == [2.0, 2.5, 4.0]


def test_outside_what_was_measured() -> None:
    assert requests(CURVE, 2.1, 5.0, 9.0) == [4.0, 4.0, 4.0]  # most, at the smallest price
    assert requests(CURVE, 0.2, 0.5) == [0.0, 0.0]  # the face at rest shows this much
    assert requests(CURVE, 0.0, -2.0) == [0.0, -2.0]


def test_where_faces_differ_it_asks_for_what_is_least_wrong() -> None:
    """At r the mean is r and half of the faces measure 0, half 2 r: the error (r - w)^2 + r^2 is
    least at w / 2. Where all faces measure 3 at 4, that is as good for a 3."""
    torn = ResponseCurve((0, 2), (0, 2), (0, 2))
    assert requests(torn, 0.5, 1.0, 4.0) == [0.25, 0.5, 2.0]
    agreed = ResponseCurve((0, 2, 4), (0, 2, 3), (0, 2, 0))
    assert requests(agreed, 3.0) == [4.0]


def test_where_change_costs_it_asks_for_less() -> None:
    """The error (r - w)^2 + (r / 2)^2 is least at 0.8 w."""
    dear = ResponseCurve((0, 5), (0, 5), (), (0, 2.5))
    assert requests(dear, 1.0, 4.0) == pytest.approx([0.8, 3.2])


@given(
    rises=st.lists(st.floats(0, 2), min_size=2, max_size=6).filter(lambda r: sum(r[1:]) >= 0.51),
    spread=st.lists(st.floats(0, 2), min_size=6, max_size=6),
    cost=st.lists(st.floats(0, 2), min_size=6, max_size=6),
)
def test_no_other_request_is_less_wrong_and_more_never_means_less(
    rises: list[float], spread: list[float], cost: list[float]
) -> None:
    levels = np.arange(len(rises))
    wrong = (tuple(side[: len(rises)]) for side in (spread, cost))
    curve = ResponseCurve(tuple(levels), tuple(np.cumsum(rises)), *wrong)
    grid, wanted = np.linspace(0, levels[-1], 200), np.linspace(0.1, 8, 40)

    def errors(asked: np.ndarray) -> np.ndarray:
        mean, apart, dear = (
            np.interp(asked, levels, side) for side in (curve.measured, curve.spread, curve.cost)
        )
        return (mean - wanted[:, None]) ** 2 + apart**2 + dear**2

    asked = curve.request(torch.tensor(wanted)).numpy()
    assert (errors(asked[:, None])[:, 0] <= errors(grid[None]).min(1) + 1e-6).all()
    assert (np.diff(asked) >= -1e-4).all()


def test_an_au_that_does_not_respond_stays_as_asked_for() -> None:
    silent = ResponseCurve((0, 5), (1.0, 1.4))
    assert not silent.responds and requests(silent, 0.0, 3.0, 7.0) == [0.0, 3.0, 7.0]
    assert Calibration("x", {5: silent, 12: CURVE}).unresponsive() == [5]


@given(
    rises=st.lists(st.floats(0, 2), min_size=2, max_size=8).filter(lambda r: sum(r[1:]) >= 0.51),
    part=st.floats(0, 1),
)
def test_what_is_asked_for_measures_what_was_wanted(rises: list[float], part: float) -> None:
    measured = torch.tensor(rises, dtype=torch.float64).cumsum(0)
    curve = ResponseCurve(tuple(range(len(rises))), tuple(measured.tolist()))
    wanted = measured[0] + part * (measured[-1] - measured[0])
    asked = curve.request(wanted[None]).item()
    low = min(int(asked), len(rises) - 2)
    shown = torch.lerp(measured[low], measured[low + 1], torch.tensor(asked - low).double())
    # At rest already: nothing need be asked for.
    assert wanted <= 0 or shown.item() == pytest.approx(wanted.item(), abs=1e-4)


@pytest.mark.parametrize(
    ("asked", "seen"),
    [((0,), (0,)), ((0, 0), (0, 1)), ((0, 1), (1, 0)), ((0, 1), (0,)), ((0, 1), (0, float("nan")))],
)
def test_what_is_no_curve(asked: tuple, seen: tuple) -> None:
    with pytest.raises(ValueError, match="rising requests"):
        ResponseCurve(asked, seen)


@pytest.mark.parametrize("spread", [(0,), (0, -1), (0, float("inf"))])
def test_what_is_no_spread_and_no_cost(spread: tuple) -> None:
    with pytest.raises(ValueError, match="spreads and costs of 0 or more"):
        ResponseCurve((0, 1), (0, 1), spread)
    with pytest.raises(ValueError, match="spreads and costs of 0 or more"):
        ResponseCurve((0, 1), (0, 1), (), spread)


def test_a_sweep_of_every_unit() -> None:
    sweep = sweep_vectors((4, 12), (0, 1, 3))
    assert [sweep.dict(i) for i in range(len(sweep))] == [
        {}, {"4": 1.0}, {"4": 3.0}, {"12": 1.0}, {"12": 3.0},
    ]  # fmt: skip


def test_violators_are_pooled() -> None:
    """At 1 twice 2, at 2 once 0.5: the mean of the three, 1.5, serves both."""
    asked = AUVector((12,), torch.tensor([[0.0], [1], [1], [2], [3]]))
    seen = readings([[0.0], [2], [2], [0.5], [4]], (12,))
    curve = fit_calibration(asked, seen).curves[12]
    assert curve.requested == (0, 1, 2, 3) and curve.measured == (0, 1.5, 1.5, 4)
    assert curve.spread == (0, 0, 0, 0)  # both faces measured 2


def test_faces_that_differ_are_a_spread() -> None:
    asked = AUVector((12,), torch.tensor([[0.0], [2], [0], [2]]))
    curve = fit_calibration(asked, readings([[0.0], [1], [0], [3]], (12,))).curves[12]
    assert curve == ResponseCurve((0, 2), (0, 2), (0, 1))


def test_change_is_measured_beside_the_face_at_rest_before_it() -> None:
    """Two faces, one after the other, AU4 the same in all: 0.1 and 0.3 away from their own rest."""
    asked = AUVector((4, 12), torch.tensor([[2.0, 0], [2, 3], [2, 0], [2, 3], [2, 5]]))
    greys = torch.tensor([0.2, 0.3, 0.5, 0.8, 0.5])
    pictures = greys.reshape(5, 1, 1, 1).expand(-1, 8, 6, 3)
    assert changes(asked, pictures).tolist() == pytest.approx([0, 0.1, 0, 0.3, 0], abs=1e-6)


def test_change_needs_a_face_at_rest_and_all_pictures() -> None:
    asked = AUVector((12,), torch.tensor([[1.0], [3.0]]))
    with pytest.raises(ValueError, match=r"first asks for {'12': 1.0}\. Let the sweep begin at 0"):
        changes(asked, torch.zeros(2, 8, 8, 3))
    asked = AUVector((12,), torch.tensor([[0.0], [3.0]]))
    with pytest.raises(ValueError, match="found 1 pictures and 2 vectors"):
        changes(asked, torch.zeros(1, 8, 8, 3))


def test_what_a_picture_costs_goes_with_its_request() -> None:
    asked = AUVector((12,), torch.tensor([[0.0], [2], [4], [2]]))
    seen = readings([[0.0], [1], None, [1]], (12,))
    curve = fit_calibration(asked, seen, costs=torch.tensor([0.0, 1, 9, 2])).curves[12]
    assert curve == ResponseCurve((0, 2), (0, 1), (), (0, 1.5))


def test_a_calibration_of_the_first_schema_is_read() -> None:
    text = (
        '{"schema": 1, "estimator": "x", "conditions": "", '
        '"curves": {"12": {"requested": [0, 5], "measured": [0, 2]}}}'
    )
    assert Calibration.from_json(text).curves == {12: ResponseCurve((0, 5), (0, 2), (0, 0))}


def test_only_what_varies_alone_is_used() -> None:
    """AU6 is the rest of the expression; the fourth picture asks for two AUs at once."""
    asked = AUVector((4, 6, 12), torch.tensor([[0.0, 2, 0], [0, 2, 3], [4, 2, 0], [4, 2, 3]]))
    seen = readings([[0, 2, 0.5], [1, 2, 2], [3, 2, 1], [5, 5, 5]], (4, 6, 12))
    four, twelve = observations(asked, seen)
    assert (four.unit, four.requested.tolist(), four.measured.tolist()) == (4, [0, 4], [0, 3])
    assert (twelve.unit, twelve.measured.tolist()) == (12, [0.5, 2])


def test_a_face_that_is_not_found_is_left_out_and_said(caplog: pytest.LogCaptureFixture) -> None:
    asked = AUVector((12,), torch.tensor([[0.0], [1], [2]]))
    (seen,) = observations(asked, readings([[0.0], None, [2]], (12,)))
    assert seen.requested.tolist() == [0, 2] and "no face in 1 of 3" in caplog.text


def test_readings_of_two_batches_stay_in_order() -> None:
    first, second = readings([[1.0], None], (12,)), readings([[2.0], [3.0]], (12,))
    both = ReadingSet.stack([first, second])
    values = [face and face.aus.values[0, 0].item() for face in both.surest()]
    assert both.pictures == 4 and values == [1, None, 2, 3]
    with pytest.raises(ValueError, match="one estimator"):
        ReadingSet.stack([first, replace(second, estimator="another")])


@pytest.mark.parametrize(
    ("asked", "seen", "words"),
    [
        ([[0.0], [1]], [[0.0]], "2 vectors and 1 pictures"),
        ([[1.0], [1]], [[0.0], [1]], "needs a sweep"),
        ([[0.0], [1]], [[0.0], None], "needs a sweep.*1 without a face"),
    ],
)
def test_no_sweep(asked: list, seen: list, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        fit_calibration(AUVector((12,), torch.tensor(asked)), readings(seen, (12,)))


def test_sides_are_looked_up_apart() -> None:
    vector = Calibration("x", {12: CURVE}).requests(AUVector.parse("L12A+R12B+4C"))
    assert vector.dict() == {"4": 3.0, "L12": 2.0, "R12": 4.0}


def test_newer_curves_replace_and_estimators_do_not_mix() -> None:
    other = ResponseCurve((0, 5), (0, 5))
    first = Calibration("x", {4: CURVE, 12: CURVE})
    joined = first.joined(Calibration("x", {12: other}))
    assert joined.curves == {4: CURVE, 12: other}
    assert first.joined(Calibration("y", {12: other})).curves == {12: other}


def test_an_adapter_asks_by_its_curves_only_when_told() -> None:
    adapter = tiny_adapter(tiny_unet(SD21))
    with pytest.raises(ValueError, match="not calibrated.*au-adapter calibrate"):
        adapter.encode(AUVector.parse("12A"), calibrated=True)
    calibrated = adapter.with_calibration(Calibration("x", {12: CURVE}))
    smile = AUVector.parse("12A")
    assert torch.equal(calibrated.encode(smile), adapter.encode(smile))
    assert torch.equal(calibrated.encode(smile, True), adapter.encode(AUVector.parse("12B")))
    assert torch.equal(calibrated.encode(AUVector.zeros(), True), adapter.encode_zero())
    assert adapter.calibration is None and calibrated.instance == adapter.instance


def test_a_request_for_one_side_is_looked_up_as_what_the_adapter_takes_it_for() -> None:
    """Without sides L12E is a 2.5 on both: the curve is asked for that, not for 5 and 0."""
    curve = ResponseCurve((0, 1, 7), (0, 2.5, 5))
    unet = tiny_unet(SD21)
    sided = AUAdapter.for_unet(unet, lora_rank=0, sides=True).eval()
    for adapter, same in ((tiny_adapter(unet), True), (sided, False)):
        calibrated = adapter.with_calibration(Calibration("x", {12: curve}))
        wink, smile = (AUVector.parse(text) for text in ("L12E", "12:2.5"))
        equal = torch.equal(calibrated.encode(wink, True), calibrated.encode(smile, True))
        assert equal is same
    assert torch.equal(calibrated.encode(wink, True), sided.encode(AUVector.parse("L12:7")))


def test_a_file_keeps_it_beside_the_config(tmp_path: Path) -> None:
    adapter = tiny_adapter(tiny_unet(SD21))
    plain = save_adapter(adapter, tmp_path / "plain.safetensors")
    curves = Calibration("reader", {12: CURVE, 4: CURVE}, "guidance 7.5")
    path = save_adapter(adapter.with_calibration(curves), tmp_path / "a.safetensors")
    again = load_adapter(save_adapter(load_adapter(path), tmp_path / "b.safetensors"))
    assert again.calibration == curves and load_adapter(plain).calibration is None
    assert adapter_hash(path) == adapter_hash(plain)  # the weights are the same
    with safe_open(plain, "pt") as old, safe_open(path, "pt") as new:
        extra = {**new.metadata()}
        assert extra.pop(CALIBRATION_KEY) and extra == old.metadata()


def test_two_calibrations_have_two_names() -> None:
    one = Calibration("x", {12: CURVE})
    assert one.name() == Calibration("x", {12: CURVE}).name() != replace(one, estimator="y").name()


def test_a_damaged_calibration_is_named(tmp_path: Path) -> None:
    damaged = {CALIBRATION_KEY: '{"schema": 9}'}
    path = save_adapter(tiny_adapter(tiny_unet(SD21)), tmp_path / "a.safetensors", damaged)
    with pytest.raises(ValueError, match=r"a\.safetensors.*calibration.*schema 9, known are 1"):
        load_adapter(path)
