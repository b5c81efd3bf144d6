"""Beside packs that change what the text's attention gets, and compiled by core."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from comfy.ldm.modules.attention import optimized_attention
from comfy_extras.nodes_torch_compile import TorchCompileModel
from other_packs import AttentionCouple, without_precision
from sampling import SIZE, Scene, demo_scene, first_step
from torch import Tensor

from au_adapter import AUVector

PAIR = AUVector.stack([AUVector.parse("6C+12E"), AUVector.parse("1C+4E")])
LEFT = torch.zeros(1, SIZE, SIZE)
LEFT[..., : SIZE // 2] = 1


@pytest.fixture(scope="module")
def scene(demo_files: Path) -> Scene:
    return demo_scene(demo_files, lora=False)


def coupled(scene: Scene, text: Tensor, in_turn: bool = False) -> Scene:
    return AttentionCouple([text], torch.cat([LEFT, 1 - LEFT]), in_turn).patch(scene)


@pytest.mark.parametrize("in_turn", [False, True], ids=["batch after batch", "in turn"])
@pytest.mark.parametrize("cfg", [1.0, 3.0], ids=["positive alone", "both sides"])
def test_pictures_that_are_repeated_for_regions_keep_their_aus(
    scene: Scene, in_turn: bool, cfg: float
) -> None:
    """Regions of one and the same text are no regions."""
    expected = first_step(scene.apply(PAIR), cfg, batch=2)
    same = scene.positive[0][0]
    for applied in (
        coupled(scene, same, in_turn).apply(PAIR),
        coupled(scene.apply(PAIR), same, in_turn),
    ):
        found = first_step(applied, cfg, batch=2)
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    assert (expected[0] - expected[1]).abs().max() > 0.05


def test_regions_with_texts_of_their_own_keep_both_effects(scene: Scene) -> None:
    other = torch.randn_like(scene.positive[0][0])
    both = first_step(coupled(scene, other).apply(PAIR), 3.0, batch=2)
    for left_out in (coupled(scene, other), scene.apply(PAIR)):
        assert (first_step(left_out, 3.0, batch=2) - both).abs().max() > 0.05
    for row, aus in enumerate(("6C+12E", "1C+4E")):
        alone = first_step(coupled(scene, other).apply(aus), 3.0, batch=2)
        torch.testing.assert_close(both[row], alone[row], atol=1e-4, rtol=1e-4)


def test_a_mask_goes_with_the_repeated_pictures(scene: Scene) -> None:
    same = scene.positive[0][0]
    masks = torch.cat([LEFT, 1 - LEFT])
    expected = first_step(scene.apply(PAIR, mask=masks), 3.0, batch=2)
    found = first_step(coupled(scene, same).apply(PAIR, mask=masks), 3.0, batch=2)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_a_node_that_mixes_pictures_is_refused(scene: Scene) -> None:
    def mix(query: Tensor, context: Tensor, value: Tensor, extra_options: dict) -> tuple:
        halves = torch.cat([query, (query + query.flip(0)) / 2])
        return halves, torch.cat([context] * 2), torch.cat([context] * 2)

    applied = scene.apply(PAIR)
    model = applied.model.clone()
    model.set_model_attn2_patch(mix)
    with pytest.raises(ValueError, match="another node mixes the pictures of a batch"):
        first_step(replace(applied, model=model), 3.0, batch=2)


class Recorder:
    """Another pack's attention, which notes what it is told."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []

    def __call__(self, attention: Callable, *args: Any, **kwargs: Any) -> Tensor:
        self.told.append(kwargs)
        return optimized_attention(*args, attn_precision=kwargs.get("attn_precision"))


def recorded(scene: Scene) -> list[dict[str, Any]]:
    recorder, model = Recorder(), scene.model.clone()
    options = model.model_options["transformer_options"]
    options["optimized_attention_override"] = recorder
    first_step(replace(scene, model=model), 3.0)
    return recorder.told


def test_a_pack_that_leaves_the_precision_out_gets_the_layers_own(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = scene.model.model.diffusion_model
    layers = [module for name, module in network.named_modules() if name.endswith(".attn2")]
    for layer in layers:
        monkeypatch.setattr(layer, "attn_precision", torch.float32)
    expected = first_step(scene.apply("6C+12E"), 3.0)
    applied = without_precision(scene.apply("6C+12E"))
    assert torch.equal(first_step(applied, 3.0), expected)
    told = [each.get("attn_precision") for each in recorded(applied)]
    assert told.count(torch.float32) == len(layers)


def test_the_attention_that_a_newer_core_prefers_is_handed_on(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    import au_adapter_pack.nodes.attention as ours

    told: list[Any] = []

    def newer(*args: Any, preferred_attention: Any = None, **kwargs: Any) -> Tensor:
        told.append(preferred_attention)
        return optimized_attention(*args, **kwargs)

    monkeypatch.setattr(ours, "optimized_attention", newer)
    network = scene.model.model.diffusion_model
    layers = [module for name, module in network.named_modules() if name.endswith(".attn2")]
    for number, layer in enumerate(layers):
        monkeypatch.setattr(layer, "comfy_attention", number, raising=False)
    first_step(scene.apply("6C+12E"), 3.0)
    assert sorted(told) == list(range(len(layers)))


SETTINGS: dict[str, dict[str, Any]] = {
    "at first": {},
    "strength": {"strength": -0.5},
    "AUs": {"aus": "1C+4E"},
    "start": {"start": 0.5},
    "end": {"end": 0.5},
    "mask": {"mask": LEFT},
    "strength again": {"strength": 0.3, "mask": 1 - LEFT},
}


def test_a_compiled_model_follows_every_setting(scene: Scene) -> None:
    """Core compiles without guards on transformer_options: what it has seen once, it may reuse."""
    torch._dynamo.reset()
    plain, found = scene.sample(), {}
    for name, settings in SETTINGS.items():
        applied = scene.apply(**{"aus": "6C+12E", **settings})
        model = TorchCompileModel.execute(applied.model, "eager").args[0]
        found[name] = replace(applied, model=model).sample()
        off = (found[name] - applied.sample()).abs().max()
        assert off < 1e-3, f"{name}: {off}"
    model = TorchCompileModel.execute(scene.model, "eager").args[0]
    torch.testing.assert_close(replace(scene, model=model).sample(), plain, atol=1e-3, rtol=1e-3)
    for one in found.values():
        assert (one - plain).abs().max() > 0.05
    torch._dynamo.reset()
