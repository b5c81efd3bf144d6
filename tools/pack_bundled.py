"""Make the bundled model from what training left: one folder, in half precision or 8 bits.

    python -m tools.pack_bundled OUTPUT --base RESULT --adapter RESULT --sides RESULT \
        --regressor RESULT --magicface RESULT --wplus RESULT --aueditnet RESULT --vqauface RESULT

Each RESULT is a result folder of training. What is not named stays as it is in OUTPUT.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from au_adapter.bundled import AUEDITNET, MAGICFACE, SIDED_ADAPTER, VQAUFACE, WPLUS
from au_adapter.weights.eight_bits import to_eight_bits

NETWORKS = ("unet", "text_encoder", "vae")
# MagicFace is as large as all others together, and every clone of the repository has all versions.
# The autoencoder's pictures lose nothing by it: 0.02 dB of 36.
IN_EIGHT_BITS = ("vae", "magicface")
# Option -> the file in its result folder, and where it goes in the bundled model.
FILES = {
    "adapter": ("adapter.safetensors", "adapter.safetensors"),
    "sides": ("adapter.safetensors", f"adapters/{SIDED_ADAPTER}"),
    "regressor": ("regressor.safetensors", "regressor.safetensors"),
    "magicface": ("magicface.safetensors", f"magicface/{MAGICFACE}"),
    "wplus": ("wplus.safetensors", f"aueditnet/{WPLUS}"),
    "aueditnet": ("aueditnet.safetensors", f"aueditnet/{AUEDITNET}"),
    "vqauface": ("vqauface.safetensors", f"vq_auface/{VQAUFACE}"),
}


def pack(output: Path, base: Path | None = None, **results: Path | None) -> None:
    """Write files of au_adapter.bundled into output from result folders of training.

    results: by the names of FILES. FileNotFoundError when a result lacks its file.
    """
    output.mkdir(parents=True, exist_ok=True)
    if base:
        for name in NETWORKS:
            write(name, base / f"{name}.safetensors", output / f"{name}.safetensors")
            shutil.copyfile(base / f"{name}.json", output / f"{name}.json")
        shutil.copytree(base / "tokenizer", output / "tokenizer", dirs_exist_ok=True)
    for name, folder in results.items():
        source, target = FILES[name]
        if folder:
            write(name, folder / source, output / target)


def half(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors, floating point numbers in half precision."""
    return {name: t.half() if t.is_floating_point() else t for name, t in tensors.items()}


def write(name: str, source: Path, target: Path) -> None:
    """Copy a safetensors file with its metadata, its tensors as the bundled model keeps them."""
    with safe_open(source, framework="pt") as file:
        metadata = file.metadata()
    tensors = (to_eight_bits if name in IN_EIGHT_BITS else half)(load_file(source))
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(save(tensors, metadata=metadata))  # with the usual permissions


def main() -> None:
    """Pack what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    for name in ("base", *FILES):
        parser.add_argument(f"--{name}", type=Path, help="its result folder")
    pack(**vars(parser.parse_args()))


if __name__ == "__main__":
    main()
