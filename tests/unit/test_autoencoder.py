"""The demo model's autoencoder and AU regressor."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from au_adapter.facs import SET_A
from au_adapter.models.autoencoder import SCALING_FACTOR, AutoencoderConfig, DemoAutoencoder
from au_adapter.models.regressor import AURegressor
from au_adapter.training.recipes.autoencoder_recipe import latent_spread
from au_adapter.weights.autoencoder_files import (
    load_autoencoder,
    read_colours,
    save_autoencoder,
    save_colours,
)

SMALL = AutoencoderConfig(
    encoder=(8, 8), decoder=(16, 8, 8), encoder_blocks=(1, 1), decoder_blocks=(1, 1, 1)
)


@pytest.fixture
def autoencoder() -> DemoAutoencoder:
    torch.manual_seed(0)
    return DemoAutoencoder(SMALL).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def pictures() -> torch.Tensor:
    """[6, 3, 48, 32] in -1..1: slow changes of brightness and colour, as in pictures."""
    coarse = torch.randn(6, 3, 6, 4, generator=torch.Generator().manual_seed(1))
    smooth = torch.nn.functional.interpolate(coarse, (48, 32), mode="bicubic")
    return (0.4 * smooth + torch.tensor([0.3, 0.0, -0.2]).reshape(1, 3, 1, 1)).clamp(-1, 1)


def error(autoencoder: DemoAutoencoder, pictures: torch.Tensor) -> float:
    return ((autoencoder.decode(autoencoder.encode(pictures)) - pictures) ** 2).mean().item()


def test_pictures_become_latents_of_an_eighth(
    autoencoder: DemoAutoencoder, pictures: torch.Tensor
) -> None:
    latents = autoencoder.encode(pictures)
    assert latents.shape == (6, 4, 6, 4)
    assert autoencoder.decode(latents).shape == pictures.shape


def test_the_default_is_the_bundled_layout() -> None:
    latents = DemoAutoencoder().encode(torch.zeros(1, 3, 128, 128))
    assert latents.shape == (1, 4, 16, 16)


def test_principal_components_are_a_better_start_than_chance(
    autoencoder: DemoAutoencoder, pictures: torch.Tensor
) -> None:
    chance = error(autoencoder, pictures)
    autoencoder.start_from_principal_components(pictures)
    assert error(autoencoder, pictures) < 0.2 * chance
    mean = pictures.mean((0, 2, 3), keepdim=True)
    assert error(autoencoder, pictures) < ((pictures - mean) ** 2).mean()


def test_the_start_is_the_best_linear_code(
    autoencoder: DemoAutoencoder, pictures: torch.Tensor
) -> None:
    """What four components cannot say is in the other singular values (Eckart and Young)."""
    patches = torch.nn.functional.unfold(pictures, 8, stride=8).movedim(1, -1).flatten(0, 1)
    values = torch.linalg.svdvals(patches - patches.mean(0))
    best = (values[4:] ** 2).sum() / patches.numel()
    autoencoder.start_from_principal_components(pictures)
    found = error(autoencoder, pictures)
    assert best * (1 - 1e-4) <= found < 1.1 * best  # its bias is one mean a colour, not a pixel


def test_raw_latents_start_with_unit_variance(
    autoencoder: DemoAutoencoder, pictures: torch.Tensor
) -> None:
    autoencoder.start_from_principal_components(pictures)
    raw = autoencoder.encode_raw(pictures)
    torch.testing.assert_close(raw.std((0, 2, 3)), torch.ones(4), atol=0.01, rtol=0)
    torch.testing.assert_close(raw.mean((0, 2, 3)), torch.zeros(4), atol=1e-4, rtol=0)


def test_latents_have_unit_variance_by_their_statistics(
    autoencoder: DemoAutoencoder, pictures: torch.Tensor
) -> None:
    raw = autoencoder.encode_raw(pictures)
    assert (raw.std((0, 2, 3)) - 1).abs().min() > 0.01
    autoencoder.set_latent_statistics(raw)
    scaled = autoencoder.encode(pictures) * SCALING_FACTOR
    torch.testing.assert_close(scaled.std((0, 2, 3)), torch.ones(4))
    torch.testing.assert_close(scaled.mean((0, 2, 3)), torch.zeros(4), atol=1e-5, rtol=0)


def test_channels_that_matter_more_get_more_deviation(
    autoencoder: DemoAutoencoder, pictures: torch.Tensor
) -> None:
    autoencoder.start_from_principal_components(pictures)  # in the order of what they matter
    raw = autoencoder.encode_raw(pictures)
    spread = latent_spread(autoencoder, raw)
    assert (spread.diff() < 0).all()
    torch.testing.assert_close(spread.square().mean(), torch.tensor(1.0))
    autoencoder.set_latent_statistics(raw, spread)
    scaled = autoencoder.encode(pictures) * SCALING_FACTOR
    torch.testing.assert_close(scaled.std((0, 2, 3)), spread)


def test_all_channels_together_are_as_strong_as_stable_diffusions_four(
    pictures: torch.Tensor,
) -> None:
    sixteen = DemoAutoencoder(replace(SMALL, latent_channels=16)).requires_grad_(False)
    sixteen.start_from_principal_components(pictures)
    spread = latent_spread(sixteen, sixteen.encode_raw(pictures))
    torch.testing.assert_close(spread.square().sum(), torch.tensor(4.0))


def test_latents_have_as_many_channels_as_the_config_and_the_file_say(
    pictures: torch.Tensor, tmp_path: Path
) -> None:
    nine = DemoAutoencoder(replace(SMALL, latent_channels=9))
    save_autoencoder(nine, tmp_path)
    assert load_autoencoder(tmp_path).encode(pictures).shape == (6, 9, 6, 4)


def test_a_file_that_does_not_say_has_four_channels(tmp_path: Path) -> None:
    save_autoencoder(DemoAutoencoder(SMALL), tmp_path)
    described = json.loads((tmp_path / "vae.json").read_text())
    del described["latent_channels"]
    (tmp_path / "vae.json").write_text(json.dumps(described))
    assert load_autoencoder(tmp_path).config == SMALL


def test_colours_come_back_as_written(tmp_path: Path) -> None:
    assert read_colours(tmp_path) is None
    save_colours(tmp_path, torch.tensor([[0.1, -2.0, 0.5]] * 2), torch.tensor([0.0, 0.25, 1.0]))
    assert read_colours(tmp_path) == ([[0.1, -2.0, 0.5]] * 2, [0.0, 0.25, 1.0])


def test_statistics_do_not_change_the_picture(
    autoencoder: DemoAutoencoder, pictures: torch.Tensor
) -> None:
    before = autoencoder.decode(autoencoder.encode(pictures))
    autoencoder.set_latent_statistics(autoencoder.encode_raw(pictures))
    after = autoencoder.decode(autoencoder.encode(pictures))
    torch.testing.assert_close(after, before, atol=1e-5, rtol=0)


def test_statistics_travel_with_the_weights(
    autoencoder: DemoAutoencoder, pictures: torch.Tensor
) -> None:
    autoencoder.set_latent_statistics(autoencoder.encode_raw(pictures))
    other = DemoAutoencoder(SMALL).eval().requires_grad_(False)
    other.load_state_dict(autoencoder.state_dict())
    assert torch.equal(other.encode(pictures), autoencoder.encode(pictures))


def test_the_regressor_reads_intensities_in_range() -> None:
    torch.manual_seed(0)
    regressor = AURegressor(width=8).eval()
    with torch.no_grad():
        regressor.head[-1].weight.mul_(200)
    values = regressor.read(torch.rand(3, 128, 128, 3))
    assert regressor.units == SET_A and values.shape == (3, 12)
    assert values.min() == 0 and values.max() == 5


def test_the_regressor_takes_any_size_and_any_units() -> None:
    torch.manual_seed(0)
    regressor = AURegressor(units=(1, 12), size=64, width=8).eval()
    picture = torch.rand(1, 1, 1, 3).expand(1, 64, 64, 3)
    large = torch.nn.functional.interpolate(picture.movedim(-1, 1), (200, 150)).movedim(1, -1)
    assert regressor.read(picture).shape == (1, 2)
    torch.testing.assert_close(regressor(large.movedim(-1, 1)), regressor(picture.movedim(-1, 1)))
