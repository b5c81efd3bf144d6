"""Apply AU-Adapter beside everything else that acts on a MODEL: samplers, guiders, other packs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import comfy_extras.nodes_custom_sampler as custom
import pytest
import torch
from comfy.ldm.modules.attention import optimized_attention
from comfy.model_management import InterruptProcessingException
from comfy.patcher_extension import WrappersMP
from sampling import SIZE, STEPS, Scene, demo_scene
from torch import Tensor

import nodes as core

SMILE = "12E"


@pytest.fixture(scope="module")
def scene(demo_files: Path) -> Scene:
    return demo_scene(demo_files)


@pytest.fixture(scope="module")
def applied(scene: Scene) -> Scene:
    with torch.inference_mode():
        return scene.apply(SMILE)


def latent() -> dict[str, Tensor]:
    return {"samples": torch.zeros(1, 4, SIZE, SIZE)}


def sampler_and_sigmas(model: object) -> tuple:
    return (
        custom.KSamplerSelect.execute("euler").args[0],
        custom.BasicScheduler.execute(model, "normal", STEPS, 1.0).args[0],
    )


def advanced(scene: Scene) -> Tensor:
    return core.KSamplerAdvanced().sample(
        scene.model, "enable", 1, STEPS, 3.0, "euler", "normal", scene.positive, scene.negative,
        latent(), 0, 10000, "disable",
    )[0]["samples"]  # fmt: skip


def in_two_halves(scene: Scene) -> Tensor:
    """The first step in one node, the others in a second one."""
    settings = (1, STEPS, 3.0, "euler", "normal", scene.positive, scene.negative)
    node = core.KSamplerAdvanced()
    (half,) = node.sample(scene.model, "enable", *settings, latent(), 0, 1, "enable")
    return node.sample(scene.model, "disable", *settings, half, 1, 10000, "disable")[0]["samples"]


def sampler_custom(scene: Scene) -> Tensor:
    sampler, sigmas = sampler_and_sigmas(scene.model)
    return custom.SamplerCustom.execute(
        scene.model, True, 1, 3.0, scene.positive, scene.negative, sampler, sigmas, latent()
    ).args[0]["samples"]


def guided(scene: Scene, guider: object) -> Tensor:
    noise = custom.RandomNoise.execute(1).args[0]
    return custom.SamplerCustomAdvanced.execute(
        noise, guider, *sampler_and_sigmas(scene.model), latent()
    ).args[0]["samples"]


def cfg_guider(scene: Scene) -> Tensor:
    guider = custom.CFGGuider.execute(scene.model, scene.positive, scene.negative, 3.0).args[0]
    return guided(scene, guider)


def dual_cfg_guider(scene: Scene) -> Tensor:
    """With the same prompt twice, plain guidance, but three conditionings in every batch."""
    prompts = (scene.positive, scene.positive, scene.negative)
    guider = custom.DualCFGGuider.execute(scene.model, *prompts, 1.0, 3.0, "regular").args[0]
    return guided(scene, guider)


@pytest.mark.parametrize(
    "sample", [advanced, in_two_halves, sampler_custom, cfg_guider, dual_cfg_guider]
)
def test_every_sampler_draws_what_the_ksampler_draws(
    applied: Scene, sample: Callable[[Scene], Tensor]
) -> None:
    torch.testing.assert_close(sample(applied), applied.sample(), atol=1e-3, rtol=0)


def test_a_guider_without_negative(applied: Scene) -> None:
    guider = custom.BasicGuider.execute(applied.model, applied.positive).args[0]
    torch.testing.assert_close(guided(applied, guider), applied.sample(cfg=1.0), atol=1e-3, rtol=0)


class ForeignReplace:
    """The public contract of IPAdapter: a replacement that sums callbacks and knows no other."""

    def __init__(self, shift: float) -> None:
        self.shifts = [shift]

    def add(self, shift: float) -> None:
        self.shifts.append(shift)

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, extra_options: dict) -> Tensor:
        return optimized_attention(q, k, v, extra_options["n_heads"]) + sum(self.shifts)


def with_foreign(scene: Scene, key: tuple = ("output", 2)) -> Scene:
    model = scene.model.clone()
    replaces = model.model_options["transformer_options"].setdefault("patches_replace", {})
    found = replaces.setdefault("attn2", {}).setdefault(key, ForeignReplace(0.5))
    assert isinstance(found, ForeignReplace)
    return replace(scene, model=model)


@pytest.mark.parametrize("key", [("output", 2), ("output", 2, 0)])
def test_another_packs_replacement_stays_in_either_order(scene: Scene, key: tuple) -> None:
    before = with_foreign(scene, key).apply(SMILE).sample()
    after = with_foreign(scene.apply(SMILE), key).sample()
    assert torch.equal(before, after)
    for alone in (with_foreign(scene, key), scene.apply(SMILE)):
        assert (before - alone.sample()).abs().max() > 0.05


def test_other_packs_attention_overrides_hold(applied: Scene) -> None:
    calls = []

    def override(attention: Callable, *args: object, **options: object) -> Tensor:
        calls.append(1)
        return attention(*args, **options)

    model = applied.model.clone()
    model.model_options["transformer_options"]["optimized_attention_override"] = override
    picture = replace(applied, model=model).sample()
    assert torch.equal(picture, applied.sample())
    assert len(calls) == STEPS * 2 * len(applied.adapter.config.layers)  # self and cross


def failing(scene: Scene, error: BaseException) -> Scene:
    """The second call of the UNet fails."""
    calls = []

    def fail(executor: Callable, *args: object, **options: object) -> Tensor:
        calls.append(1)
        if len(calls) == 2:
            raise error
        return executor(*args, **options)

    model = scene.model.clone()
    model.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, "fail", fail)
    return replace(scene, model=model)


@pytest.mark.parametrize("error", [RuntimeError("stop"), InterruptProcessingException()])
def test_a_run_that_ends_early_leaves_nothing_behind(scene: Scene, error: BaseException) -> None:
    plain = scene.sample()
    applied = scene.apply(SMILE)
    picture = applied.sample()
    with pytest.raises(type(error)):
        failing(applied, error).sample()
    (wrapper,) = next(iter(applied.model.wrappers[WrappersMP.DIFFUSION_MODEL].values()))
    assert wrapper.__self__._known == []
    assert torch.equal(scene.sample(), plain)
    assert torch.equal(applied.sample(), picture)


def test_terms_are_computed_once_in_a_run(applied: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    (wrapper,) = next(iter(applied.model.wrappers[WrappersMP.DIFFUSION_MODEL].values()))
    compute, calls = type(wrapper.__self__)._compute, []
    monkeypatch.setattr(
        type(wrapper.__self__), "_compute", lambda *args: calls.append(1) or compute(*args)
    )
    applied.sample()
    assert len(calls) == 2  # the positive and the negative
