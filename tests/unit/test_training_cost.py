"""What docs/training.md says of costs, counted on the real shapes without their weights."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from diffusers import AutoencoderKL, DDPMScheduler
from published import SD21, full_unet
from torch.utils.flop_counter import FlopCounterMode
from transformers import CLIPTextConfig, CLIPTextModel

from au_adapter.bases.sd21 import SD21 as FAMILY
from au_adapter.models.adapter import AUAdapter
from au_adapter.training.modes import checkpoint_gradients
from au_adapter.training.recipes.fineface_recipe import AdapterLoss

PAGE = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8")
SPEED = 1e14  # operations a second
HOUR = 3600
GPUS = 64


def loss_on_meta() -> AdapterLoss:
    """What `fineface-sd21` trains: Stable Diffusion 2.1's networks by their shapes alone."""
    blocks = {"block_out_channels": (128, 256, 512, 512), "layers_per_block": 2}
    sides = {f"{way}_block_types": (f"{name}Block2D",) * 4 for way, name in
             (("down", "DownEncoder"), ("up", "UpDecoder"))}  # fmt: skip
    text = CLIPTextConfig(
        hidden_size=1024, intermediate_size=4096, num_hidden_layers=23, num_attention_heads=16
    )
    with torch.device("meta"):
        unet = full_unet.__wrapped__(SD21)  # one of our own, to be changed
        pipeline = SimpleNamespace(
            unet=unet, vae=AutoencoderKL(**blocks, **sides), text_encoder=CLIPTextModel(text),
            scheduler=DDPMScheduler(beta_schedule="scaled_linear"),
        )  # fmt: skip
        adapter = AUAdapter.for_unet(unet, lora_rank=32)
        return AdapterLoss(FAMILY, pipeline, True, adapter=adapter).to("meta")


def one_face() -> dict[str, torch.Tensor]:
    latents = torch.empty(1, 4, 64, 64, device="meta")
    whole = torch.zeros(1, 77, dtype=torch.long, device="meta")
    pictures = torch.empty(1, 512, 512, 3, dtype=torch.uint8, device="meta")
    return {
        "pictures": pictures, "latent_noise": latents, "noise": latents, "tokens": whole,
        "timesteps": whole[:, 0], "weights": latents[:, :1, :1, :1], "aus": latents[:, 0, 0, :12],
    }  # fmt: skip


def kept_face() -> dict[str, torch.Tensor]:
    face = one_face()
    del face["pictures"]
    return {**face, "distributions": torch.empty(1, 8, 64, 64, device="meta")}


def operations(checkpointing: bool, cached: bool = False) -> float:
    """Of one face, forth and back. cached: its latents' distribution is there."""
    module = loss_on_meta().train()
    if checkpointing:
        checkpoint_gradients(module)
    with FlopCounterMode(display=False) as counter:
        module(kept_face() if cached else one_face()).backward()
    return counter.get_total_flops()


def said(pattern: str) -> list[float]:
    """The numbers of a sentence in docs/training.md."""
    match = re.search(pattern, " ".join(PAGE.split()))
    assert match, pattern
    return [float(number.replace(",", "")) for number in match.groups()]


def test_the_page_says_what_a_training_costs() -> None:
    plain, default = operations(False), operations(True)
    defaults = FAMILY.recipe_defaults["fineface"]
    assert defaults["gradient_checkpointing"]
    tera = said(r"([\d.]+) TFLOP a face, ([\d.]+) with gradient checkpointing")
    assert tera == pytest.approx([plain / 1e12, default / 1e12], abs=0.05)
    kept = said(r"on, it is ([\d.]+) TFLOP a face, ([\d.]+) with checkpointing")
    assert kept == pytest.approx([operations(c, cached=True) / 1e12 for c in (0, 1)], abs=0.05)
    faces = defaults["steps"] * defaults["batch_size"]
    hour = default / SPEED / HOUR
    (told,) = said(r"20,000 steps of 16 take ([\d.]+) hours")
    assert told == pytest.approx(faces * hour, abs=0.05)
    times, count, once = said(
        r"([\d.]+) times through the ([\d,]+) faces .*? once takes ([\d.]+)\."
    )
    assert [times, once] == pytest.approx([faces / count, count * hour], abs=0.05)
    many = said(r"50 million faces takes (\d+) hours, or ([\d.]+) on 64 .* (\d+) and ([\d.]+)\.")
    expected = [5e7 * each / SPEED / HOUR for each in (default, plain)]
    assert many[::2] == pytest.approx(expected, abs=0.5)
    assert many[1::2] == pytest.approx([each / GPUS for each in expected], abs=0.05)
