"""Attention maps of an edit: by hand for one layer, without effect on it, and as a picture."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from diffusers import UNet2DConditionModel
from face_pictures import TASK
from PIL import Image
from tiny_unet import SD15, tiny_unet

from au_adapter.cli import main
from au_adapter.evaluation.attention_sheet import SHOWN, attention_sheet
from au_adapter.methods.magicface_editor import edit_latents
from au_adapter.models.attention_maps import watched
from au_adapter.models.magicface import MagicFace, widen_unet
from tools import face_files

STEPS = 8


@pytest.fixture(scope="module")
def network() -> MagicFace:
    unet = tiny_unet(SD15)
    network = MagicFace(widen_unet(unet), unet).eval().requires_grad_(False)
    torch.manual_seed(1)
    for module in network.unet.modules():  # sharper attention than a fresh network's
        if type(module).__name__ == "Attention":
            module.to_q.weight.mul_(8)
    return network


def edit(network: MagicFace) -> torch.Tensor:
    generator = torch.Generator().manual_seed(2)
    text, photo, behind, noise = (
        torch.randn(shape, generator=generator)
        for shape in ((1, 7, 96), (1, 4, 8, 8), (1, 4, 8, 8), (1, 4, 8, 8))
    )
    change = torch.tensor([[0.0] * 6 + [4.0] + [0.0] * 5])
    return edit_latents(network, text, photo, behind, change, noise, steps=STEPS)


def test_looking_changes_nothing_and_leaves_nothing(network: MagicFace) -> None:
    plain = edit(network)
    with watched(network.unet) as maps:
        seen = edit(network)
    assert torch.equal(plain, seen) and torch.equal(plain, edit(network))
    assert not any(m._forward_pre_hooks or m._forward_hooks for m in network.unet.modules())
    own, cross = maps.maps("self"), maps.maps("cross")
    assert own.shape == cross.shape == (STEPS, 8, 8)
    # What all receive together is all there is, at every step.
    assert torch.allclose(own.mean((1, 2)), torch.ones(STEPS), atol=1e-4)
    assert own.std((1, 2)).min() > 0.01 and cross.min() >= 0 and cross.max() <= 1
    assert (own[0] - own[-1]).abs().max() > 1e-3


def test_a_map_is_that_of_the_layer_by_hand() -> None:
    """One layer of each kind, whose probabilities diffusers computes itself."""
    torch.manual_seed(4)
    unet = UNet2DConditionModel(
        sample_size=4, block_out_channels=(32,), layers_per_block=1, cross_attention_dim=16,
        down_block_types=("CrossAttnDownBlock2D",), up_block_types=("UpBlock2D",),
        mid_block_type=None, attention_head_dim=4, norm_num_groups=8,
    ).eval()  # fmt: skip
    (block,) = unet.down_blocks[0].attentions[0].transformer_blocks
    heard = {}
    for name in ("attn1", "attn2"):
        getattr(block, name).register_forward_pre_hook(
            lambda module, inputs, options, name=name: heard.update({name: (inputs[0], options)}),
            with_kwargs=True,
        )
    text, latents = torch.randn(2, 5, 16), torch.randn(2, 4, 4, 4)
    with watched(unet) as maps, torch.no_grad():
        unet(latents, 7, text)
    for kind, attention, name in (("self", block.attn1, "attn1"), ("cross", block.attn2, "attn2")):
        hidden, options = heard[name]
        source = options.get("encoder_hidden_states")
        query = attention.head_to_batch_dim(attention.to_q(hidden))
        key = attention.head_to_batch_dim(attention.to_k(hidden if source is None else source))
        shares = attention.get_attention_scores(query, key).unflatten(0, (2, -1))[1].mean(0)
        right = 16 * shares.mean(0) if kind == "self" else 1 - shares[:, 0]
        assert torch.allclose(maps.maps(kind)[0].flatten(), right, atol=1e-5)


def test_maps_become_a_picture(network: MagicFace) -> None:
    with watched(network.unet) as maps:
        edit(network)
    sheet = attention_sheet(maps, torch.rand(64, 64, 3), "AU12 +4")
    assert sheet.width > SHOWN * 128 and sheet.height > 2 * 128
    colours = len(sheet.getcolors(1 << 24))
    assert colours > 1000


def test_an_edit_of_a_photo_leaves_a_sheet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AU_ADAPTER_FACE_LANDMARKER", str(TASK))
    photo = str(face_files.PHOTOS / "astronaut.png")
    words = ["edit", photo, "--aus", "12D", "--output", str(tmp_path), "--steps", "3"]
    words += ["--estimator", "demo", "--attention"]
    answer = CliRunner().invoke(main, [*words, "--set", "mask_rule=face only"])
    assert answer.exit_code == 0, answer.output
    (sheet,) = (tmp_path / "attention").glob("*.png")
    assert sheet.name == "astronaut_s0_AU12D.png" and Image.open(sheet).width > 3 * 128
    answer = CliRunner().invoke(main, [*words, "--method", "au-adapter-sdedit"])
    assert answer.exit_code == 1 and "leave --attention out" in answer.output
