"""What the recipe makes on Stable Diffusion 1.5's shape, in the nodes: the same predictions."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
from au_adapter_pack.nodes.demo_model import load_vae
from au_adapter_pack.nodes.magicface_model import load_unet
from test_magicface import CHANGE, SIZE, TOLERANCE, Scene, Trajectory
from tiny_stable_diffusion import write_stable_diffusion

from au_adapter.data.rendered import SAMPLE
from au_adapter.training.recipes import choose


def test_the_nodes_predict_what_was_trained(demo_files: Path, tmp_path: Path) -> None:
    data, base = tmp_path / "faces", tmp_path / "sd15"
    data.mkdir()
    shutil.copy(min(SAMPLE.glob("*.tar")), data)
    write_stable_diffusion(base, "sd15", groups=32)
    with torch.inference_mode(False), torch.enable_grad():
        recipe = choose("magicface-sd15", {"base": str(base)}).open([data])
        optimizer = torch.optim.SGD(recipe.module.parameters(), 0.5)
        for step in range(3):
            loss = recipe.module(recipe.batch(4, torch.Generator().manual_seed(step)))
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    recipe.save(recipe.module, tmp_path)
    network = recipe.module.network.eval().requires_grad_(False)
    file = tmp_path / "magicface.safetensors"
    generator = torch.Generator().manual_seed(2)
    face, background = torch.rand(2, 1, SIZE, SIZE, 3, generator=generator)
    text = torch.randn(1, 77, 96, generator=generator)
    models = (load_unet(file, name) for name in ("denoising_unet", "ID_enc"))
    scene = Scene(*models, load_vae(demo_files), face, background, text)
    path = Trajectory(scene.model, 3)
    found = path.run(scene.apply())[:, 0]
    photo, behind = (scene.vae.encode(image) for image in (face, background))
    identity = network.identify(photo, text)
    for latents, timestep, prediction in zip(path.latents, path.timesteps(), found, strict=True):
        right = network(latents, timestep, text, identity, behind, CHANGE.dense())
        assert (prediction - right).abs().max() <= TOLERANCE * right.std()
        still = network(latents, timestep, text, identity, behind, 0 * CHANGE.dense())
        assert (still - right).abs().max() > 10 * TOLERANCE * right.std()  # it was trained
