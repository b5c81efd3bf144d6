"""Networks on a GPU, pictures on the CPU or, with --gpu-only, on the GPU too: nothing meets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import comfy.model_management
import pytest
import torch
from au_adapter_pack.nodes.compat import folder_paths
from au_adapter_pack.nodes.demo_model import load_model, load_vae
from au_adapter_pack.nodes.magicface_model import load_unet
from face_pictures import TASK, picture
from pretended_device import DEVICE, pretended_device
from sampling import SIZE, Scene, demo_scene, run
from tiny_magicface import TINY, write_published
from torch import Tensor
from torch.nn.functional import interpolate

import nodes as core
from au_adapter import AUVector
from au_adapter.estimators.reading import Reading, ReadingSet
from au_adapter.faces.squares import FaceCrop
from au_adapter.facs import SET_A

FILE = "diffusion_pytorch_model.safetensors"
CPU = torch.device("cpu")


@pytest.fixture(params=[CPU, DEVICE], ids=["pictures on the CPU", "gpu only"])
def pictures_on(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator:
    """ComfyUI on a machine whose GPU is pretended; gives the device of its pictures."""
    management = comfy.model_management
    for name in ("get_torch_device", "vae_device", "text_encoder_device"):
        monkeypatch.setattr(management, name, lambda: DEVICE)
    monkeypatch.setattr(management, "intermediate_device", lambda: request.param)
    monkeypatch.setattr(management, "get_free_memory", _plenty)
    monkeypatch.setattr(management, "get_total_memory", _plenty)
    monkeypatch.setattr(management, "current_loaded_models", [])
    monkeypatch.setattr(management, "soft_empty_cache", lambda *_: None)
    with pretended_device(), torch.no_grad():
        yield request.param


@pytest.fixture(scope="module")
def prompts(demo_files: Path) -> Scene:
    """Prompts, as ComfyUI's text encoders leave them, on the CPU."""
    return demo_scene(demo_files)


def _plenty(dev: object = None, torch_free_too: bool = False, torch_total_too: bool = False):
    amount = 64 * 2**30
    return (amount, amount) if torch_free_too or torch_total_too else amount


def test_the_aus_reach_a_sampler(
    prompts: Scene, pictures_on: torch.device, demo_files: Path
) -> None:
    scene = replace(prompts, model=load_model(demo_files))
    mask = torch.zeros(1, SIZE, SIZE, device=pictures_on)
    mask[..., : SIZE // 2] = 1
    pair = AUVector.stack([AUVector.parse("6C+12E"), AUVector.parse("1C+4E")])
    for settings in ({}, {"mask": mask}, {"start": 0.2, "end": 0.8}):
        drawn = scene.apply(pair, **settings).sample(batch=2)
        assert drawn.device == pictures_on


def test_an_identity_reaches_a_sampler(
    pictures_on: torch.device, demo_files: Path, tmp_path: Path
) -> None:
    folder = write_published(tmp_path)
    model, id_encoder = (
        load_unet(folder / name / FILE, name) for name in ("denoising_unet", "ID_enc")
    )
    text = [(torch.randn(1, 77, TINY["cross_attention_dim"]), {})]
    vae = load_vae(demo_files)
    face, background = torch.rand(2, 1, 64, 64, 3, device=pictures_on)
    (identity,) = run(
        "AUA_MagicFaceIDEncoder", id_encoder=id_encoder, vae=vae, image=face, conditioning=text
    )
    crop = FaceCrop((0,), torch.tensor([[0, 0, 64, 64]]), torch.ones(1, 64, 64), (64, 64))
    for cut in (None, crop):
        model_out, positive, negative, latent = run(
            "AUA_ApplyMagicFace",
            model=model,
            positive=text,
            negative=text,
            magicface_id=identity,
            vae=vae,
            background=background,
            au_vector=AUVector.stack([AUVector.parse("12D"), AUVector.parse("4C")]),
            face_crop=cut,
        )
        (drawn,) = core.KSampler().sample(
            model_out, 1, 2, 3.0, "euler", "normal", positive, negative, latent
        )
        assert drawn["samples"].device == pictures_on


def small_photo() -> Tensor:
    photo = picture("astronaut.png").movedim(-1, 1)
    return interpolate(photo, size=(256, 256), mode="area").movedim(1, -1)


@pytest.fixture
def face_files(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = ([str(TASK.parent)], {".task", ".tflite"})
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "face_analysis", folder)


@pytest.mark.parametrize("file", ["face_landmarker.task", "demo regressor"])
def test_faces_are_read_and_measured(
    pictures_on: torch.device, face_files: None, file: str
) -> None:
    images = small_photo().to(pictures_on)
    (reader,) = run("AUA_LoadFaceReader", file=file)
    neutral = {} if file == "demo regressor" else {"neutral": images}
    vector, seen, _, drawn = run("AUA_AUEstimator", image=images, face_reader=reader, **neutral)
    assert drawn.shape == images.shape and seen.pictures == 1
    for source in (images, images.cpu()):
        _, _, table = run(
            "AUA_AUEvaluator",
            images=images * 0.9,
            au_vector=vector,
            source=source,
            face_reader=reader,
        )
        assert "background" in table


def test_a_face_is_cut_out_and_pasted_back(pictures_on: torch.device, face_files: None) -> None:
    image = small_photo().to(pictures_on)
    mask = torch.ones(1, 64, 64, device=pictures_on)
    for rule, chosen in (("whole person", None), ("face only", mask)):
        crop, face, background = run(
            "AUA_PrepareMagicFace", image=image, face=0, mask_rule=rule, size=64, mask=chosen
        )
        assert len(face) == len(background) == 1
        for edited in (face, face.to(pictures_on)):
            (pasted,) = run(
                "AUA_PasteFace",
                image=image,
                face_crop=crop,
                au_vector=AUVector.parse("12D"),
                feather=4.0,
                edited=edited,
            )
            assert pasted.shape == image.shape


def test_a_sweep_is_fitted(pictures_on: torch.device, prompts: Scene) -> None:
    levels = torch.linspace(0, 5, 6)
    asked = AUVector((12,), levels[:, None])
    faces = [
        Reading(n, 0, (0, 0, 9, 9), 0.9, AUVector.from_dict({12: float(level)}, SET_A))
        for n, level in enumerate(levels)
    ]
    run(
        "AUA_CalibrateAUAdapter",
        au_adapter=prompts.adapter,
        au_vector=asked,
        au_reading=ReadingSet("by hand", 6, tuple(faces)),
        images=torch.rand(6, 32, 32, 3, device=pictures_on),
    )
