"""The bundled MagicFace: a choice of Load MagicFace, on the text and the VAE of Load Demo Model."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from au_adapter_pack.nodes.compat import folder_paths
from au_adapter_pack.nodes.demo_model import load_clip, load_vae
from sampling import NODE, run
from tiny_magicface import write_published

import nodes as core
from au_adapter import AUVector
from au_adapter.bundled import MAGICFACE, magicface_folder
from au_adapter.cli.convert import convert_files as convert


@pytest.fixture
def folders(demo_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A person's models/magicface, with the bundled folder behind it; returns the former."""
    places = [str(tmp_path), str(demo_files / "magicface")]
    monkeypatch.setitem(
        folder_paths.folder_names_and_paths, "magicface", (places, {".safetensors"})
    )
    return tmp_path


def choices() -> list[str]:
    return NODE["AUA_LoadMagicFace"].define_schema().inputs[0].options


def test_the_entry_puts_the_bundled_folder_behind_models_magicface() -> None:
    first, *others = folder_paths.get_folder_paths("magicface")
    assert Path(first) == Path(folder_paths.models_dir, "magicface")
    assert Path(others[-1]) == magicface_folder()


def test_it_is_a_choice_beside_others_and_what_a_new_node_has(folders: Path) -> None:
    convert(write_published(folders / "published"), folders / "own.safetensors")
    assert {MAGICFACE, "own.safetensors"} <= {*choices()}
    for field in NODE["AUA_LoadMagicFace"].define_schema().inputs:
        assert field.default == MAGICFACE and field.default in field.options


def test_it_edits_what_the_bundled_model_encodes(folders: Path, demo_files: Path) -> None:
    model, id_encoder = run(
        "AUA_LoadMagicFace", denoising_file=MAGICFACE, id_encoder_file=MAGICFACE
    )
    (text,) = core.CLIPTextEncode().encode(load_clip(demo_files), "A close up of a person.")
    vae, face = load_vae(demo_files), torch.rand(1, 64, 64, 3)
    seen = {"vae": vae, "image": face, "conditioning": text}
    (identity,) = run("AUA_MagicFaceIDEncoder", id_encoder=id_encoder, **seen)
    drawn = []
    for aus in ("12E", ""):
        applied = run(
            "AUA_ApplyMagicFace",
            **{"model": model, "positive": text, "negative": text, "magicface_id": identity},
            **{"vae": vae, "background": face * 0, "au_vector": AUVector.parse(aus)},
        )
        sampler = (2, 3.0, "euler", "normal")
        drawn.append(core.KSampler().sample(applied[0], 1, *sampler, *applied[1:])[0]["samples"])
    assert drawn[0].shape == (1, 4, 8, 8) and torch.isfinite(drawn[0]).all()
    assert (drawn[0] - drawn[1]).abs().mean() > 0.01 * drawn[1].std()


def test_a_missing_file_is_a_sentence(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = ([str(folders)], {".safetensors"})
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "magicface", nothing)
    assert choices() == [MAGICFACE]
    for file, advice in ((MAGICFACE, "install AU-Adapter again"), ("x.pt", "into models/magic")):
        with pytest.raises(
            FileNotFoundError, match=f"Load MagicFace: there is no {file} .*{advice}"
        ):
            run("AUA_LoadMagicFace", denoising_file=file, id_encoder_file=file)


def test_the_text_of_another_base_is_a_sentence(folders: Path, demo_files: Path) -> None:
    text = [(torch.zeros(1, 77, 96), {})]
    seen = {"vae": load_vae(demo_files), "image": torch.rand(1, 64, 64, 3), "conditioning": text}
    _, bundled = run("AUA_LoadMagicFace", denoising_file=MAGICFACE, id_encoder_file=MAGICFACE)
    with pytest.raises(
        ValueError, match="96 numbers wide, .* 128 here: .* CLIP of Load Demo Model"
    ):
        run("AUA_MagicFaceIDEncoder", id_encoder=bundled, **seen)
