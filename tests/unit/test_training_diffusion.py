"""Label smoothing as released and as in the paper; the noise schedule and its loss weights."""

from __future__ import annotations

import pytest
import torch

from au_adapter.data.affectnet import fit_correction
from au_adapter.training.diffusion import (
    draw_noise,
    min_snr_weights,
    noise_loss,
    signal_to_noise,
    stable_diffusion_schedule,
)
from au_adapter.training.recipes.conditioned import SMOOTHING

MIDDLE = torch.full((64, 12), 2.3)  # no noise that matters reaches 0 or 5 from here


def draws(name: str, values: torch.Tensor, count: int = 200) -> torch.Tensor:
    """[count, N, K] smoothed values, one generator for all."""
    generator = torch.Generator().manual_seed(0)
    return torch.stack([SMOOTHING[name](values, generator) for _ in range(count)])


def whole(values: torch.Tensor) -> torch.Tensor:
    return values == values.round()


@pytest.mark.parametrize(("name", "variance"), [("released", 0.04), ("paper", 0.2)])
def test_the_noise_has_the_stated_variance(name: str, variance: float) -> None:
    found = draws(name, MIDDLE)
    noise = found[~whole(found)] - 2.3
    assert noise.mean().abs() < 0.01
    assert noise.var() == pytest.approx(variance, rel=0.05)


@pytest.mark.parametrize("name", ["released", "paper"])
def test_values_stay_in_range(name: str) -> None:
    values = torch.tensor([[0.0, 0.1, 4.9, 5.0]]).repeat(64, 1)
    found = draws(name, values)
    assert found.min() == 0 and found.max() == 5


def test_as_released_a_whole_batch_is_rounded_or_none_of_it() -> None:
    rounded = whole(draws("released", MIDDLE)).flatten(1).float().mean(1)
    assert set(rounded.tolist()) == {0.0, 1.0}
    assert 0.12 < rounded.mean() < 0.28  # 0.2, of 200 batches


def test_as_in_the_paper_values_are_rounded_one_by_one() -> None:
    rounded = whole(draws("paper", MIDDLE)).float()
    assert rounded.mean() == pytest.approx(0.2, abs=0.01)
    by_batch = rounded.flatten(1).mean(1)
    assert by_batch.min() > 0.1 and by_batch.max() < 0.3


@pytest.mark.parametrize(("name", "mean"), [("released", 0.0638), ("paper", 0.1692)])
def test_zero_vectors_stay_next_to_zero(name: str, mean: float) -> None:
    """What the cut at 0 leaves of the noise has the mean deviation / sqrt(2 pi): 0.0798 and 0.1784.

    A fifth is rounded: to 0 as released, in the paper to P(noise > 0.5) + P(noise > 1.5) = 0.1322.
    """
    found = draws(name, torch.zeros(16, 12), count=2000)
    assert found.min() == 0
    assert (found == 0).float().mean() > 0.5
    assert found.mean() == pytest.approx(mean, rel=0.06)


def test_without_smoothing_labels_are_exact() -> None:
    assert torch.equal(SMOOTHING["none"](MIDDLE, torch.Generator()), MIDDLE)


def test_no_label_trains_beyond_the_scale() -> None:
    """Labels as FineFace's released correction leaves them; see data.correction."""
    correct = fit_correction([{"17": 0.0}, {"17": 4.0}], "released")
    label = torch.tensor([[correct({"17": 4.0})["17"]]])
    assert label.item() == pytest.approx(7.2)
    for name in SMOOTHING:
        assert draws(name, label).max() == 5, name


@pytest.mark.parametrize("name", SMOOTHING)
def test_smoothing_repeats_and_leaves_the_labels_alone(name: str) -> None:
    values = MIDDLE.clone()
    one, other = (SMOOTHING[name](values, torch.Generator().manual_seed(4)) for _ in range(2))
    assert torch.equal(one, other)
    assert torch.equal(values, MIDDLE)


def test_the_schedule_is_that_of_stable_diffusion() -> None:
    schedule = stable_diffusion_schedule()
    assert schedule.config.prediction_type == "epsilon"
    assert schedule.betas[0].item() == pytest.approx(0.00085)
    assert schedule.betas[-1].item() == pytest.approx(0.012)
    middle = ((0.00085**0.5 + 0.012**0.5) / 2) ** 2  # linear in the root: between 499 and 500
    assert schedule.betas[499:501].mean().item() == pytest.approx(middle, rel=1e-4)
    assert schedule.alphas_cumprod[-1].item() == pytest.approx(0.00466, rel=0.01)


def test_min_snr_weights_against_a_calculation_by_hand() -> None:
    """At t = 0 alpha_bar is 1 - 0.00085, so the SNR is 0.99915 / 0.00085 = 1175.47."""
    schedule = stable_diffusion_schedule()
    timesteps = torch.tensor([0, 999])
    assert signal_to_noise(schedule, timesteps)[0].item() == pytest.approx(1175.47, rel=1e-4)
    weights = min_snr_weights(schedule, timesteps, gamma=5.0)
    assert weights[0].item() == pytest.approx(5 / 1175.47, rel=1e-4)
    assert weights[1].item() == 1.0


def test_min_snr_weights_are_one_where_noise_prevails() -> None:
    schedule = stable_diffusion_schedule()
    timesteps = torch.arange(1000)
    weights = min_snr_weights(schedule, timesteps, gamma=5.0)
    quiet = signal_to_noise(schedule, timesteps) > 5
    assert (weights[~quiet] == 1).all() and (weights[quiet] < 1).all()
    assert (weights.diff() >= 0).all()


def test_a_least_snr_raises_the_weights_of_more_noise_alone() -> None:
    """At t = 999 alpha_bar is 0.00466, so the SNR is 0.004682, and 0.25 is 53.4 times as much."""
    schedule = stable_diffusion_schedule()
    timesteps = torch.arange(1000)
    plain, raised = (min_snr_weights(schedule, timesteps, 5.0, least) for least in (0.0, 0.25))
    assert raised[999].item() == pytest.approx(53.4, rel=0.01)
    noisy = signal_to_noise(schedule, timesteps) < 0.25
    assert (raised[noisy] > 1).all() and torch.equal(raised[~noisy], plain[~noisy])


def test_the_loss_weighs_by_hand() -> None:
    predicted, noise = torch.tensor([[[[1.0, 2.0]]]]), torch.tensor([[[[0.0, 0.0]]]])
    assert noise_loss(predicted, noise).item() == 2.5
    weights = torch.tensor([[[[0.5, 1.5]]]])
    assert noise_loss(predicted, noise, weights).item() == pytest.approx((0.5 + 6) / 2)
    assert noise_loss(predicted.bfloat16(), noise).dtype == torch.float32


def test_noise_comes_from_the_generator_alone() -> None:
    noise, timesteps = draw_noise((256, 4, 2, 2), torch.Generator().manual_seed(1))
    torch.manual_seed(77)
    again, same = draw_noise((256, 4, 2, 2), torch.Generator().manual_seed(1))
    assert torch.equal(noise, again) and torch.equal(timesteps, same)
    assert timesteps.min() >= 0 and timesteps.max() <= 999 and timesteps.max() > 900
