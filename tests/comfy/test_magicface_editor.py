"""The library's MagicFace on a photo against the nodes of the workflow magicface_edit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from au_adapter_pack.nodes import apply_magicface, face_edit
from au_adapter_pack.nodes.demo_model import load_clip, load_vae
from face_pictures import SEGMENTER, TASK, picture
from sampling import run

import nodes as core
from au_adapter import AUVector, open_editor
from au_adapter.bundled import FOLDER_VARIABLE, MAGICFACE
from au_adapter.models.magicface import GUIDANCE, PROMPT
from tools import face_files

STEPS, SEED = 4, 7
CHANGE = AUVector.parse("AU6:2+AU12:4+AU4:-1")
TOLERANCE = 2e-3  # of 0..1: ComfyUI counts noise in sigmas, diffusers in timesteps


@pytest.mark.parametrize("mask_rule", ["whole person", "face only"])
def test_an_edit_is_that_of_the_graph(
    demo_files: Path, monkeypatch: pytest.MonkeyPatch, mask_rule: str
) -> None:
    folders = {"face_analysis": [str(face_files.MODELS)]}
    monkeypatch.setattr(face_edit.folder_paths, "get_folder_paths", folders.__getitem__)
    monkeypatch.setattr(
        apply_magicface, "magicface_path", lambda file: demo_files / "magicface" / file
    )
    for variable, value in (
        (FOLDER_VARIABLE, demo_files),
        ("AU_ADAPTER_FACE_LANDMARKER", TASK),
        ("AU_ADAPTER_PERSON_SEGMENTER", SEGMENTER),
    ):
        monkeypatch.setenv(variable, str(value))
    photo = picture("astronaut.png")
    editor = open_editor("magicface", steps=STEPS, mask_rule=mask_rule)
    ours = editor.open(photo).edit(CHANGE, seed=SEED)
    theirs = graph(demo_files, photo, mask_rule)
    assert (theirs - photo).abs().max() > 0.05
    assert (ours - theirs).abs().max() < TOLERANCE


def graph(demo_files: Path, photo: torch.Tensor, mask_rule: str) -> torch.Tensor:
    """The photo through the nodes of magicface_edit, with the sampler that ours is."""
    prepared = {"face": 0, "mask_rule": mask_rule, "size": 128}
    crop, face, background = run("AUA_PrepareMagicFace", image=photo, **prepared)
    files = {"denoising_file": MAGICFACE, "id_encoder_file": MAGICFACE}
    model, id_encoder = run("AUA_LoadMagicFace", **files)
    vae = load_vae(demo_files)
    (text,) = core.CLIPTextEncode().encode(load_clip(demo_files), PROMPT)
    seen = {"vae": vae, "image": face, "conditioning": text}
    (identity,) = run("AUA_MagicFaceIDEncoder", id_encoder=id_encoder, **seen)
    model, positive, negative, latent = run(
        "AUA_ApplyMagicFace",
        **{"model": model, "positive": text, "negative": text, "magicface_id": identity},
        **{"vae": vae, "background": background, "au_vector": CHANGE, "face_crop": crop},
    )
    sampler = (SEED, STEPS, GUIDANCE, "euler", "simple")
    (drawn,) = core.KSampler().sample(model, *sampler, positive, negative, latent)
    (edited,) = core.VAEDecode().decode(vae, drawn)
    pasted = {"image": photo, "face_crop": crop, "au_vector": CHANGE, "feather": 4.0}
    return run("AUA_PasteFace", edited=edited, **pasted)[0]
