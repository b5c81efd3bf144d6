"""Masks at the resolution of a UNet block."""

from __future__ import annotations

import pytest
import torch

from au_adapter.models.masks import block_size, mask_for_block


@pytest.mark.parametrize(
    ("latent", "tokens", "expected"),
    [
        ((16, 16), 256, (16, 16)),
        ((16, 16), 16, (4, 4)),
        ((9, 15), 5 * 8, (5, 8)),
        ((9, 15), 12, (3, 4)),
    ],
)
def test_levels_halve_and_round_up(latent: tuple, tokens: int, expected: tuple) -> None:
    assert block_size(*latent, tokens) == expected


def test_a_number_that_is_no_level_is_refused() -> None:
    with pytest.raises(ValueError, match="no level of a 8 x 8 latent has 17 positions"):
        block_size(8, 8, 17)


def test_mask_weights_run_row_by_row_and_keep_the_mean() -> None:
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., :4, :] = 1
    assert mask_for_block(mask, 2, 2)[0, :, 0].tolist() == [1, 1, 0, 0]
    assert mask_for_block(torch.rand(1, 1, 8, 8), 2, 2).shape == (1, 4, 1)
