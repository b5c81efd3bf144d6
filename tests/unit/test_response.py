"""What is said about a face's response, against calculations by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from au_adapter.evaluation.records import Row
from au_adapter.evaluation.response import (
    full_error,
    prompted_error,
    response_curve,
    rise,
    spearman,
)
from benchmarks.au_response import side_effects

SMILES = (0.0, 0.5, 2.0, 1.5, 4.0, 5.0)  # measured AU12 at 0..5: one pair is swapped


def row(
    requested: dict[str, float],
    measured: dict[str, float],
    method: str = "adapter",
    seed: int = 1,
    prompt: str = "a man",
) -> Row:
    return Row("face", "", requested, seed, prompt=prompt, method=method, measured=measured)


@pytest.fixture
def sweep() -> list[Row]:
    """AU12 at 0..5 with AU6 rising by a tenth of it, and the same six without adapter."""
    adapter = [
        row({"12": float(level)}, {"6": 0.5 + 0.1 * level, "12": smile})
        for level, smile in enumerate(SMILES)
    ]
    plain = [replace(r, method="none", measured={"6": 0.5, "12": 1.0}) for r in adapter]
    return adapter + plain


def test_the_curve_is_the_mean_over_prompts_of_the_unit_alone(sweep: list[Row]) -> None:
    sweep += [
        row({"12": 5.0}, {"6": 0.0, "12": 3.0}, seed=2),
        row({"12": 5.0, "6": 5.0}, {"6": 0.0, "12": 0.0}),
        row({"6": 5.0}, {"6": 4.0, "12": 0.0}),
    ]
    curve = response_curve(sweep, "12")
    assert curve == {0.0: 0.0, 1.0: 0.5, 2.0: 2.0, 3.0: 1.5, 4.0: 4.0, 5.0: 4.0}
    assert list(curve) == sorted(curve)
    assert response_curve(sweep, "6") == {5.0: 4.0}


def test_spearman_by_hand(sweep: list[Row]) -> None:
    """One swap among 6: 1 - 6 * (1 + 1) / (6 * 35)."""
    assert spearman(response_curve(sweep, "12")) == pytest.approx(1 - 12 / 210)
    assert spearman({0.0: 3.0, 1.0: 2.0, 2.0: 1.0}) == pytest.approx(-1)
    assert spearman({0.0: 0.1, 2.0: 0.2, 5.0: 30.0}) == pytest.approx(1)


def test_spearman_of_a_face_that_does_not_move_is_zero() -> None:
    assert spearman({0.0: 1.0, 1.0: 1.0, 2.0: 1.0}) == 0.0


def test_rise_is_from_the_weakest_to_the_strongest_request(sweep: list[Row]) -> None:
    assert rise(response_curve(sweep, "12")) == 5.0
    assert rise({5.0: 1.0, -5.0: 4.0, 0.0: 9.0}) == -3.0


def test_the_prompted_error_looks_at_what_was_asked_for(sweep: list[Row]) -> None:
    misses = (0, 0.5, 0, 1.5, 0, 0)
    assert prompted_error(sweep, "adapter") == pytest.approx(sum(m * m for m in misses) / 6)
    without = (1, 0, 1, 2, 3, 4)
    assert prompted_error(sweep, "none") == pytest.approx(sum(m * m for m in without) / 6)


def test_every_prompted_unit_of_a_combination_counts() -> None:
    rows = [row({"6": 3.0, "12": 4.0}, {"4": 9.0, "6": 1.0, "12": 3.0})]
    assert prompted_error(rows, "adapter") == pytest.approx((4 + 1) / 2)


def test_every_picture_weighs_the_same_however_many_aus_it_asks_for() -> None:
    """Pooled over the three AUs the error would be (25 + 1 + 1) / 3 = 9."""
    rows = [
        row({"12": 5.0}, {"6": 0.0, "12": 0.0}),
        row({"6": 1.0, "12": 1.0}, {"6": 2.0, "12": 2.0}),
    ]
    assert prompted_error(rows, "adapter") == pytest.approx((25 + 1) / 2) == 13.0
    with pytest.raises(ValueError, match="none of this method"):
        prompted_error(rows, "none")


def test_the_full_error_asks_for_zero_elsewhere() -> None:
    rows = [
        row({"12": 4.0}, {"4": 1.0, "6": 2.0, "12": 3.0}),
        row({}, {"4": 0.0, "6": 0.0, "12": 3.0}, method="none"),
    ]
    assert full_error(rows, "adapter") == pytest.approx((1 + 4 + 1) / 3)
    assert full_error(rows, "none") == pytest.approx(3.0)


def test_side_effects_are_changes_from_the_face_that_was_asked_for_nothing(
    sweep: list[Row],
) -> None:
    sweep += [
        row({"12": 0.0}, {"6": 2.0, "12": 0.0}, seed=2),
        row({"12": 5.0}, {"6": 1.0, "12": 5.0}, seed=2),
        row({"12": 5.0, "6": 1.0}, {"6": 9.0, "12": 9.0}),
    ]
    changes = (0.1, 0.2, 0.3, 0.4, 0.5, 1.0)
    assert side_effects(sweep) == {"12": {"6": pytest.approx(sum(changes) / 6)}}
    with pytest.raises(ValueError, match="AU12 was asked for .* and never at 0"):
        side_effects([row for row in sweep if any(row.requested.values())])
