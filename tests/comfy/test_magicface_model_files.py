"""Files that are not the MagicFace that the nodes run are refused in one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
from au_adapter_pack.nodes.magicface_model import load_unet
from safetensors.torch import save_file
from tiny_demo import demo_unet
from tiny_magicface import random_unets, write_published

from au_adapter.models.magicface import MagicFace, widen_unet
from au_adapter.models.magicface_ablations import ConvIdentity
from au_adapter.weights.magicface_files import save_networks

FILE = "diffusion_pytorch_model.safetensors"


def test_a_variant_of_the_recipe_is_refused_with_a_way_to_run_it(tmp_path: Path) -> None:
    variants = {
        "'au_encoder': 'mlp_conv'": MagicFace(
            widen_unet(demo_unet(), "mlp_conv"), demo_unet(), "mlp_conv"
        ),
        "'identity': 'conv'": ConvIdentity.begin(demo_unet()),
    }
    released = (
        "the nodes run the released form, {'identity': 'encoder', 'au_encoder': 'linear_time'"
    )
    for option, network in variants.items():
        file = save_networks(network, tmp_path / "variant.safetensors")
        sentence = f"trained with .*{option}.*, and {released}.*: use it from Python"
        with pytest.raises(ValueError, match=sentence):
            load_unet(file, "denoising_unet")


def test_wrong_files_say_what_they_are(tmp_path: Path) -> None:
    published = write_published(tmp_path / "published")
    denoising, id_encoder = (published / n / FILE for n in ("denoising_unet", "ID_enc"))
    with pytest.raises(ValueError, match="holds MagicFace's ID encoder, not MagicFace's denoising"):
        load_unet(id_encoder, "denoising_unet")
    with pytest.raises(ValueError, match="holds MagicFace's denoising UNet, not MagicFace's ID"):
        load_unet(denoising, "ID_enc")
    (tmp_path / "cut.safetensors").write_bytes(denoising.read_bytes()[:1000])
    with pytest.raises(ValueError, match="truncated"):
        load_unet(tmp_path / "cut.safetensors", "denoising_unet")
    weights = random_unets()["denoising_unet"]
    del weights["mid_block.resnets.0.conv1.weight"]
    save_file(weights, tmp_path / "part.safetensors")
    with pytest.raises(ValueError, match=r"lacks 1 weights: middle_block\.0\.in_layers\.2\.weight"):
        load_unet(tmp_path / "part.safetensors", "denoising_unet")
