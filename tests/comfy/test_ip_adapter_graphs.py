"""The shipped graphs with IP-Adapter, run on a real server.

The bundled model stands for Stable Diffusion, and a pack of small random networks, with the nodes
and the contract of IPAdapter_plus and none of its code, for IP-Adapter.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from shipped import MAGICFACE, api_graph, shipped_server

from tools.server import ComfyServer
from tools.stand_ins import IPADAPTER_PLUS

RUNNING = '''
import torch
from comfy.ldm.modules.attention import optimized_attention


class Attention:
    """A replacement that sums callbacks, to which a second IP-Adapter adds its own."""

    def __init__(self, callback):
        self.callbacks = [callback]

    def add(self, callback):
        self.callbacks.append(callback)

    def __call__(self, q, k, v, extra_options):
        out = optimized_attention(q, k, v, extra_options["n_heads"])
        return out + sum(callback(q, extra_options) for callback in self.callbacks)


def load(self, model, preset, **_):
    return model, {"seed": len(preset)}


def seen(weights, tokens, weight):
    to_k, to_v = weights

    def attend(q, extra_options):
        sides = extra_options["cond_or_uncond"]
        rows = tokens[[0 if side == 0 else 1 for side in sides]]
        rows = rows.repeat_interleave(len(q) // len(sides), dim=0).to(q)
        k, v = rows @ to_k.to(q), rows @ to_v.to(q)
        return weight * optimized_attention(q, k, v, extra_options["n_heads"])

    return attend


def apply(self, model, ipadapter, image, weight, **_):
    generator = torch.Generator().manual_seed(ipadapter["seed"])
    network = model.model.diffusion_model
    look = torch.nn.functional.adaptive_avg_pool2d(image.movedim(-1, 1)[:1], 4).reshape(1, 4, -1)
    tokens = torch.cat([look, torch.zeros_like(look)])
    model = model.clone()
    patches = model.model_options["transformer_options"].setdefault("patches_replace", {})
    found = patches["attn2"] = dict(patches.get("attn2", {}))
    for name, module in network.named_modules():
        if name.endswith(".attn2"):
            kind, number = name.split(".")[:2]
            kind = kind.split("_")[0]
            key = (kind, 0 if kind == "middle" else int(number))
            wide = module.to_v.out_features
            weights = [0.3 * torch.randn(12, wide, generator=generator) for _ in range(2)]
            callback = seen(weights, tokens, weight)
            if key in found:
                found[key].add(callback)
            else:
                found[key] = Attention(callback)
    return model, image


for kind in KINDS:
    kind.FUNCTION = "run"
    kind.run = load if "Loader" in kind.__name__ else apply
IPAdapter.run = lambda self, **inputs: apply(self, **inputs)[:1]
'''


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComfyServer]:
    base = tmp_path_factory.mktemp("comfyui")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tools.stand_ins.IPADAPTER_PLUS", IPADAPTER_PLUS + RUNNING)
        with shipped_server(base) as server:
            yield server


def on_the_bundled_model(name: str, steps: int) -> dict[str, dict[str, Any]]:
    """A shipped graph whose loaders are those of the models in the box, in few steps."""
    graph = api_graph(name)
    graph["1"] = {"class_type": "AUA_LoadDemoModel", "inputs": {}}
    for key, node in list(graph.items()):
        kind, inputs = node["class_type"], node["inputs"]
        if kind == "AUA_LoadAUAdapter":
            del graph[key]
        if kind == "AUA_LoadMagicFace":
            inputs.update(denoising_file=MAGICFACE, id_encoder_file=MAGICFACE)
        for each, value in inputs.items():
            if value == ["11", 0] and name != "ipadapter_magicface":
                inputs[each] = ["1", 3]
            if value == 512:
                inputs[each] = 128
        if kind == "KSampler":
            inputs.update(steps=steps, cfg=min(inputs["cfg"], 5.0))
    return graph


def pictures(server: ComfyServer, graph: dict[str, Any], node: str) -> np.ndarray:
    history = server.wait(server.post_prompt(graph))
    found = [np.asarray(one.convert("RGB"), int) for one in server.images(history, node)]
    return np.stack(found)


@pytest.mark.parametrize("name", ["au_sd15_ipadapter", "au_sd15_faceid"])
def test_prompt_person_and_expression_act_together(server: ComfyServer, name: str) -> None:
    graph = on_the_bundled_model(name, steps=3)
    both = pictures(server, graph, "10")
    assert np.array_equal(both, pictures(server, graph, "10"))
    graph["14"]["inputs"]["weight"] = 0.0
    without_person = pictures(server, graph, "10")
    graph = on_the_bundled_model(name, steps=3)
    graph["6"]["inputs"]["strength"] = 0.0
    without_aus = pictures(server, graph, "10")
    for other in (without_person, without_aus):
        assert np.abs(other - both).mean() > 0.5


def test_a_drawn_person_is_edited_and_the_edit_measured(server: ComfyServer) -> None:
    graph = on_the_bundled_model("ipadapter_magicface", steps=12)
    graph["13"]["inputs"]["text"] = "a portrait of a young woman with light skin, blue background"
    graph["16"]["inputs"]["weight"] = 0.1
    history = server.wait(server.post_prompt(graph))
    before, after = (
        np.asarray(server.images(history, node)[0].convert("RGB"), int) for node in ("24", "12")
    )
    changed = (before != after).any(-1)
    assert 0.02 < changed.mean() < 0.9 and not changed[:4].any()
    table = str(history["outputs"]["23"])
    assert "au-adapter mesh estimator" in table and "| mean | 1 |" in table
    plots = server.images(history, "22")
    assert plots and all(np.asarray(plot.convert("RGB")).std() > 1 for plot in plots)
