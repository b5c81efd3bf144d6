"""A bundled model whose latents have more channels than Stable Diffusion's, in core's own nodes."""

from __future__ import annotations

from pathlib import Path

import latent_preview
import pytest
import torch
from au_adapter_pack.nodes.demo_model import load_clip, load_model, load_vae
from au_adapter_pack.nodes.magicface_model import load_unet
from comfy.cli_args import LatentPreviewMethod
from sampling import run
from tiny_demo import demo_unet, write_base
from torch import Tensor

import nodes as core
from au_adapter import AUVector
from au_adapter.bundled import MAGICFACE, load_diffusers_pipeline
from au_adapter.models.magicface import MagicFace, widen_unet
from au_adapter.weights.autoencoder_files import save_colours
from au_adapter.weights.magicface_files import DENOISING, ID_ENCODER, save_networks
from tools.pack_bundled import pack

CHANNELS = 16


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_base(tmp_path, CHANNELS)


def sample(folder: Path, latent: Tensor, denoise: float = 1.0) -> Tensor:
    (text,) = core.CLIPTextEncode().encode(load_clip(folder), "a young man")
    arguments = (1, 2, 3.0, "euler", "normal", text, text, {"samples": latent}, denoise)
    (out,) = core.KSampler().sample(load_model(folder), *arguments)
    return out["samples"]


def test_an_empty_latent_of_core_becomes_a_picture(folder: Path) -> None:
    (empty,) = core.EmptyLatentImage().generate(128, 64, 2)
    latents = sample(folder, empty["samples"])
    assert latents.shape == (2, CHANNELS, 8, 16)
    (pictures,) = core.VAEDecode().decode(load_vae(folder), {"samples": latents})
    assert pictures.shape == (2, 64, 128, 3)


def test_a_photo_is_drawn_anew_from_its_own_latents(folder: Path) -> None:
    vae = load_vae(folder)
    (encoded,) = core.VAEEncode().encode(vae, torch.rand(1, 64, 64, 3))
    assert encoded["samples"].shape == (1, CHANNELS, 8, 8)
    assert vae.latent_channels == CHANNELS
    assert sample(folder, encoded["samples"], denoise=0.5).shape == (1, CHANNELS, 8, 8)


def test_latents_have_the_scale_of_the_pipeline(folder: Path) -> None:
    latents = torch.randn(1, CHANNELS, 8, 8)
    scaled = load_model(folder).model.process_latent_in(latents)
    torch.testing.assert_close(
        scaled, latents * load_diffusers_pipeline(folder).vae.config.scaling_factor
    )


def test_the_colours_beside_the_model_make_previews(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(latent_preview.args, "preview_method", LatentPreviewMethod.Latent2RGB)
    factors = torch.zeros(CHANNELS, 3)
    factors[2, 0] = 0.5
    save_colours(folder, factors, torch.tensor([0.0, 1.0, -1.0]))
    previewer = latent_preview.get_previewer("cpu", load_model(folder).model.latent_format)
    preview = previewer.decode_latent_to_preview(torch.ones(1, CHANNELS, 8, 16))
    assert preview.size == (16, 8)
    assert preview.getpixel((0, 0)) == (191, 255, 0)


def test_without_colours_there_are_no_previews(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(latent_preview.args, "preview_method", LatentPreviewMethod.Latent2RGB)
    assert latent_preview.get_previewer("cpu", load_model(folder).model.latent_format) is None


def test_four_channels_of_the_bundled_autoencoder_are_not_stable_diffusions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A preview in Stable Diffusion's colours is a ghoul."""
    monkeypatch.setattr(latent_preview.args, "preview_method", LatentPreviewMethod.Latent2RGB)
    folder = write_base(tmp_path, 4)
    assert latent_preview.get_previewer("cpu", load_model(folder).model.latent_format) is None
    save_colours(folder, torch.zeros(4, 3), torch.tensor([0.0, 1.0, -1.0]))
    previewer = latent_preview.get_previewer("cpu", load_model(folder).model.latent_format)
    assert previewer.decode_latent_to_preview(torch.ones(1, 4, 8, 8)).getpixel((0, 0)) == (
        127,
        255,
        0,
    )


def test_a_packed_magicface_of_these_latents_edits(folder: Path) -> None:
    unet = demo_unet(CHANNELS)
    save_networks(MagicFace(widen_unet(unet), unet), folder / "magicface.safetensors")
    pack(folder / "packed", magicface=folder)
    file = folder / "packed" / "magicface" / MAGICFACE
    (text,) = core.CLIPTextEncode().encode(load_clip(folder), "a young man")
    vae, face = load_vae(folder), torch.rand(1, 64, 64, 3)
    seen = {"vae": vae, "image": face, "conditioning": text}
    (identity,) = run("AUA_MagicFaceIDEncoder", id_encoder=load_unet(file, ID_ENCODER), **seen)
    model, positive, negative, latent = run(
        "AUA_ApplyMagicFace",
        **{"model": load_unet(file, DENOISING), "positive": text, "negative": text},
        **{"magicface_id": identity, "vae": vae, "background": face * 0},
        au_vector=AUVector.parse("12E"),
    )
    sampler = (2, 3.0, "euler", "normal")
    (edited,) = core.KSampler().sample(model, 1, *sampler, positive, negative, latent)
    assert edited["samples"].shape == (1, CHANNELS, 8, 8)
    assert torch.isfinite(edited["samples"]).all()
