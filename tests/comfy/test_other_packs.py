"""Beside other packs and core's own patches: both effects, whichever node comes first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import comfy.cldm.cldm
import comfy.controlnet
import comfy.ops
import comfy.sd
import pytest
import torch
from au_adapter_pack.nodes.sd_unet import BlockKey, block_key, read_unet
from comfy.ldm.modules.attention import optimized_attention
from comfy_extras.nodes_freelunch import FreeU_V2
from comfy_extras.nodes_pag import PerturbedAttentionGuidance
from comfy_extras.nodes_sag import SelfAttentionGuidance
from other_packs import ImageAdapter, image_attention
from predicting import predict
from sampling import SIZE, STEPS, Scene, demo_scene
from tiny_demo import write_demo
from torch import Tensor

import nodes as core
from au_adapter import AUAdapter, AUVector

SMILE = "6C+12E"
Effect = Callable[[Scene], Scene]


@pytest.fixture(scope="module")
def scene(demo_files: Path) -> Scene:
    """Without the LoRA, which is no part of Eq. 5."""
    return demo_scene(demo_files, lora=False)


@pytest.fixture(scope="module")
def trajectory() -> dict[int, Tensor]:
    generator = torch.Generator().manual_seed(9)
    return {t: torch.randn(2, 4, SIZE, SIZE, generator=generator) for t in (900, 100)}


def predictions(scene: Scene, trajectory: dict[int, Tensor]) -> Tensor:
    return predict(scene.model, scene.positive, scene.negative, trajectory)


def with_image(scene: Scene, adapter: ImageAdapter) -> Scene:
    return replace(scene, model=adapter.patch(scene.model, blocks_of(scene)))


def blocks_of(scene: Scene) -> dict[str, BlockKey]:
    modules = read_unet(scene.model).modules
    return {path: block_key(module) for path, module in modules.items()}


def equation_5(scene: Scene, image: ImageAdapter, strength: float) -> Scene:
    """FineFace Eq. 5 written out in every cross-attention, without our nodes:
    Z = Attn(Q, text) + weight * Attn(Q, image) + strength * Attn(Q, AU)."""
    adapter, model = scene.adapter, scene.model.clone()
    tokens = torch.cat([adapter.encode(AUVector.parse(SMILE)), adapter.encode_zero()])
    replaces = {
        block: _sum_of_three(adapter, path, tokens, strength, image.arguments(path))
        for path, block in blocks_of(scene).items()
    }
    model.model_options["transformer_options"]["patches_replace"] = {"attn2": replaces}
    return replace(scene, model=model)


def _sum_of_three(
    adapter: AUAdapter, path: str, tokens: Tensor, strength: float, image: dict
) -> Callable:
    to_k, to_v = adapter.projection("k", path), adapter.projection("v", path)

    def attention(q: Tensor, k: Tensor, v: Tensor, extra_options: dict) -> Tensor:
        heads, sides = extra_options["n_heads"], extra_options["cond_or_uncond"]
        rows = tokens[sides].repeat_interleave(len(q) // len(sides), dim=0)
        text = optimized_attention(q, k, v, heads)
        aus = optimized_attention(q, to_k(rows), to_v(rows), heads)
        return text + image_attention(text, q, k, v, extra_options, **image) + strength * aus

    return attention


@pytest.mark.parametrize("strength", [1.0, -0.5])
def test_ip_adapter_in_either_order_is_equation_5(
    scene: Scene, trajectory: dict[int, Tensor], strength: float
) -> None:
    image = ImageAdapter.random(scene, seed=1)
    first = predictions(with_image(scene, image).apply(SMILE, strength), trajectory)
    second = predictions(with_image(scene.apply(SMILE, strength), image), trajectory)
    expected = predictions(equation_5(scene, image, strength), trajectory)
    assert torch.equal(first, second)
    torch.testing.assert_close(first, expected, atol=1e-5, rtol=1e-5)
    for alone in (with_image(scene, image), scene.apply(SMILE, strength)):
        assert (predictions(alone, trajectory) - first).abs().max() > 0.05


def test_three_packs_that_add_to_one_another(scene: Scene, trajectory: dict[int, Tensor]) -> None:
    """An IP-Adapter, a second one that finds it and calls `add`, and ours, in every order."""
    image, identity = (ImageAdapter.random(scene, seed) for seed in (1, 2))
    nodes: dict[str, Effect] = {
        "image": lambda s: with_image(s, image),
        "identity": lambda s: with_image(s, identity),
        "aus": lambda s: s.apply(SMILE),
    }
    found = {order: _chain(scene, [nodes[n] for n in order], trajectory) for order in ORDERS}
    first = found[ORDERS[0]]
    for prediction in found.values():
        torch.testing.assert_close(prediction, first, atol=1e-5, rtol=1e-5)
    for left_out in nodes:
        others = [node for name, node in nodes.items() if name != left_out]
        assert (_chain(scene, others, trajectory) - first).abs().max() > 0.05


ORDERS = list(permutations(["image", "identity", "aus"]))


def _chain(scene: Scene, nodes: list[Effect], trajectory: dict[int, Tensor]) -> Tensor:
    for node in nodes:
        scene = node(scene)
    return predictions(scene, trajectory)


def patched(node: type, **settings: float) -> Effect:
    """A node of core that takes a MODEL and gives one."""
    return lambda scene: replace(scene, model=node.execute(scene.model, **settings).args[0])


def stock_lora(scene: Scene) -> Scene:
    """What core's LoRA loaders do with a file; on layers that the AU-Adapter's LoRA changes too."""
    generator, weights = torch.Generator().manual_seed(4), read_unet(scene.model).weights
    tensors = {}
    for path, channels in scene.adapter.config.layers.items():
        module = weights[f"{path}.to_q.weight"].removesuffix(".weight")
        for side, shape in (("A", (4, channels)), ("B", (channels, 4))):
            name = f"diffusion_model.{module}.lora_{side}.weight"
            tensors[name] = 0.3 * torch.randn(shape, generator=generator)
    model, _ = comfy.sd.load_lora_for_models(scene.model, None, tensors, 1.0, 0.0)
    assert len(model.patches) >= len(scene.adapter.config.layers)
    return replace(scene, model=model)


def controlnet(scene: Scene) -> Scene:
    """A small ControlNet of random weights, applied by core's node."""
    torch.manual_seed(6)
    settings = {
        "device": "cpu",
        "dtype": torch.float32,
        "operations": comfy.ops.disable_weight_init,
    }
    config = dict(scene.model.model.model_config.unet_config)
    network = comfy.cldm.cldm.ControlNet(hint_channels=3, **{**config, **settings})
    for parameter in network.parameters():
        parameter.data = 0.05 * torch.randn_like(parameter)
    control = comfy.controlnet.ControlNet(network, load_device=torch.device("cpu"))
    hint = torch.rand(1, 8 * SIZE, 8 * SIZE, 3)
    positive, negative = core.ControlNetApplyAdvanced().apply_controlnet(
        scene.positive, scene.negative, control, hint, 1.0, 0.0, 1.0
    )
    return replace(scene, positive=positive, negative=negative)


