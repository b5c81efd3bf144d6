"""AU Guider: guidance of the AUs apart from the prompt's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import comfy_extras.nodes_custom_sampler as custom
import pytest
import torch
from comfy.patcher_extension import WrappersMP
from comfy_extras.nodes_model_advanced import RescaleCFG
from sampling import SIZE, STEPS, Scene, assert_near, demo_scene, run
from torch import Tensor

import nodes as core
from au_adapter import AUVector

SMILE = "12E"
LEFT = torch.zeros(1, 64, 64)
LEFT[:, :, :32] = 1


@pytest.fixture(scope="module")
def scene(demo_files: Path) -> Scene:
    return demo_scene(demo_files)


@pytest.fixture(scope="module")
def applied(scene: Scene) -> Scene:
    with torch.inference_mode():
        return scene.apply(SMILE)


def sample(guider: Any, model: Any, steps: int = STEPS) -> Tensor:
    """Latents [1, 4, SIZE, SIZE] after the first `steps` of the run."""
    sigmas = custom.BasicScheduler.execute(model, "normal", STEPS, 1.0).args[0][: steps + 1]
    return custom.SamplerCustomAdvanced.execute(
        custom.RandomNoise.execute(1).args[0],
        guider,
        custom.KSamplerSelect.execute("euler").args[0],
        sigmas,
        {"samples": torch.zeros(1, 4, SIZE, SIZE)},
    ).args[0]["samples"]


def guided(scene: Scene, text_cfg: float, au_cfg: float, steps: int = STEPS) -> Tensor:
    (guider,) = run(
        "AUA_AUGuider",
        model=scene.model,
        positive=scene.positive,
        negative=scene.negative,
        text_cfg=text_cfg,
        au_cfg=au_cfg,
    )
    return sample(guider, scene.model, steps)


def one_prediction(scene: Scene, conditioning: list) -> Tensor:
    """The first step with a single conditioning and no guidance."""
    return sample(custom.BasicGuider.execute(scene.model, conditioning).args[0], scene.model, 1)


@pytest.mark.parametrize(("text_cfg", "au_cfg"), [(3, 5), (5, 2), (1, 4), (3, 0), (1, 1), (4, 4)])
def test_the_formula(scene: Scene, applied: Scene, text_cfg: float, au_cfg: float) -> None:
    """An Euler step is linear in the prediction, and the weights of the three add up to 1."""
    null = one_prediction(applied, applied.negative)
    text = one_prediction(applied, scene.apply(AUVector.zeros()).positive)
    with_aus = one_prediction(applied, applied.positive)
    expected = null + text_cfg * (text - null) + au_cfg * (with_aus - text)
    assert_near(guided(applied, text_cfg, au_cfg, steps=1), expected)
    assert (with_aus - text).abs().max() > 0.05 and (text - null).abs().max() > 0.05


def test_equal_scales_are_finefaces_guidance(applied: Scene) -> None:
    assert_near(guided(applied, 3.0, 3.0), applied.sample(cfg=3.0))


def test_the_scales_act_apart(applied: Scene) -> None:
    pictures = [guided(applied, *scales) for scales in ((3, 3), (3, 6), (6, 3))]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert (pictures[one] - pictures[other]).abs().max() > 0.05


def test_without_au_guidance_it_is_the_neutral_face(scene: Scene, applied: Scene) -> None:
    assert_near(guided(applied, 3.0, 0.0), scene.apply(AUVector.zeros()).sample(cfg=3.0))


@pytest.mark.parametrize("au_cfg", [1.0, 5.0])
def test_without_aus_it_is_the_cfg_guider(scene: Scene, au_cfg: float) -> None:
    """A bypassed Apply AU-Adapter, or one of strength 0."""
    assert_near(guided(scene.apply(SMILE, strength=0.0), 3.0, au_cfg), scene.sample(cfg=3.0))


@pytest.mark.parametrize(
    ("text_cfg", "au_cfg", "predictions"),
    [(3, 3, 2), (3, 5, 3), (1, 5, 2), (3, 0, 2), (1, 1, 1)],
)
def test_what_a_step_costs(
    applied: Scene, text_cfg: float, au_cfg: float, predictions: int
) -> None:
    rows = []

    def count(executor: Callable, x: Tensor, *args: Any, **options: Any) -> Tensor:
        rows.append(len(x))
        return executor(x, *args, **options)

    model = applied.model.clone()
    model.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, "count", count)
    guided(replace(applied, model=model), text_cfg, au_cfg)
    assert sum(rows) == STEPS * predictions


def test_at_cfg_1_the_neutral_look_is_cancelled_here_and_not_in_the_ksampler(
    scene: Scene, demo_files: Path
) -> None:
    """The picture with all AUs at 0 against the model's own, without LoRA: KSampler at CFG 1
    leaves the encoder's bias in; with AU CFG apart, twice the AUs are twice the way."""
    no_lora = demo_scene(demo_files, lora=False)
    neutral = no_lora.apply(AUVector.zeros())
    assert (neutral.sample(cfg=1.0) - no_lora.sample(cfg=1.0)).abs().max() > 0.05
    smile = no_lora.apply(SMILE)
    start = one_prediction(smile, neutral.positive)
    once, twice = (guided(smile, 1.0, scale, steps=1) - start for scale in (2.0, 4.0))
    assert_near(2 * once, twice)


def test_regions_keep_their_masks_in_the_prediction_without_aus(scene: Scene) -> None:
    """Two regions of one adapter, each with a mask of its own on the conditioning: with AUs of
    zero everywhere, AU CFG changes nothing."""
    zero = AUVector.zeros()
    one, other = scene.apply(zero, mask=LEFT), scene.apply(zero, mask=1 - LEFT)
    (both,) = core.ConditioningCombine().combine(one.positive, other.positive)
    (negative,) = core.ConditioningCombine().combine(one.negative, other.negative)
    faces = replace(one, positive=both, negative=negative)
    assert_near(guided(faces, 3.0, 7.0, steps=1), guided(faces, 3.0, 3.0, steps=1))


def test_others_find_the_positive_first_and_their_own_functions_called(applied: Scene) -> None:
    """What IP-Adapter and its like read: 0 is the positive, 1 the negative, and nothing else."""
    seen, called = [], []

    def note(executor: Callable, x: Tensor, *args: Any, **options: Any) -> Tensor:
        (known,) = (each for each in args if isinstance(each, dict))
        seen.append(tuple(known["cond_or_uncond"]))
        return executor(x, *args, **options)

    def before(args: dict[str, Any]) -> list[Tensor]:
        called.append(len(args["conds_out"]))
        return args["conds_out"]

    model = applied.model.clone()
    model.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, "note", note)
    model.set_model_sampler_pre_cfg_function(before)
    guided(replace(applied, model=model), 3.0, 5.0, steps=1)
    assert sorted(index for call in seen for index in call) == [0, 0, 1]
    assert seen[-1] == (0,) and called == [2]


def test_other_changes_of_the_guidance_hold(applied: Scene) -> None:
    """Rescale CFG acts on the text's part as in any guider."""
    (rescaled,) = RescaleCFG().patch(applied.model, 0.7)
    changed = guided(replace(applied, model=rescaled), 5.0, 6.0)
    assert (changed - guided(applied, 5.0, 6.0)).abs().max() > 0.01


def test_the_inputs_are_left_as_they_were(applied: Scene) -> None:
    before = [dict(extra["model_conds"]) for _, extra in applied.positive]
    guided(applied, 3.0, 5.0)
    assert before == [extra["model_conds"] for _, extra in applied.positive]
