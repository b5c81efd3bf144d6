"""Apply AU-Adapter in ComfyUI, case by case."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from au_adapter_pack.nodes.diffusers_model import build_model
from comfy.model_base import ModelType
from comfy_extras.nodes_latent import LatentBatchSeedBehavior
from safetensors.torch import load_file
from sampling import SIZE, Scene, assert_near, demo_scene, first_step, run
from torch import Tensor

import nodes as core
from au_adapter import AUAdapter, AUVector

LEFT = torch.zeros(1, 64, 64)
LEFT[:, :, :32] = 1
SMILE = "12E"


@pytest.fixture(scope="module")
def scene(demo_files: Path) -> Scene:
    return demo_scene(demo_files)


@pytest.fixture(scope="module")
def no_lora(demo_files: Path) -> Scene:
    return demo_scene(demo_files, lora=False)


@pytest.fixture(scope="module")
def plain(scene: Scene) -> Tensor:
    """The picture of the model alone."""
    with torch.inference_mode():
        return scene.sample()


def differ(a: Tensor, b: Tensor) -> bool:
    """Far beyond rounding."""
    return (a - b).abs().max().item() > 0.05


def test_the_aus_change_the_picture(scene: Scene, plain: Tensor) -> None:
    smile, frown = scene.apply(SMILE).sample(), scene.apply("4E").sample()
    assert smile.isfinite().all()
    assert differ(smile, plain) and differ(frown, plain) and differ(smile, frown)


@pytest.mark.parametrize("off", [{"strength": 0.0}, {"mask": torch.zeros(1, 64, 64)}])
def test_off_returns_the_inputs_themselves(scene: Scene, off: dict) -> None:
    applied = scene.apply(SMILE, **off)
    assert applied.model is scene.model
    assert applied.positive is scene.positive and applied.negative is scene.negative


def test_the_inputs_are_left_as_they_were(scene: Scene, plain: Tensor) -> None:
    conds = [[dict(extra) for _, extra in c] for c in (scene.positive, scene.negative)]
    scene.apply(SMILE).sample()
    assert conds == [[extra for _, extra in c] for c in (scene.positive, scene.negative)]
    assert torch.equal(scene.sample(), plain)


def test_the_same_graph_twice_gives_the_same_picture(scene: Scene) -> None:
    applied = scene.apply(SMILE)
    assert torch.equal(applied.sample(), applied.sample())
    assert torch.equal(applied.sample(), scene.apply(SMILE).sample())


def test_strength_scales_the_lora_with_the_aus(scene: Scene) -> None:
    half = replace(scene, adapter=load_copy(scene, lora_strength=0.5))
    doubled = half.apply(SMILE, strength=2.0)
    strengths = {strength for p in doubled.model.patches.values() for strength, *_ in p}
    assert len(doubled.model.patches) == len(scene.adapter.lora) and strengths == {1.0}


def load_copy(scene: Scene, lora_strength: float) -> AUAdapter:
    copy = type(scene.adapter)(scene.adapter.config)
    copy.load_state_dict(scene.adapter.state_dict())
    copy.lora, copy.lora_strength = scene.adapter.lora, lora_strength
    return copy


def test_a_white_mask_is_no_mask(no_lora: Scene) -> None:
    white = no_lora.apply(SMILE, mask=torch.ones(1, 100, 60)).sample()
    assert torch.equal(white, no_lora.apply(SMILE).sample())


def test_a_mask_gates_the_aus_in_its_part_of_the_picture(no_lora: Scene) -> None:
    half, full = no_lora.apply(SMILE, mask=LEFT), no_lora.apply(SMILE)
    assert differ(half.sample(), full.sample()) and differ(half.sample(), no_lora.sample())


def test_masks_of_a_batch_go_to_their_pictures(no_lora: Scene) -> None:
    both = torch.cat([LEFT, 1 - LEFT])
    batch = no_lora.apply(SMILE, mask=both).sample(batch=2)
    first = no_lora.apply(SMILE, mask=LEFT).sample(batch=2)[0]
    second = no_lora.apply(SMILE, mask=1 - LEFT).sample(batch=2)[1]
    assert_near(batch, torch.stack([first, second]))


def in_left_half(scene: Scene) -> Scene:
    (area,) = core.ConditioningSetArea().append(scene.positive, 32, 64, 0, 0, 1.0)
    return replace(scene, positive=area)


def test_core_crops_the_mask_with_an_area(no_lora: Scene) -> None:
    """In an area of the left half the left mask is white throughout, the right mask black."""
    white = in_left_half(no_lora.apply(SMILE, mask=LEFT))
    black = in_left_half(no_lora.apply(SMILE, mask=1 - LEFT))
    unmasked, without = in_left_half(no_lora.apply(SMILE)), in_left_half(no_lora)
    left = slice(0, SIZE // 2)
    for masked, expected in ((white, unmasked), (black, without)):
        assert torch.equal(
            first_step(masked, cfg=1.0)[..., left], first_step(expected, cfg=1.0)[..., left]
        )
    assert differ(white.sample(), black.sample())


def test_two_faces_in_two_areas(no_lora: Scene) -> None:
    """Conditioning made by two nodes works on the MODEL of either."""
    left, right = no_lora.apply(SMILE), no_lora.apply("4E")
    (area,) = core.ConditioningSetArea().append(right.positive, 32, 64, 32, 0, 1.0)
    (both,) = core.ConditioningCombine().combine(in_left_half(left).positive, area)
    on_left, on_right = replace(left, positive=both), replace(right, positive=both)
    assert torch.equal(on_left.sample(), on_right.sample())
    assert differ(on_left.sample(), in_left_half(left).sample())


def test_start_and_end_gate_the_aus_by_sigma(no_lora: Scene) -> None:
    first = no_lora.apply(SMILE, end=0.05)
    assert torch.equal(first_step(first, cfg=3.0), first_step(no_lora.apply(SMILE), cfg=3.0))
    last = no_lora.apply(SMILE, start=0.9)
    assert torch.equal(first_step(last, cfg=3.0), first_step(no_lora, cfg=3.0))
    pictures = [s.sample() for s in (first, last, no_lora, no_lora.apply(SMILE))]
    assert differ(pictures[0], pictures[2]) and differ(pictures[0], pictures[3])


def test_start_and_end_do_not_gate_the_lora(scene: Scene, plain: Tensor) -> None:
    assert differ(first_step(scene.apply(SMILE, start=0.9), 3.0), first_step(scene, 3.0))


def test_start_after_end_is_refused(scene: Scene) -> None:
    with pytest.raises(ValueError, match="start 0.8 must be below end 0.2"):
        scene.apply(SMILE, start=0.8, end=0.2)


def test_conditioning_without_aus_gets_the_encoded_zero_vector(scene: Scene) -> None:
    applied = scene.apply(AUVector.zeros())
    assert torch.equal(replace(applied, positive=scene.positive).sample(), applied.sample())
    assert torch.equal(replace(applied, negative=scene.negative).sample(), applied.sample())


def test_all_aus_zero_is_the_bias_of_the_encoder(no_lora: Scene) -> None:
    assert differ(no_lora.apply(AUVector.zeros()).sample(cfg=1.0), no_lora.sample(cfg=1.0))


def test_one_vector_for_each_picture(scene: Scene) -> None:
    vectors = AUVector.stack([AUVector.parse("12E"), AUVector.parse("4E"), AUVector.parse("1E+2E")])
    together = scene.apply(vectors).sample(batch=3)
    alone = [scene.apply(vectors.face(i)).sample(batch=3)[i] for i in range(3)]
    assert_near(together, torch.stack(alone))


@pytest.mark.parametrize(("faces", "batch"), [(3, 2), (2, 3), (2, 1)])
def test_vectors_that_do_not_match_the_batch_are_refused(
    scene: Scene, faces: int, batch: int
) -> None:
    applied = scene.apply(AUVector.zeros(faces=faces))
    with pytest.raises(ValueError, match=f"{faces} AU vectors for a latent batch of {batch}"):
        applied.sample(batch=batch)


def test_masks_that_do_not_match_the_batch_are_refused(scene: Scene) -> None:
    with pytest.raises(ValueError, match="3 masks for a latent batch of 2"):
        scene.apply(SMILE, mask=LEFT.expand(3, -1, -1)).sample(batch=2)


def test_a_sweep_on_one_seed_changes_the_aus_alone(scene: Scene) -> None:
    sweep, labels = run("AUA_AUSweep", unit="AU12 lip corner puller", start=0, stop=5, steps=3)
    latent = {"samples": torch.zeros(3, 4, SIZE, SIZE)}
    fixed = LatentBatchSeedBehavior.execute(latent, "fixed").args[0]
    pictures = scene.apply(sweep).sample(batch=3, **fixed)
    assert labels.splitlines() == ["AU12 0", "AU12 2.5", "AU12 5"]
    for index in range(3):
        alone = scene.apply(sweep.face(index)).sample()
        assert_near(pictures[index : index + 1], alone)


def test_two_adapters_add(scene: Scene) -> None:
    """In either order; and the same weights with opposite strengths cancel, LoRA included."""
    other = load_copy(scene, lora_strength=1.0)
    first = scene.apply(SMILE)
    both = first.apply("4E", au_adapter=other)
    swapped = scene.apply("4E", au_adapter=other).apply(SMILE)
    assert_near(both.sample(), swapped.sample())
    assert differ(both.sample(), first.sample())
    undone = first.apply(SMILE, strength=-1.0, au_adapter=other)
    assert_near(undone.sample(), scene.sample())


def test_the_same_adapter_twice_adds_too(no_lora: Scene) -> None:
    twice = no_lora.apply(SMILE, strength=0.5).apply(SMILE, strength=0.5)
    assert_near(twice.sample(), no_lora.apply(SMILE).sample())


def test_without_guidance_only_the_positive_runs(scene: Scene) -> None:
    applied = scene.apply(SMILE)
    silent = replace(applied, negative=scene.apply("4E").negative)
    assert torch.equal(applied.sample(cfg=1.0), silent.sample(cfg=1.0))


def test_a_base_that_predicts_v_is_said(
    scene: Scene, demo_files: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = json.loads((demo_files / "unet.json").read_text())
    weights = load_file(demo_files / "unet.safetensors")
    model = build_model(config, weights, ModelType.V_PREDICTION)
    with caplog.at_level(logging.WARNING, logger="au_adapter"):
        replace(scene, model=model).apply(SMILE)
    assert "predicts v_prediction" in caplog.text and "epsilon" in caplog.text
