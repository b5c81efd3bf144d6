"""AU error, ICC(3,1), linearity and the per-AU table, by hand and against pingouin."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from au_adapter import metrics
from au_adapter.metrics import au_mse, au_mse_change, icc_3_1, linearity, mean_score, per_unit

# Shrout & Fleiss 1979, table 2: six targets, four judges.
JUDGES = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]
TARGET = [5.0, 3.0, 4.0, 5.0, 3.0, 4.0, 5.0, 1.0, 0.0, 1.0, 1.0, 5.0]
ESTIMATE = [4.05, 3.67, 2.91, 3.5, 2.99, 3.59, 4.08, 0.46, 0.48, 1.76, 0.12, 3.63]
# What pingouin's intraclass_corr gives as ICC(C,1), its name for ICC(3,1).
PINGOUIN_JUDGES, PINGOUIN_PAIR = 0.714841, 0.892871

COLUMN = st.lists(st.integers(0, 5), min_size=3, max_size=12).filter(lambda v: len(set(v)) > 1)


def test_every_fixed_name_is_there() -> None:
    names = "au_mse clip_i icc_3_1 identity_l2 background_rmse head_pose_rmse lpips aaad"
    assert all(callable(getattr(metrics, name)) for name in names.split())


def test_au_mse_by_hand() -> None:
    requested = torch.tensor([[3.0, 0.0, 0.0], [1.0, 4.0, 0.0]])
    measured = torch.tensor([[1.0, 1.0, 0.0], [1.0, 2.0, 3.0]])
    assert au_mse(requested, measured) == pytest.approx((4 + 1 + 0 + 0 + 4 + 9) / 6)
    # Prompted only: 4 of the first picture, (0 + 4) / 2 of the second.
    assert au_mse(requested, measured, requested > 0) == pytest.approx((4 + 2) / 2)


def test_a_face_that_answers_nothing() -> None:
    """Five levels of each of 12 AUs: 11.0 over the prompted AUs, 11 / 12 over all."""
    requested = torch.cat([torch.eye(12) * level for level in range(1, 6)])
    nothing = torch.zeros_like(requested)
    assert au_mse(requested, nothing, requested > 0) == pytest.approx(11.0)
    assert au_mse(requested, nothing) == pytest.approx(11 / 12)


def test_au_mse_change_keeps_targets_on_the_scale() -> None:
    source, change = torch.tensor([[4.0, 1.0]]), torch.tensor([[3.0, -2.0]])
    edited = torch.tensor([[5.0, 1.0]])
    assert au_mse_change(source, change, edited) == pytest.approx((0 + 1) / 2)
    free = au_mse_change(source, change, edited, low=-math.inf, high=math.inf)
    assert free == pytest.approx((4 + 4) / 2)


def test_icc_by_hand_and_by_pingouin() -> None:
    assert icc_3_1(torch.tensor(JUDGES)) == pytest.approx(PINGOUIN_JUDGES, abs=1e-6)
    pair = torch.tensor([TARGET, ESTIMATE], dtype=torch.float64).T
    assert icc_3_1(pair) == pytest.approx(PINGOUIN_PAIR, abs=1e-6)
    # x with 2x: variances 1 and 4, covariance 2, so 2 * 2 / (1 + 4).
    x = torch.tensor([1.0, 2.0, 3.0])
    assert icc_3_1(torch.stack([x, 2 * x], 1)) == pytest.approx(0.8)


@settings(max_examples=25, deadline=None)
@given(COLUMN, st.floats(-5, 5))
def test_icc_is_consistency(column: list[int], offset: float) -> None:
    x = torch.tensor(column, dtype=torch.float64)
    assert icc_3_1(torch.stack([x, x + offset], 1)) == pytest.approx(1)
    assert icc_3_1(torch.stack([x, -x], 1)) == pytest.approx(-1)
    assert icc_3_1(torch.stack([x, torch.zeros_like(x)], 1)) == pytest.approx(0, abs=1e-9)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 5), st.floats(0, 5)), min_size=2, max_size=9))
def test_icc_stays_in_range_and_does_not_mind_the_order(pairs: list[tuple[float, float]]) -> None:
    ratings = torch.tensor(pairs, dtype=torch.float64)
    value = icc_3_1(ratings)
    if math.isnan(value):
        return
    assert -1 - 1e-9 <= value <= 1 + 1e-9
    assert icc_3_1(ratings.flip(0).flip(1)) == pytest.approx(value, abs=1e-6)


def test_icc_where_nothing_varies() -> None:
    assert math.isnan(icc_3_1(torch.full((4, 2), 2.5)))


def test_linearity() -> None:
    sliders = torch.tensor([0.0, 1, 2, 3, 4, 5])
    straight = linearity(sliders, 0.5 * sliders + 1)
    assert straight.spearman == pytest.approx(1) and straight.r2 == pytest.approx(1)
    assert (straight.slope, straight.intercept) == pytest.approx((0.5, 1))
    # A step at the end: still rising, no longer straight. r = 2.5 / sqrt(17.5 * 5 / 6).
    step = linearity(sliders, torch.tensor([0.0, 0, 0, 0, 0, 1]))
    assert step.r2 == pytest.approx(2.5**2 / (17.5 * 5 / 6))
    assert linearity(sliders, sliders**3).spearman == pytest.approx(1)
    assert linearity(sliders, torch.ones(6)) == metrics.Linearity(0.0, 0.0, 0.0, 1.0)


def test_per_unit_table_and_its_mean() -> None:
    target = torch.tensor([[0.0, 1, 0], [2, 1, 0], [4, 2, 0]])
    measured = torch.tensor([[1.0, 1, 0], [3, 1, 0], [5, 2, 3]])
    offset, exact, still = table = per_unit(target, measured, (12, 25, 4))
    assert (offset.unit, offset.count, offset.bias) == (12, 3, 1)
    assert (offset.mse, offset.mae) == (1, 1)
    assert offset.icc == pytest.approx(1)
    assert exact.mse == 0 and exact.spearman == pytest.approx(1)
    assert still.mse == pytest.approx(3) and math.isnan(still.icc) and math.isnan(still.r2)
    mean = mean_score(table)
    assert mean.unit is None and mean.mse == pytest.approx(4 / 3)
    assert mean.icc == pytest.approx(1)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: au_mse(torch.zeros(2, 3), torch.zeros(3, 3)), r"\[2, 3\] and \[3, 3\]"),
        (lambda: au_mse(torch.zeros(0, 3), torch.zeros(0, 3)), "not empty"),
        (lambda: au_mse(torch.zeros(2, 3), torch.tensor([[0.0] * 3, [math.nan] * 3])), r"\(1\)"),
        (lambda: au_mse(torch.zeros(2, 3), torch.zeros(2, 3), torch.zeros(2, 3)), "every row"),
        (lambda: icc_3_1(torch.zeros(1, 2)), "1 x 2"),
        (lambda: linearity(torch.ones(3), torch.ones(3)), "two or more"),
        (lambda: per_unit(torch.ones(3, 2), torch.ones(3, 2), (12,)), "2 columns and 1 AU"),
    ],
)
def test_errors_say_what_is_wrong(call, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()
