"""MagicFace's recipe with the alternatives of Table II, and the CLIP that one looks through."""

from __future__ import annotations

import json
import shutil
import tarfile
from pathlib import Path

import pytest
import torch
from diffusers import DDIMScheduler
from pair_pictures import bundled_encoder
from safetensors.torch import load_file, save_file
from tiny_clip import TOKENS, WIDTH, write_clip
from tiny_demo import write_demo
from tiny_unet import SD21, tiny_unet
from transformers import CLIPVisionModel

from au_adapter.bundled import load_diffusers_pipeline
from au_adapter.data.rendered import SAMPLE, load
from au_adapter.methods.magicface_editor import edit_latents
from au_adapter.models.autoencoder import SCALING_FACTOR
from au_adapter.models.magicface import MagicFace, widen_unet
from au_adapter.models.magicface_ablations import ABLATIONS, IDENTITIES
from au_adapter.training.diffusion import stable_diffusion_schedule
from au_adapter.training.pairs import FacePairs
from au_adapter.training.run import train
from au_adapter.weights.clip_vision import load_image_encoder
from au_adapter.weights.magicface_files import load_magicface

TINY = {"steps": 2, "batch_size": 2, "learning_rate": 1e-3, "log_every": 1}
CONTROLNETS = ("controlnet", "controlnet_all")
LEARNS = {  # of each, what looks at the photo
    "conv": "photo.weight",
    "clip": "projection.0.weight",
    "controlnet": "controlnet.controlnet_cond_embedding.weight",
    "controlnet_all": "controlnet.controlnet_cond_embedding.weight",
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first person of the committed sample, where a run may write its caches."""
    folder = tmp_path_factory.mktemp("faces")
    shard = min(SAMPLE.glob("*.tar"))
    with tarfile.open(shard) as whole, tarfile.open(folder / shard.name, "w") as part:
        for entry in whole.getmembers()[: 3 * 4]:
            part.addfile(entry, whole.extractfile(entry))
    return folder


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_demo(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip"))


@pytest.mark.parametrize("identity", ABLATIONS)
def test_two_steps_leave_a_file_to_go_on_from(
    identity: str, data: Path, base: Path, clip: Path, tmp_path: Path
) -> None:
    options = {"base": str(base), "clip": str(clip) if identity == "clip" else None, **TINY}
    result = train("magicface", [data], tmp_path / "run", identity=identity, **options)
    network = load_magicface(result / "magicface.safetensors")
    assert network.options["identity"] == identity
    start = str(result / "magicface.safetensors")
    more = train("magicface", [data], tmp_path / "more", start=start, **options)
    before, after = (n.state_dict() for n in (network, load_magicface(more / Path(start).name)))
    learnt = before[LEARNS[identity]]
    assert learnt.any() and 0 < (learnt - after[LEARNS[identity]]).abs().max() < 0.1
    unet = load_file(base / "unet.safetensors")
    kept = all(torch.equal(before[f"unet.{name}"], unet[name]) for name in unet)
    assert kept == (identity == "controlnet")


@pytest.mark.parametrize("identity", IDENTITIES)
def test_every_identity_edits_a_photo(identity: str) -> None:
    torch.manual_seed(0)
    options = {"clip": "tiny", "clip_width": WIDTH} if identity == "clip" else {}
    unet = tiny_unet(SD21)
    network = (
        ABLATIONS[identity].begin(unet, **options)
        if identity in ABLATIONS
        else MagicFace(widen_unet(unet), unet)
    ).eval()
    photo = torch.randn(1, TOKENS, WIDTH) if identity == "clip" else torch.randn(1, 4, 8, 8)
    text, background = torch.randn(1, 7, 128), torch.randn(1, 4, 8, 8)
    noise = torch.randn(1, 4, 8, 8).expand(2, -1, -1, -1)
    changes = torch.tensor([[0.0] * 12, [3.0] * 12])
    drawn = edit_latents(network, text, photo, background, changes, noise, steps=3)
    assert drawn.shape == (2, 4, 8, 8) and drawn.isfinite().all()
    other = edit_latents(network, text, photo, background, changes, noise, steps=3, guidance=1.0)
    torch.testing.assert_close(other[0], drawn[0])  # no change, nothing to guide
    assert torch.equal(other[1], drawn[1]) == (identity in CONTROLNETS)  # which start deaf


def test_edits_are_drawn_as_diffusers_draws(base: Path) -> None:
    """An untrained ControlNet is the base, whose pipeline is the reference."""
    torch.manual_seed(0)
    pipeline = load_diffusers_pipeline(base)
    pipeline.set_progress_bar_config(disable=True)
    network = ABLATIONS["controlnet"].begin(pipeline.unet)
    text, noise = torch.randn(1, 77, 128), torch.randn(2, 4, 16, 16)
    photo = torch.randn(1, 4, 16, 16)
    drawn = edit_latents(network, text, photo, photo, torch.ones(2, 12), noise, steps=3)
    pipeline.scheduler = DDIMScheduler.from_config(
        stable_diffusion_schedule().config, steps_offset=1, set_alpha_to_one=False
    )
    right = pipeline(
        prompt_embeds=text.expand(2, -1, -1),
        latents=noise,
        num_inference_steps=3,
        guidance_scale=1.0,
        output_type="latent",
    ).images
    torch.testing.assert_close(drawn, right)


def test_settings_that_do_not_go_together_are_named(data: Path, base: Path, clip: Path) -> None:
    cases = {
        "identity 'convolution' is not known: choose encoder, conv, clip": {
            "identity": "convolution"
        },
        "identity=clip needs a folder: --set clip=FOLDER": {"identity": "clip"},
        "identity=conv looks at no CLIP: leave clip out": {"identity": "conv", "clip": str(clip)},
    }
    for sentence, options in cases.items():
        with pytest.raises(ValueError, match=sentence):
            train("magicface", [data], data / "run", base=str(base), **options, **TINY)


def test_a_photo_comes_as_its_tokens_computed_once(
    data: Path, base: Path, clip: Path, tmp_path: Path
) -> None:
    faces, encoder = load(data), load_image_encoder(clip)

    def pairs(**options: object) -> FacePairs:
        return FacePairs([tmp_path], bundled_encoder(base, **options), SCALING_FACTOR)

    shutil.copy(next(data.glob("*.tar")), tmp_path)
    first = pairs(image_encoder=encoder)
    right = encoder.tokens(torch.from_numpy(faces.images) / 255)
    torch.testing.assert_close(first.faces["tokens"].float(), right, atol=2e-3, rtol=1e-3)
    batch = first.draw(3, torch.Generator().manual_seed(1))
    assert batch["photo"].shape == (3, TOKENS, WIDTH) and batch["photo"].dtype == torch.float32
    (kept,) = tmp_path.glob("cache/pairs-*.safetensors")
    tokens = torch.zeros_like(first.faces["tokens"])
    save_file({**load_file(kept), "tokens": tokens}, kept)
    assert not pairs(image_encoder=encoder).faces["tokens"].any()  # read, not computed
    plain = pairs()
    assert torch.equal(plain.faces["backgrounds"], first.faces["backgrounds"])
    batch = plain.draw(3, torch.Generator().manual_seed(1))
    assert "tokens" not in plain.faces and batch["photo"].shape == (3, 4, 16, 16)


@pytest.mark.parametrize("whole", [True, False])
def test_clip_loads_whole_or_alone_and_gives_its_last_layer(whole: bool, tmp_path: Path) -> None:
    folder = write_clip(tmp_path / "tiny", whole)
    encoder = load_image_encoder(folder)
    assert (encoder.name, encoder.width) == ("tiny", WIDTH)
    images = torch.rand(2, 32, 32, 3)
    tokens = encoder.tokens(images)
    mean, std = (torch.tensor(getattr(encoder.processor, f"image_{n}")) for n in ("mean", "std"))
    right = CLIPVisionModel.from_pretrained(folder)(((images - mean) / std).movedim(-1, 1))
    torch.testing.assert_close(tokens, right.last_hidden_state)
    assert tokens.shape == (2, TOKENS, WIDTH) and not tokens.requires_grad


def test_a_folder_that_is_no_clip_is_a_sentence(clip: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no config.json in .*CLIP as transformers saves"):
        load_image_encoder(tmp_path)
    folder = write_clip(tmp_path / "text")
    (folder / "config.json").write_text(json.dumps({"model_type": "clip_text_model"}))
    with pytest.raises(ValueError, match="type 'clip_text_model' without CLIP's image encoder"):
        load_image_encoder(folder)
    folder = write_clip(tmp_path / "part")
    weights = load_file(folder / "model.safetensors")
    save_file(dict(list(weights.items())[1:]), folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match="lacks 1 weights of CLIP's image encoder, such as"):
        load_image_encoder(folder)
