"""The bundled folder, out of what the stages left: smaller numbers, colours, response curves."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from au_adapter.bundled import FOLDER_VARIABLE, GUIDANCE, SIDED_ADAPTER, SIDED_GUIDANCE
from au_adapter.data.rendered import load
from au_adapter.evaluation.calibration_run import calibrate
from au_adapter.models.autoencoder import SCALING_FACTOR, DemoAutoencoder
from au_adapter.training.face_tensors import to_unit_range
from au_adapter.weights.autoencoder_files import load_autoencoder, save_colours
from tools.pack_bundled import pack, write

from .base_check import STEPS
from .plan import STAGES
from .work import Workshop, trained_steps

LOGGER = logging.getLogger("au_adapter")
# Stage -> what `pack` calls its result.
PACKED = {
    "base": "base",
    "adapter": "adapter",
    "sided": "sides",
    "regressor": "regressor",
    "magicface": "magicface",
    "wplus_sharp": "wplus",
    "aueditnet": "aueditnet",
    "vqauface": "vqauface",
}
# Adapter -> its file, and the guidance that it is drawn with.
ADAPTERS = {
    "adapter": ("adapter.safetensors", GUIDANCE),
    "sided": (f"adapters/{SIDED_ADAPTER}", SIDED_GUIDANCE),
}
COLOURED = 500  # pictures that the colours are fitted to


def pack_all(shop: Workshop, folder: Path, calibrated: bool = True) -> None:
    """Write the bundled folder of every stage that has a result, which the log names.

    FileNotFoundError without a base. calibrated: measure how the adapters answer, by the packed
    regressor, which draws some hundred faces each.
    """
    found = {name: shop.result(name) for name in PACKED if trained_steps(shop.result(name))}
    if "base" not in found:
        raise FileNotFoundError(f"{shop.result('base')} holds no base: train that stage first")
    for name in (*PACKED, "decoder"):
        steps = f"{trained_steps(shop.result(name))} of {STAGES[name].settings['steps']} steps"
        LOGGER.info("packing %s: %s", name, steps)
    pack(folder, **{PACKED[name]: result for name, result in found.items()})
    if trained_steps(decoder := shop.result("decoder")):  # of the latents that the base knows
        write("vae", decoder / "vae.safetensors", folder / "vae.safetensors")
    pictures = to_unit_range(torch.from_numpy(load(shop.renders("held_out"), COLOURED).images))
    save_colours(folder, *fit_colours(load_autoencoder(folder), pictures))
    if calibrated and "regressor" in found:
        for name in ADAPTERS.keys() & found.keys():
            _calibrate(name, folder, *ADAPTERS[name])


@torch.no_grad()
def fit_colours(autoencoder: DemoAutoencoder, pictures: Tensor) -> tuple[Tensor, Tensor]:
    """Factors [C, 3] and bias [3] that come nearest, in least squares, to the mean colours of 8 x 8
    pixels of pictures [N, 3, H, W] in -1..1 from the cells of their scaled latents."""
    latents = autoencoder.encode(pictures) * SCALING_FACTOR
    cells = latents.movedim(1, -1).flatten(0, -2)
    colours = avg_pool2d(pictures, 8).movedim(1, -1).flatten(0, -2)
    ones = torch.ones(len(cells), 1)
    found = torch.linalg.lstsq(torch.cat([cells, ones], 1), colours).solution
    return found[:-1], found[-1]


def _calibrate(name: str, folder: Path, file: str, guidance: float) -> None:
    """Put response curves into an adapter of the packed model."""
    before = os.environ.get(FOLDER_VARIABLE)
    os.environ[FOLDER_VARIABLE] = str(folder)
    try:
        options = {"steps": STEPS, "guidance": guidance}
        _, plot = calibrate(folder / file, folder / file, options=options)
        plot.unlink()
        write(name, folder / file, folder / file)  # in half precision again
    finally:
        os.environ.pop(FOLDER_VARIABLE)
        if before is not None:
            os.environ[FOLDER_VARIABLE] = before
