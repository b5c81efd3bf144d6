"""The models of the Stable Diffusion workflows, small: checkpoint and adapter files of their
layout under the names in the graphs, read by ComfyUI's stock loader and ours.

Core knows a Stable Diffusion UNet by the widths that were published, so these have them, on a
single level. Their text encoders are too large to make for a test: the text is random.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from au_adapter_pack.nodes.compat import UNetModel, folder_paths
from au_adapter_pack.nodes.sd_unet import read_unet
from comfy.model_base import ModelType
from safetensors.torch import save_file
from sampling import Scene, first_step, run
from shipped import api_graph
from torch import Tensor

import nodes as core
from au_adapter import AUAdapter
from au_adapter.models.adapter import AUAdapterConfig
from au_adapter.weights.adapter_files import save_adapter

FAMILIES = {
    "au_sd15": {"context_dim": 768, "use_linear_in_transformer": False, "num_heads": 8},
    "au_sd21": {"context_dim": 1024, "use_linear_in_transformer": True, "num_head_channels": 64},
}


def inputs_of(name: str, kind: str) -> dict[str, Any]:
    """The inputs of a workflow's node of a kind."""
    (found,) = (n["inputs"] for n in api_graph(name).values() if n["class_type"] == kind)
    return found


def write_checkpoint(path: Path, family: dict[str, Any]) -> None:
    """A UNet of random weights under the names of a Stable Diffusion checkpoint, 50 MB."""
    unet = UNetModel(
        image_size=32, in_channels=4, out_channels=4, model_channels=320, num_res_blocks=[1],
        channel_mult=[1], transformer_depth=[1], transformer_depth_output=[1, 1],
        transformer_depth_middle=1, use_spatial_transformer=True, legacy=False, **family,
    )  # fmt: skip
    generator = torch.Generator().manual_seed(3)
    weights = {
        f"model.diffusion_model.{name}": 0.05 * torch.randn(w.shape, generator=generator).half()
        for name, w in unet.state_dict().items()
    }
    save_file(weights, path)


@pytest.fixture(params=FAMILIES, scope="module")
def scene(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """The workflow's MODEL and adapter, from files under the names in its graph."""
    name, folder = request.param, tmp_path_factory.mktemp(request.param)
    checkpoint = inputs_of(name, "CheckpointLoaderSimple")["ckpt_name"]
    file = inputs_of(name, "AUA_LoadAUAdapter")["file"]
    write_checkpoint(folder / checkpoint, FAMILIES[name])
    with pytest.MonkeyPatch.context() as patch, torch.inference_mode():
        for kind in ("checkpoints", "au_adapter"):
            place = ([str(folder)], {".safetensors"})
            patch.setitem(folder_paths.folder_names_and_paths, kind, place)
        model, *_ = core.CheckpointLoaderSimple().load_checkpoint(checkpoint)
        save_adapter(adapter_for(model), folder / file)
        (adapter,) = run("AUA_LoadAUAdapter", file=file, lora_strength=1.0)
    text = torch.randn(2, 1, 77, adapter.config.width, generator=torch.Generator().manual_seed(4))
    return Scene(model, [[text[0], {}]], [[text[1], {}]], adapter)


def adapter_for(model: Any) -> AUAdapter:
    """An adapter of random weights for a MODEL."""
    unet = read_unet(model)
    torch.manual_seed(5)
    config = AUAdapterConfig(
        units=(1, 2, 4, 5, 6, 9, 12, 15, 17, 20, 25, 26), encoder="res_mlp64", width=unet.width,
        layers=unet.layers,
    )  # fmt: skip
    return AUAdapter(config)


def test_core_takes_the_checkpoint_for_what_it_is(scene: Scene) -> None:
    assert scene.model.model.model_type == ModelType.EPS
    kind = type(scene.model.model.model_config).__name__
    assert kind == {768: "SD15", 1024: "SD20"}[scene.adapter.config.width]
    assert len(read_unet(scene.model).layers) == 4  # one down, the middle, two up


def test_the_workflows_aus_change_the_prediction(scene: Scene) -> None:
    aus = "6C+12D+25B"
    plain, applied = first_step(scene, 7.5), first_step(scene.apply(aus), 7.5)
    assert applied.isfinite().all()
    assert _spread(applied - plain) > 1e-3 * _spread(plain)
    assert torch.equal(first_step(scene.apply(aus, strength=0.0), 7.5), plain)


def test_regions_and_masks_there_too(scene: Scene) -> None:
    """Square masks on one level: the same AUs in both halves are those without masks."""
    left = torch.zeros(1, 64, 64)
    left[:, :, :32] = 1
    halves = scene.apply("12D", mask=left).apply("12D", mask=1 - left)
    expected = first_step(scene.apply("12D"), 7.5)
    assert _spread(first_step(halves, 7.5) - expected) < 1e-3 * _spread(expected)


def _spread(latents: Tensor) -> float:
    return float(latents.std())
