"""Weights in 8 bits: a row keeps its scale, vectors stay, first rows alone are read too."""

from __future__ import annotations

import pytest
import torch

from au_adapter.weights.eight_bits import from_eight_bits, to_eight_bits


def weights() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(6, 4, 3, 3, generator=generator)
    rows *= torch.logspace(-4, 1, 6).reshape(-1, 1, 1, 1)
    rows[2] = 0
    return {"conv.weight": rows, "conv.bias": torch.randn(6, generator=generator)}


def test_each_row_is_off_by_little_of_its_own_largest_weight() -> None:
    found = from_eight_bits(to_eight_bits(weights()))
    for row, wanted in zip(found["conv.weight"].float(), weights()["conv.weight"], strict=True):
        assert (row - wanted).abs().max() <= 0.006 * wanted.abs().max() + 1e-6


def test_a_file_keeps_bytes_scales_and_vectors() -> None:
    kept = to_eight_bits(weights())
    assert kept["conv.weight"].dtype == torch.int8
    assert kept["conv.weight.scale"].shape == (6,)
    torch.testing.assert_close(kept["conv.bias"], weights()["conv.bias"].half())
    assert from_eight_bits(kept).keys() == weights().keys()


def test_first_rows_come_back_alone() -> None:
    kept = to_eight_bits(weights())
    first = from_eight_bits({name: tensor[:1] for name, tensor in kept.items()})
    assert torch.equal(first["conv.weight"], from_eight_bits(kept)["conv.weight"][:1])


def test_other_weights_pass_as_they_are() -> None:
    plain = weights()
    assert all(found is plain[name] for name, found in from_eight_bits(plain).items())


def test_numbers_without_their_scales_are_refused() -> None:
    kept = to_eight_bits(weights())
    del kept["conv.weight.scale"]
    with pytest.raises(ValueError, match=r"conv\.weight is in 8 bits and its scales"):
        from_eight_bits(kept)
