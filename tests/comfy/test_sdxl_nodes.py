"""AU-Adapter on a Stable Diffusion XL in ComfyUI: the same prediction as in diffusers, and a file
that training wrote on it, through the nodes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from au_adapter_pack.nodes.compat import folder_paths
from au_adapter_pack.nodes.diffusers_model import build_model
from au_adapter_pack.nodes.sd_unet import block_key, read_unet
from comfy.model_base import SDXL
from diffusers import UNet2DConditionModel
from sampling import Scene, first_step, run
from tiny_sdxl import UNET, WIDTHS, tiny_sdxl_unet
from tiny_unet import tiny_adapter
from torch import Tensor

from au_adapter import AUVector, apply_to_unet, save_adapter

SIZE = 8
SIDE = 8 * SIZE


@pytest.fixture(scope="module")
def unet() -> UNet2DConditionModel:
    return tiny_sdxl_unet()


def text(seed: int) -> tuple[Tensor, Tensor]:
    """States [1, 7, width] and pooled text [1, width of the second encoder]."""
    generator = torch.Generator().manual_seed(seed)
    states = torch.randn(1, 7, sum(WIDTHS), generator=generator)
    return states, torch.randn(1, WIDTHS[1], generator=generator)


def scene(unet: UNet2DConditionModel, **adapted: object) -> Scene:
    model = build_model(dict(unet.config), dict(unet.state_dict()))
    sides = {"width": SIDE, "height": SIDE, "target_width": SIDE, "target_height": SIDE}
    positive, negative = (
        [[states, {"pooled_output": pooled, **sides}]] for states, pooled in map(text, (1, 2))
    )
    return Scene(model, positive, negative, tiny_adapter(unet, **adapted))


def test_every_block_of_a_deep_transformer_is_found(unet: UNet2DConditionModel) -> None:
    seen = read_unet(scene(unet).model)
    assert isinstance(scene(unet).model.model, SDXL) and seen.width == sum(WIDTHS)
    expected = {n: m.to_v.out_features for n, m in unet.named_modules() if n.endswith("attn2")}
    assert seen.layers == expected and len(expected) == 46
    assert len(set(map(block_key, seen.modules.values()))) == 46
    deep = "mid_block.attentions.0.transformer_blocks.9.attn2"
    assert block_key(seen.modules[deep]) == ("middle", 0, 9)


@pytest.mark.parametrize(
    "adapted",
    [{}, {"encoder": "individual"}, {"sides": True}],
    ids=["res_mlp64", "individual", "sides apart"],
)
def test_comfyui_predicts_what_diffusers_predicts(
    unet: UNet2DConditionModel, adapted: dict
) -> None:
    """The first step of a sampler without guidance, from the same noise."""
    here = scene(unet, **adapted)
    aus = AUVector.parse("L4C+12E" if adapted.get("sides") else "4C+12E")
    found = noise_of(here.apply(aus), unet)
    adapter, (states, pooled) = here.adapter, text(1)
    handle = apply_to_unet(unet, adapter)
    expected = predicted(unet, states, pooled, {"au_tokens": adapter.encode(aus)})
    handle.remove()
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    plain = predicted(unet, states, pooled, None)
    assert (expected - plain).abs().max() > 1e-2
    torch.testing.assert_close(noise_of(here, unet), plain, atol=1e-5, rtol=1e-5)


TIMESTEP = 500
LATENTS = torch.randn(1, 4, SIZE, SIZE, generator=torch.Generator().manual_seed(3))


def predicted(
    unet: UNet2DConditionModel, states: Tensor, pooled: Tensor, attention: dict | None
) -> Tensor:
    sizes = torch.tensor([[SIDE, SIDE, 0, 0, SIDE, SIDE]], dtype=torch.float32)
    return unet(
        LATENTS, TIMESTEP, states, cross_attention_kwargs=attention,
        added_cond_kwargs={"text_embeds": pooled, "time_ids": sizes},
    ).sample  # fmt: skip


def noise_of(given: Scene, unet: UNet2DConditionModel) -> Tensor:
    """The noise that the MODEL predicts for the positive side, by core's own way to it."""
    import comfy.samplers

    guider = comfy.samplers.CFGGuider(given.model)
    guider.set_conds(given.positive, given.negative)
    heard: list[Tensor] = []

    def ask(model: object, x: Tensor, sigmas: Tensor, extra_args: dict, *_: object, **__: object):
        inner, sigma = model.inner_model, sigmas[0]
        noisy = LATENTS * (sigma**2 + 1).sqrt()  # the UNet sees the latents themselves
        (denoised,) = comfy.samplers.calc_cond_batch(
            inner.inner_model, [inner.conds["positive"]], noisy, sigma.expand(1),
            extra_args["model_options"],
        )  # fmt: skip
        heard.append((noisy - denoised) / sigma)
        return x

    sigmas = given.model.get_model_object("model_sampling").sigmas[[TIMESTEP, 0]]
    zero = torch.zeros_like(LATENTS)
    guider.sample(zero, zero, comfy.samplers.KSAMPLER(ask), sigmas)
    return heard[0]


def test_a_file_of_this_base_goes_through_the_nodes(
    unet: UNet2DConditionModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = scene(unet)
    save_adapter(here.adapter, tmp_path / "xl.safetensors")
    place = ([str(tmp_path)], {".safetensors"})
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "au_adapter", place)
    (adapter,) = run("AUA_LoadAUAdapter", file="xl.safetensors", lora_strength=1.0)
    loaded = Scene(here.model, here.positive, here.negative, adapter)
    smiling = first_step(loaded.apply("12E"), 3.0)
    assert smiling.isfinite().all() and torch.equal(smiling, first_step(here.apply("12E"), 3.0))
    plain = first_step(here, 3.0)
    assert not torch.equal(smiling, plain)
    assert torch.equal(first_step(loaded.apply("12E", strength=0.0), 3.0), plain)
    assert loaded.apply("6C+12D").sample(batch=2).isfinite().all()


def test_an_adapter_of_another_base_is_named(unet: UNet2DConditionModel) -> None:
    from tiny_unet import SD21, tiny_unet

    other = tiny_adapter(tiny_unet(SD21))
    with pytest.raises(ValueError, match="46 cross-attention layers of 64 channels, text width 96"):
        scene(unet).apply("12E", au_adapter=other)
    assert UNET["transformer_layers_per_block"][-1] == 10
