"""AAAD by hand, its baselines, and what it does to readers of different quality."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from au_adapter.metrics import aaad
from au_adapter.metrics.aaad import _derangement


def test_aaad_by_hand() -> None:
    """Two texts at right angles: shuffled, the real faces agree with cosine 0.28, else 0.96."""
    texts = torch.eye(2)
    truth = torch.tensor([[0.96, 0.28], [0.28, 0.96]])
    generated = torch.tensor([[0.8, 0.6], [0.0, 0.5]])
    found = aaad(generated, texts, truth)
    assert found.similarity == pytest.approx((0.8 + 1) / 2)
    assert (found.lowest, found.highest) == pytest.approx((0.28, 0.96))
    assert found.value == pytest.approx((0.9 - 0.28) / 0.68)
    assert found.shuffled == pytest.approx(0)
    assert found.constant == pytest.approx((2**-0.5 - 0.28) / 0.68)
    assert found.anchored == pytest.approx(found.value)


def simulated(count: int = 400) -> tuple[torch.Tensor, torch.Tensor]:
    """Texts with some of 12 AUs, and real faces as a good reader sees them."""
    generator = torch.Generator().manual_seed(11)
    active = (torch.rand(count, 12, generator=generator) < 0.35).float()
    texts = active * 0.9 + 0.05
    noise = torch.randn(count, 12, generator=generator) * 0.15
    return texts, (texts + noise).clamp(0, 1)


def test_the_better_the_reader_the_higher_and_baselines_below() -> None:
    texts, truth = simulated()
    noisy = (0.5 * truth + 0.5 * truth.mean(0)).clamp(0, 1)
    good, middling = aaad(truth, texts, truth), aaad(noisy, texts, truth)
    assert good.value > middling.value > good.shuffled
    assert good.constant > good.shuffled
    assert good.anchored == pytest.approx(1)
    assert aaad(torch.full_like(texts, 0.5), texts, truth).value == pytest.approx(good.constant)


def test_one_seed_one_answer() -> None:
    texts, truth = simulated(50)
    assert aaad(truth, texts, truth, seed=4) == aaad(truth, texts, truth, seed=4)


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 60), st.integers(0, 1000))
def test_a_shuffle_leaves_nothing_in_its_place(count: int, seed: int) -> None:
    order = _derangement(count, seed)
    assert sorted(order.tolist()) == list(range(count))
    assert not (order == torch.arange(count)).any()


def test_nothing_seen_at_all_agrees_with_nothing() -> None:
    texts, truth = simulated(20)
    assert aaad(torch.zeros(20, 12), texts, truth).similarity == 0


def test_where_all_pairs_agree_alike_it_says_so() -> None:
    same = torch.full((4, 12), 0.5)
    assert math.isnan(aaad(same, same, same).value)


def test_errors_say_what_is_wrong() -> None:
    one = torch.ones(1, 12)
    with pytest.raises(ValueError, match="two or more pairs"):
        aaad(one, one, one)
    with pytest.raises(ValueError, match="divide intensities"):
        aaad(torch.full((2, 12), 3.0), torch.ones(2, 12), torch.ones(2, 12))
    with pytest.raises(ValueError, match=r"\[2, 12\] and \[3, 12\]"):
        aaad(torch.ones(2, 12), torch.ones(3, 12), torch.ones(3, 12))
