"""The six AU encoders against FineFace's supplement, section "AU Encoders"."""

from __future__ import annotations

import pytest
import torch

from au_adapter.models.encoders import TOKEN_ENCODERS, TokenEncoder, build_encoder

UNITS, WIDTH = 12, 1024
VALUES = torch.tensor([[0.5, 0, 3, 0, 0, 1, 5, 0, 0, 2, 0, 4], [0.0] * 12])


def encoder_of(name: str) -> TokenEncoder:
    torch.manual_seed(0)
    return build_encoder(name, UNITS, WIDTH)


def encode(name: str) -> torch.Tensor:
    return encoder_of(name)(VALUES)


def parameters(name: str) -> int:
    return sum(p.numel() for p in build_encoder(name, UNITS, WIDTH).parameters())


@pytest.mark.parametrize("name", TOKEN_ENCODERS)
def test_tokens_have_the_width_of_the_text(name: str) -> None:
    tokens = build_encoder(name, UNITS, WIDTH).tokens
    assert tokens == (13 if name == "individual" else 1)
    assert encode(name).shape == (2, tokens, WIDTH)


@pytest.mark.parametrize("name", ["none", "res_mlp", "res_mlp64", "res_3mlp"])
def test_first_columns_are_the_raw_values(name: str) -> None:
    assert torch.equal(encode(name)[:, 0, :UNITS], VALUES)


def test_no_encoding_is_the_values_and_1012_zeros() -> None:
    assert torch.equal(encode("none")[:, 0, UNITS:], torch.zeros(2, 1012))
    assert parameters("none") == 0


def test_mlp_lifts_to_the_whole_width_without_residual() -> None:
    assert not torch.equal(encode("mlp")[:, 0, :UNITS], VALUES)
    assert encode("mlp").count_nonzero() == 2 * WIDTH
    assert parameters("mlp") == 12 * 1024 + 1024


def test_res_mlp_fills_the_remaining_1012_columns() -> None:
    assert encode("res_mlp")[:, 0, UNITS:].count_nonzero() == 2 * 1012
    assert parameters("res_mlp") == 12 * 1012 + 1012


@pytest.mark.parametrize("name", ["res_mlp64", "res_3mlp"])
def test_64_outputs_then_948_zeros(name: str) -> None:
    assert encode(name)[:, 0, UNITS:76].count_nonzero() == 2 * 64
    assert torch.equal(encode(name)[:, 0, 76:], torch.zeros(2, 948))


def test_res_mlp64_is_one_linear_as_published() -> None:
    encoder = build_encoder("res_mlp64", UNITS, WIDTH)
    assert [tuple(p.shape) for p in encoder.parameters()] == [(64, 12), (64,)]
    expected = VALUES @ encoder.mlp.weight.T + encoder.mlp.bias
    torch.testing.assert_close(encoder(VALUES)[:, 0, 12:76], expected)


def test_res_3mlp_has_three_layers_with_normalisation_and_leaky_relus() -> None:
    kinds = [type(layer).__name__ for layer in build_encoder("res_3mlp", UNITS, WIDTH).mlp]
    assert kinds == ["Linear", "LayerNorm", "LeakyReLU"] * 2 + ["Linear"]


def test_one_token_can_be_the_sum_of_the_individual_ones() -> None:
    each, summed = (build_encoder(n, UNITS, WIDTH) for n in ("individual", "individual_sum"))
    summed.load_state_dict(each.state_dict())
    values = torch.rand(2, UNITS)
    assert torch.equal(summed(values), each(values).sum(1, keepdim=True))
    assert (each.tokens, summed.tokens) == (13, 1)


def test_individual_tokens_see_one_unit_and_the_last_sees_all() -> None:
    encoder = build_encoder("individual", UNITS, WIDTH)
    changed = VALUES.clone()
    changed[:, 3] += 1
    moved = (encoder(changed) != encoder(VALUES)).any(dim=-1)
    assert moved.tolist() == [[i in (3, 12) for i in range(13)]] * 2
    assert parameters("individual") == 12 * 2 * 1024 + 12 * 1024 + 1024


@pytest.mark.parametrize("name", TOKEN_ENCODERS)
def test_sides_are_tokens_by_one_encoder_and_a_mark(name: str) -> None:
    one, both = encode(name), build_encoder(name, UNITS, WIDTH, sides=True)
    both.one_side.load_state_dict(encoder_of(name).state_dict())
    tokens = both(torch.cat([VALUES, VALUES.flip(0)], 1))
    assert both.tokens == tokens.shape[1] == 2 * one.shape[1] and both.unit_count == 2 * UNITS
    left, right = tokens.chunk(2, dim=1)
    assert torch.equal(left[..., :-1], one[..., :-1])
    assert torch.equal(right[..., :-1], one.flip(0)[..., :-1])
    torch.testing.assert_close(left[..., -1] - one[..., -1], torch.full(left.shape[:2], 4.0))
    torch.testing.assert_close(
        right[..., -1] - one.flip(0)[..., -1], torch.full(left.shape[:2], -4.0)
    )


@pytest.mark.parametrize("name", ["none", "res_mlp", "res_mlp64"])
def test_the_published_kind_is_affine_in_the_values(name: str) -> None:
    encoder = build_encoder(name, UNITS, WIDTH)
    zero, one, ten = (encoder(VALUES * factor) for factor in (0, 1, -10))
    torch.testing.assert_close(ten - zero, -10 * (one - zero), atol=1e-4, rtol=1e-5)


def test_too_narrow_a_width_says_both_numbers() -> None:
    with pytest.raises(ValueError, match="at least 76, the cross-attention is 64 wide"):
        build_encoder("res_mlp64", 12, 64)


def test_unknown_encoder_lists_the_known() -> None:
    with pytest.raises(ValueError, match="unknown AU encoder 'big', expected one of none, mlp"):
        build_encoder("big", 12, 64)
