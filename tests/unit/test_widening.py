"""An AU-Adapter with more AUs, or with left and right apart, made from one that exists."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from au_adapter.bundled import demo_folder
from au_adapter.facs import ALL_UNITS, SET_A, AUVector
from au_adapter.models.adapter import AUAdapter, describe_adapter
from au_adapter.models.widening import widen_adapter
from au_adapter.weights.adapter_files import adapter_hash, load_adapter, save_adapter

LOPSIDED = "L1B+R2D+12C"


@pytest.fixture(scope="module")
def narrow() -> AUAdapter:
    return load_adapter(demo_folder() / "adapter.safetensors").requires_grad_(False)


HEADS, PLACES = 4, 5


def terms(adapter: AUAdapter, vector: AUVector) -> dict[str, torch.Tensor]:
    """What the AUs add at PLACES places, each with a query of its own."""
    tokens, torch_seed = adapter.encode(vector), torch.manual_seed(2)
    found = {}
    for path, channels in adapter.config.layers.items():
        query = torch.randn(len(tokens), PLACES, channels, generator=torch_seed)
        term = adapter.au_term(path, tokens, query, HEADS)
        found[path] = term.expand(-1, PLACES, -1)
    return found


@pytest.mark.parametrize("units", [SET_A, ALL_UNITS, SET_A[::-1]])
@pytest.mark.parametrize("sides", [False, True])
def test_a_wider_adapter_first_says_the_same(narrow: AUAdapter, units, sides: bool) -> None:
    wide = widen_adapter(narrow, units, sides).requires_grad_(False)
    vector = AUVector.stack(
        [AUVector.zeros(SET_A), AUVector.parse("6C+12D", SET_A), AUVector.parse(LOPSIDED, SET_A)]
    )
    before, after = terms(narrow, vector), terms(wide, vector)
    for path, term in before.items():
        assert torch.allclose(term, after[path], atol=1e-4 * float(term.abs().max())), path
    assert wide.lora.keys() == narrow.lora.keys()


def test_wider_twice_is_wider_once(narrow: AUAdapter) -> None:
    vector = AUVector.parse(LOPSIDED, ALL_UNITS)
    once = terms(widen_adapter(narrow, ALL_UNITS, True).requires_grad_(False), vector)
    for first in (widen_adapter(narrow, ALL_UNITS, False), widen_adapter(narrow, SET_A, True)):
        twice = terms(widen_adapter(first, ALL_UNITS, True).requires_grad_(False), vector)
        for path, term in once.items():
            assert torch.allclose(term, twice[path], atol=1e-4 * float(term.abs().max()))


def test_new_inputs_can_learn(narrow: AUAdapter) -> None:
    wide = widen_adapter(narrow, ALL_UNITS, True).requires_grad_(True)
    terms_of = terms(wide, AUVector.parse("L10C+L12C", ALL_UNITS))
    torch.stack([term.square().sum() for term in terms_of.values()]).sum().backward()
    for path in wide.config.layers:
        assert wide.projection("v", path).weight.grad[:, ALL_UNITS.index(10)].any()
        assert wide.projection("k", path).weight.grad[:, -1].any(), "sides can come apart"


def test_what_would_be_lost_is_refused(narrow: AUAdapter) -> None:
    assert widen_adapter(narrow, SET_A, False) is narrow
    with pytest.raises(ValueError, match="this run learns .*name at least those units"):
        widen_adapter(narrow, (1, 2), False)
    with pytest.raises(ValueError, match="sides apart"):
        widen_adapter(widen_adapter(narrow, SET_A, True), SET_A, False)


def test_sides_are_kept_in_the_file(narrow: AUAdapter, tmp_path: Path) -> None:
    wide = widen_adapter(narrow, ALL_UNITS, True)
    again = load_adapter(save_adapter(wide, tmp_path / "sided.safetensors"))
    assert again.config == wide.config and again.config.sides
    assert "17 AUs with left and right apart" in describe_adapter(again)
    lopsided = AUVector.parse(LOPSIDED, ALL_UNITS)
    assert torch.equal(again.config.rows(lopsided), torch.cat(lopsided.sides(), 1))
    assert adapter_hash(again) == adapter_hash(wide) != adapter_hash(narrow)
    assert "sides" not in narrow.config.to_dict(), "files without sides are as they always were"
