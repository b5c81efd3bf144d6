"""Make the bundled model from what training left: half precision, one folder.

python -m au_adapter.demo.pack BASE_RESULT ADAPTER_RESULT REGRESSOR_RESULT OUTPUT
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import load_file, save

NETWORKS = ("unet", "text_encoder", "vae")


def pack(base: Path, adapter: Path, regressor: Path, output: Path) -> None:
    """Write the files of au_adapter.demo into output from three result folders of training."""
    output.mkdir(parents=True, exist_ok=True)
    for name in NETWORKS:
        write_half(base / f"{name}.safetensors", output / f"{name}.safetensors")
        shutil.copyfile(base / f"{name}.json", output / f"{name}.json")
    shutil.copytree(base / "tokenizer", output / "tokenizer", dirs_exist_ok=True)
    write_half(adapter / "adapter.safetensors", output / "adapter.safetensors")
    write_half(regressor / "regressor.safetensors", output / "regressor.safetensors")


def write_half(source: Path, target: Path) -> None:
    """Copy a safetensors file with its metadata, floating point numbers in half precision."""
    with safe_open(source, framework="pt") as file:
        metadata = file.metadata()
    tensors = {
        name: tensor.half() if tensor.is_floating_point() else tensor
        for name, tensor in load_file(source).items()
    }
    target.write_bytes(save(tensors, metadata=metadata))  # with the usual permissions


if __name__ == "__main__":
    pack(*map(Path, sys.argv[1:5]))
