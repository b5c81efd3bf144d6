"""`au-adapter convert`: files as published into the one file that this project reads."""

from __future__ import annotations

from pathlib import Path

import click

from .verb import PATH, load, verb

ADAPTER, FACE_MODEL = ".safetensors", ".npz"


@verb
@click.argument("source", type=PATH)
@click.argument("output", type=PATH)
def convert(source: Path, output: Path) -> None:
    """Turn SOURCE as published into the one file OUTPUT that this project reads.

    The ending of OUTPUT says what is made. .safetensors: an AU-Adapter, from the folder of
    FineFace's files or any one of them; MagicFace, from the folder of both its UNets; or StyleGAN2
    and e4e, from e4e_ffhq_encode.pt, a StyleGAN2 of rosinality's port or NVIDIA's .pkl. .npz: the
    face model for `au-adapter render`, from the folder of ICT-FaceKit's OBJ files.
    """
    click.echo(f"Wrote {convert_files(source, output)}")


def convert_files(source: str | Path, output: str | Path) -> Path:
    """Write SOURCE as the one file `output` and return its path; see `convert`. An adapter's file
    keeps the names and SHA-256 of what it was made from. ValueError for another ending, or for a
    source that is not what the ending asks for."""
    source, output = Path(source), Path(output)
    if output.suffix == FACE_MODEL:
        return load("data.rendering.ict").convert_folder(source, output)
    magicface = load("weights.magicface_files")
    if output.suffix == ADAPTER and magicface.is_magicface(source):
        return magicface.convert_magicface(source, output)
    wplus = load("weights.wplus_files")
    if output.suffix == ADAPTER and wplus.is_wplus(source):
        return wplus.convert_wplus(source, output)
    if output.suffix == ADAPTER:
        files, sha256 = load("weights.adapter_files"), load("weights.downloads").sha256
        origin = {f"source/{file.name}": sha256(file) for file in files.adapter_files(source)}
        return files.save_adapter(files.load_adapter(source), output, origin)
    raise ValueError(
        f"{output} ends in neither {ADAPTER} (an AU-Adapter, or MagicFace's UNets) nor "
        f"{FACE_MODEL} (a face model, from ICT-FaceKit): name the output by what it shall be"
    )
