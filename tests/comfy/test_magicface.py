"""MagicFace in ComfyUI's own UNet against a plain reference of the released formulation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import comfy.samplers
import pytest
import torch
from au_adapter_pack.nodes.compat import WrappersMP
from au_adapter_pack.nodes.demo_model import load_vae
from au_adapter_pack.nodes.magicface_model import load_unet
from sampling import run
from tiny_demo import demo_unet, write_base
from tiny_magicface import TINY, WIDE, ReleasedMagicFace, random_unets, write_published
from torch import Tensor

import nodes as core
from au_adapter import AUVector
from au_adapter.cli.convert import convert_files as convert
from au_adapter.faces.squares import FaceCrop
from au_adapter.models.magicface import MagicFace, widen_unet
from au_adapter.weights.magicface_files import save_networks

TOLERANCE = 1e-4  # of the prediction's spread
SIZE = 64  # pixels; 8 cells of the latents
CHANGE = AUVector.parse("AU12:4+AU4:-3")
FILE = "diffusion_pytorch_model.safetensors"


@dataclass(frozen=True)
class Scene:
    """What a graph has before Apply MagicFace."""

    model: Any
    id_encoder: Any
    vae: Any
    face: Tensor
    background: Tensor
    text: Tensor

    @property
    def conditioning(self) -> list:
        return [(self.text, {})]

    def identify(self, face: Tensor | None = None) -> Any:
        return run(
            "AUA_MagicFaceIDEncoder",
            id_encoder=self.id_encoder,
            vae=self.vae,
            image=self.face if face is None else face,
            conditioning=self.conditioning,
        )[0]

    def apply(self, **changes: Any) -> tuple:
        inputs = {
            "model": self.model,
            "positive": self.conditioning,
            "negative": self.conditioning,
            "vae": self.vae,
            "background": self.background,
            "au_vector": CHANGE,
            **changes,
        }
        if "magicface_id" not in inputs:
            inputs["magicface_id"] = self.identify()
        return run("AUA_ApplyMagicFace", **inputs)


def make_scene(folder: Path, demo_files: Path, width: int) -> Scene:
    generator = torch.Generator().manual_seed(2)
    face, background = torch.rand(2, 1, SIZE, SIZE, 3, generator=generator)
    return Scene(
        load_unet(folder / "denoising_unet" / FILE, "denoising_unet"),
        load_unet(folder / "ID_enc" / FILE, "ID_enc"),
        load_vae(demo_files),
        face,
        background,
        torch.randn(1, 77, width, generator=generator),
    )


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_published(tmp_path_factory.mktemp("magicface"))


@pytest.fixture(scope="module")
def scene(published: Path, demo_files: Path) -> Scene:
    return make_scene(published, demo_files, TINY["cross_attention_dim"])


class Trajectory:
    """A sampler that asks, at every sigma of a schedule, for the noise in stored latents."""

    def __init__(self, model: Any, steps: int, batch: int = 1) -> None:
        self.sampling = model.get_model_object("model_sampling")
        self.sigmas = comfy.samplers.calculate_sigmas(self.sampling, "normal", steps)
        generator = torch.Generator().manual_seed(5)
        self.latents = torch.randn(steps, batch, 4, 8, 8, generator=generator)

    def timesteps(self) -> list[float]:
        return [float(self.sampling.timestep(sigma)) for sigma in self.sigmas[:-1]]

    def __call__(self, model: Any, noise: Tensor, sigmas: Tensor, extra_args: dict, **_: Any):
        guider = model.inner_model
        conds = [guider.conds["positive"], guider.conds["negative"]]
        found = []
        for latents, sigma in zip(self.latents, self.sigmas, strict=False):
            x = latents * (sigma**2 + 1).sqrt()  # the UNet sees the latents themselves
            denoised = comfy.samplers.calc_cond_batch(
                guider.inner_model, conds, x, sigma.expand(len(x)), extra_args["model_options"]
            )
            found.append(torch.stack([(x - d) / sigma for d in denoised]))
        self.predictions = torch.stack(found)
        return noise

    def run(self, applied: tuple) -> Tensor:
        """Predictions [steps, 2, batch, 4, 8, 8] for positive and negative."""
        model, positive, negative, _ = applied
        guider = comfy.samplers.CFGGuider(model)
        guider.set_conds(positive, negative)
        zeros = torch.zeros_like(self.latents[0])
        guider.sample(zeros, zeros, comfy.samplers.KSAMPLER(self), self.sigmas)
        return self.predictions


def reference(weights: dict, shape: dict, scene: Scene, path: Trajectory, change: Tensor) -> Tensor:
    """The released formulation along the same trajectory."""
    released = ReleasedMagicFace(weights, shape)
    photo, background = (scene.vae.encode(image) for image in (scene.face, scene.background))
    features = released.features(photo, scene.text)
    return torch.stack(
        [
            torch.stack(
                [
                    released.predict(latents, t, scene.text, features, background, row)
                    for row in (change, 0 * change)
                ]
            )
            for latents, t in zip(path.latents, path.timesteps(), strict=True)
        ]
    )


@pytest.mark.parametrize(("shape", "steps"), [(TINY, 20), (WIDE, 4)], ids=["tiny", "wide"])
def test_comfyui_predicts_what_the_released_formulation_predicts(
    shape: dict, steps: int, demo_files: Path, tmp_path: Path
) -> None:
    weights = random_unets(shape)
    scene = make_scene(write_published(tmp_path, weights), demo_files, shape["cross_attention_dim"])
    path = Trajectory(scene.model, steps)
    found = path.run(scene.apply())
    right = reference(weights, shape, scene, path, CHANGE.dense())
    for step in range(steps):
        error = (found[step] - right[step]).abs().max()
        assert error <= TOLERANCE * right[step].std(), f"step {step}"
    assert (right[:, 0] - right[:, 1]).abs().max() > 30 * TOLERANCE * right.std()


def test_a_batch_of_changes_is_each_change_by_itself(scene: Scene) -> None:
    changes = AUVector.stack([AUVector.parse(t) for t in ("12E", "AU4:-4", "1B+2B")])
    applied = scene.apply(au_vector=changes)
    assert applied[3]["samples"].shape == (3, 4, 8, 8)
    together = Trajectory(scene.model, 2, batch=3).run(applied)
    for row in range(3):
        alone = Trajectory(scene.model, 2, batch=3)
        alone.latents = alone.latents[:, row : row + 1]
        single = alone.run(scene.apply(au_vector=changes.face(row)))
        torch.testing.assert_close(together[:, :, row], single[:, :, 0], atol=1e-5, rtol=1e-4)


def test_two_photos_keep_their_identities(scene: Scene) -> None:
    faces = torch.cat([scene.face, scene.face.flip(2)])
    backgrounds = torch.cat([scene.background, scene.background.flip(1)])
    both = scene.apply(magicface_id=scene.identify(faces), background=backgrounds)
    together = Trajectory(scene.model, 2, batch=2).run(both)
    for row in range(2):
        alone = Trajectory(scene.model, 2, batch=2)
        alone.latents = alone.latents[:, row : row + 1]
        chosen = slice(row, row + 1)
        identity = scene.identify(faces[chosen])
        single = alone.run(scene.apply(magicface_id=identity, background=backgrounds[chosen]))
        torch.testing.assert_close(together[:, :, row], single[:, :, 0], atol=1e-5, rtol=1e-4)


def test_the_halves_of_a_face_change_apart(scene: Scene) -> None:
    """Two changes of one photo, each behind core's mask, on the MODEL of either."""
    identity = scene.identify()
    changes = [AUVector.parse("12E"), AUVector.parse("4E")]
    applied = [scene.apply(magicface_id=identity, au_vector=change) for change in changes]
    mask = torch.zeros(1, SIZE, SIZE)
    mask[..., : SIZE // 2] = 1
    positive = [
        entry
        for (_, side, _, _), part in zip(applied, (mask, 1 - mask), strict=True)
        for entry in core.ConditioningSetMask().append(side, part, "default", 1.0)[0]
    ]
    model, _, negative, latent = applied[0]
    both = Trajectory(scene.model, 1).run((model, positive, negative, latent))
    left, right = (Trajectory(scene.model, 1).run(one) for one in applied)
    torch.testing.assert_close(both[..., :4], left[..., :4], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(both[:, 0, ..., 4:], right[:, 0, ..., 4:], atol=1e-5, rtol=1e-4)
    assert (left[:, 0] - right[:, 0]).abs().max() > 1e-2


@pytest.fixture
def counted(scene: Scene) -> Iterator[list[str]]:
    """What runs: the ID encoder, and the keys that the denoising UNet makes of an identity."""
    calls: list[str] = []
    watched = {
        "ID encoder": scene.id_encoder.model.diffusion_model,
        "norm": scene.model.model.diffusion_model.input_blocks[1][1].transformer_blocks[0].norm1,
    }
    hooks = [
        module.register_forward_hook(lambda *_, name=name: calls.append(name))
        for name, module in watched.items()
    ]
    yield calls
    for hook in hooks:
        hook.remove()


def test_a_second_edit_does_not_look_again(scene: Scene, counted: list[str]) -> None:
    identity = scene.identify()
    assert counted == ["ID encoder"]
    counted.clear()
    Trajectory(scene.model, 3).run(scene.apply(magicface_id=identity))
    assert counted == ["norm"] * 4  # one projection, and one batch of both sides in each step
    counted.clear()
    other = AUVector.parse("4D")
    Trajectory(scene.model, 3).run(scene.apply(magicface_id=identity, au_vector=other))
    assert counted == ["norm"] * 4


def test_patched_weights_project_again(scene: Scene) -> None:
    """A LoRA between Load MagicFace and Apply MagicFace changes the identity's keys too."""
    identity = scene.identify()
    before = Trajectory(scene.model, 1).run(scene.apply(magicface_id=identity))
    patched = scene.model.clone()
    name = "diffusion_model.input_blocks.1.1.transformer_blocks.0.attn1.to_v.weight"
    patched.add_patches({name: (torch.eye(64),)}, 1.0)
    kept = Trajectory(scene.model, 1).run(scene.apply(magicface_id=identity, model=patched))
    fresh = Trajectory(scene.model, 1).run(scene.apply(model=patched))
    assert (before - fresh).abs().max() > 1e-4
    torch.testing.assert_close(kept, fresh)


def test_another_packs_self_attention_is_asked_first(scene: Scene) -> None:
    model = scene.model.clone()
    lengths = []

    def replaced(q: Tensor, k: Tensor, v: Tensor, extra_options: dict) -> Tensor:
        lengths.append((q.shape[1], k.shape[1]))
        return v  # as Perturbed-Attention Guidance does

    model.set_model_attn1_replace(replaced, "input", 1)
    Trajectory(scene.model, 1).run(scene.apply(model=model))
    assert lengths == [(64, 128)]


def test_keys_and_values_live_for_one_run(scene: Scene) -> None:
    """ComfyUI does not count them, so they must not outlive the run on the device."""
    applied = scene.apply()
    (wrapper,) = next(iter(applied[0].wrappers[WrappersMP.DIFFUSION_MODEL].values()))
    seen = []
    applied[0].add_wrapper_with_key(
        WrappersMP.DIFFUSION_MODEL,
        "look",
        lambda executor, *args, **kwargs: (
            seen.append(len(wrapper.__self__._known)) or executor(*args, **kwargs)
        ),
    )
    Trajectory(scene.model, 2).run(applied)
    assert seen == [1, 1] and wrapper.__self__._known == {}


def test_nothing_stays_on_the_model(scene: Scene) -> None:
    before = Trajectory(scene.model, 1)
    plain = (scene.model, scene.conditioning, scene.conditioning, None)
    first = before.run(plain)
    Trajectory(scene.model, 1).run(scene.apply())
    assert torch.equal(first, before.run(plain))
    assert not scene.model.wrappers.get("diffusion_model")


def test_a_sampler_makes_a_picture_of_the_latent(scene: Scene) -> None:
    model, *others = scene.apply()
    (out,) = core.KSampler().sample(model, 1, 2, 3.0, "uni_pc", "normal", *others)
    picture = scene.vae.decode(out["samples"])
    assert picture.shape == (1, SIZE, SIZE, 3) and picture.isfinite().all()


def crop_of(faces: int) -> FaceCrop:
    """Faces that may show in the right half of their square."""
    masks = (torch.arange(SIZE) >= SIZE // 2).float().expand(faces, SIZE, SIZE)
    square = torch.tensor([[0, 0, SIZE, SIZE]])
    return FaceCrop(tuple(range(faces)), square.expand(faces, 4), masks, (SIZE, SIZE))


def test_what_will_not_show_is_held_to_the_photo(scene: Scene) -> None:
    changes = AUVector.stack([AUVector.parse("12E"), AUVector.parse("4E")])
    model, *conditions, latent = scene.apply(au_vector=changes, face_crop=crop_of(1))
    assert latent["samples"].shape == (2, 4, 8, 8) and not latent["samples"][..., 4:].any()
    (drawn,) = core.KSampler().sample(model, 1, 3, 3.0, "euler", "normal", *conditions, latent)
    photo = scene.vae.encode(scene.face).expand(2, -1, -1, -1)
    torch.testing.assert_close(drawn["samples"][..., :4], photo[..., :4], atol=1e-5, rtol=1e-5)
    assert ((drawn["samples"] - photo)[..., 4:].abs() > 1e-2).any(dim=(1, 2, 3)).all()


def test_a_face_crop_of_other_faces_is_a_sentence(scene: Scene) -> None:
    with pytest.raises(ValueError, match=r"FACE_CROP is of 2 face.*MAGICFACE_ID of 1"):
        scene.apply(face_crop=crop_of(2))


def test_the_converted_file_is_the_same_model(
    scene: Scene, published: Path, tmp_path: Path
) -> None:
    file = convert(published, tmp_path / "magicface.safetensors")
    again = Scene(
        load_unet(file, "denoising_unet"),
        load_unet(file, "ID_enc"),
        *(getattr(scene, name) for name in ("vae", "face", "background", "text")),
    )
    found = [Trajectory(s.model, 1).run(s.apply()) for s in (scene, again)]
    assert torch.equal(*found)


def test_a_trained_file_of_the_demos_shape_predicts_what_the_library_does(
    scene: Scene, demo_files: Path, tmp_path: Path
) -> None:
    """Linear projections and heads by level, which shapes alone do not tell: the file says it."""
    with torch.inference_mode(False):
        torch.manual_seed(4)
        network = MagicFace(widen_unet(demo_unet()), demo_unet()).eval()
        torch.nn.init.normal_(network.unet.conv_in.weight, std=0.1)
        file = save_networks(network, tmp_path / "trained.safetensors")
    text = torch.randn(1, 77, 128)
    ours = Scene(
        load_unet(file, "denoising_unet"),
        load_unet(file, "ID_enc"),
        *(scene.vae, scene.face, scene.background, text),
    )
    path = Trajectory(ours.model, 2)
    found = path.run(ours.apply())[:, 0]
    photo, background = (ours.vae.encode(image) for image in (ours.face, ours.background))
    identity = network.identify(photo, text)
    for latents, timestep, prediction in zip(path.latents, path.timesteps(), found, strict=True):
        right = network(latents, timestep, text, identity, background, CHANGE.dense())
        assert (prediction - right).abs().max() <= TOLERANCE * right.std()


MISTAKES = {
    "sides": ({"au_vector": AUVector.parse("L12C")}, "left and right apart"),
    "unit": ({"au_vector": AUVector.parse("7C")}, "Apply MagicFace: AU7 set, but only"),
    "text": ({"positive": [(torch.zeros(1, 77, 1024), {})]}, "1024 numbers wide, MagicFace needs"),
    "size": ({"background": torch.zeros(1, 32, 64, 3)}, "1 picture.s. of 64 x 32 pixels"),
    "count": ({"background": torch.zeros(2, 64, 64, 3)}, "background is 2 picture"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_a_sentence(scene: Scene, mistake: str) -> None:
    changes, sentence = MISTAKES[mistake]
    with pytest.raises(ValueError, match=sentence):
        scene.apply(**changes)


def test_a_vae_of_other_latents_is_a_sentence(scene: Scene, tmp_path: Path) -> None:
    sixteen = load_vae(write_base(tmp_path, 16))
    sentence = "latents of 16 channels, MagicFace needs 4 here: take the VAE of"
    with pytest.raises(ValueError, match=sentence):
        scene.apply(vae=sixteen)
    with pytest.raises(ValueError, match=sentence):
        run(
            "AUA_MagicFaceIDEncoder",
            id_encoder=scene.id_encoder,
            vae=sixteen,
            image=scene.face,
            conditioning=scene.conditioning,
        )


def test_another_model_and_a_second_identity_are_refused(scene: Scene) -> None:
    with pytest.raises(ValueError, match="Connect the MODEL of Load MagicFace; LoRAs"):
        scene.apply(model=scene.id_encoder)
    with pytest.raises(ValueError, match="carries an identity already"):
        scene.apply(model=scene.apply()[0])


def test_a_latent_of_another_batch_is_refused(scene: Scene) -> None:
    changes = AUVector.stack([CHANGE, CHANGE * 0.5])
    with pytest.raises(ValueError, match="2 changes or photos for a latent batch of 3"):
        Trajectory(scene.model, 1, batch=3).run(scene.apply(au_vector=changes))
