"""Files as published into the one file that this project reads."""

from __future__ import annotations

from pathlib import Path

from .downloads import sha256
from .files import adapter_files, load_adapter, save_adapter
from .magicface import convert_magicface, is_magicface

ADAPTER, FACE_MODEL = ".safetensors", ".npz"


def convert(source: str | Path, output: str | Path) -> Path:
    """Write SOURCE as the one file `output`, whose ending says what is made; returns its path.

    .safetensors: an AU-Adapter, from FineFace's files (their folder, or any one of them); or
    MagicFace's two UNets, from the folder that holds denoising_unet/ and ID_enc/.
    .npz: the face model, from the folder of ICT-FaceKit's OBJ files.
    ValueError for another ending, or for a source that is not what the ending asks for.
    """
    source, output = Path(source), Path(output)
    if output.suffix == FACE_MODEL:
        from ..data.rendering.ict import convert_folder  # SciPy and meshes, for this alone

        return convert_folder(source, output)
    if output.suffix == ADAPTER and is_magicface(source):
        return convert_magicface(source, output)
    if output.suffix == ADAPTER:
        return convert_adapter(source, output)
    raise ValueError(
        f"{output} ends in neither {ADAPTER} (an AU-Adapter, or MagicFace's UNets) nor "
        f"{FACE_MODEL} (a face model, from ICT-FaceKit): name the output by what it shall be"
    )


def convert_adapter(source: Path, output: Path) -> Path:
    """An adapter in one file, with the names and SHA-256 of what it was made from."""
    origin = {f"source/{file.name}": sha256(file) for file in adapter_files(source)}
    return save_adapter(load_adapter(source), output, origin)
