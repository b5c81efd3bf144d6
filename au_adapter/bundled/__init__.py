"""The bundled model: a small Stable Diffusion that draws rendered heads, 128 x 128 pixels.

    pipeline = load_diffusers_pipeline()
    adapter = load_adapter(demo_folder() / "adapter.safetensors")

Files, in this folder: unet, vae and text_encoder as .json (config) and .safetensors (weights),
tokenizer/, adapter.safetensors, regressor.safetensors, a second adapter in adapters/, which knows
17 AUs with left and right apart, a MagicFace on the same base in magicface/, and, once they are
trained, a generator, encoder and AUEditNet of their own in aueditnet/, a VQ-AUFace in vq_auface/.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from diffusers import StableDiffusionPipeline

FOLDER_VARIABLE = "AU_ADAPTER_DEMO"  # another folder of the same files, for those who train one

# What templates draw the adapters with: the second acts more strongly.
GUIDANCE, SIDED_GUIDANCE = 3.5, 3.0

# Names that say in a list of files what they are.
MAGICFACE = "demo_magicface.safetensors"
SIDED_ADAPTER = "demo_17_left_right.safetensors"
WPLUS = "demo_wplus.safetensors"
AUEDITNET = "demo_aueditnet.safetensors"
VQAUFACE = "demo_vqauface.safetensors"


def demo_folder() -> Path:
    """The bundled model's folder: the one named by AU_ADAPTER_DEMO, else this one."""
    return Path(os.environ.get(FOLDER_VARIABLE) or Path(__file__).parent)


def adapters_folder() -> Path:
    """The folder of the bundled model's further adapter, `SIDED_ADAPTER`."""
    return demo_folder() / "adapters"


def magicface_folder() -> Path:
    """The folder of the bundled model's MagicFace: one file, `MAGICFACE`, with both networks."""
    return demo_folder() / "magicface"


def aueditnet_folder() -> Path:
    """The folder of the bundled AUEditNet: `WPLUS`, a generator with its encoder, and `AUEDITNET`,
    what edits their codes. It needs nothing else of the bundled model."""
    return demo_folder() / "aueditnet"


def vqauface_folder() -> Path:
    """The folder of the bundled VQ-AUFace, which needs no base: one file, `VQAUFACE`."""
    return demo_folder() / "vq_auface"


def model_folders() -> dict[str, Path]:
    """The folders above by the folder of ComfyUI's models that they stand behind."""
    return {
        "au_adapter": adapters_folder(),
        "aueditnet": aueditnet_folder(),
        "magicface": magicface_folder(),
        "vq_auface": vqauface_folder(),
    }


def load_diffusers_pipeline(folder: str | Path | None = None) -> StableDiffusionPipeline:
    """The bundled model as a diffusers pipeline, on the CPU, without adapter.

    `folder` holds the same files as `demo_folder()`, the default. A missing file is a
    FileNotFoundError, weights that do not belong to their config are a ValueError; both name the
    file. Needs diffusers and transformers.
    """
    from .pipeline import load_pipeline

    return load_pipeline(Path(folder) if folder is not None else demo_folder())