CORE: dict[str, Effect] = {
    "PAG": patched(PerturbedAttentionGuidance, scale=3.0),
    "SAG": patched(SelfAttentionGuidance, scale=1.0, blur_sigma=2.0),
    "FreeU": patched(FreeU_V2, b1=1.3, b2=1.4, s1=0.9, s2=0.2),
    "LoRA": stock_lora,
    "ControlNet": controlnet,
}


@pytest.fixture(scope="module")
def with_lora(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """FreeU acts where a level is two or four times as wide as the first."""
    return demo_scene(write_demo(tmp_path_factory.mktemp("demo"), widths=(64, 128, 128)))


@pytest.mark.parametrize("name", CORE)
def test_cores_own_patches_in_either_order(with_lora: Scene, name: str) -> None:
    scene, effect = with_lora, CORE[name]
    first, second = one_step(effect(scene).apply(SMILE)), one_step(effect(scene.apply(SMILE)))
    torch.testing.assert_close(first, second, atol=1e-3, rtol=0)  # latents of about 15
    for alone in (effect(scene), scene.apply(SMILE)):
        assert (one_step(alone) - first).abs().max() > 0.05


def one_step(scene: Scene) -> Tensor:
    samples = {"samples": torch.zeros(1, 4, SIZE, SIZE)}
    (out,) = core.KSamplerAdvanced().sample(
        scene.model, "enable", 1, STEPS, 3.0, "euler", "normal", scene.positive, scene.negative,
        samples, 0, 1, "enable",
    )  # fmt: skip
    return out["samples"]
