"""`au-adapter download`: files from the network, checked and made ready to use."""

from __future__ import annotations

from pathlib import Path

import click

from .convert import convert_files
from .verb import load, verb


@verb
@click.argument("name", required=False)
@click.option("--output", type=click.Path(path_type=Path), help="Folder; default: the cache.")
@click.option("--files", is_flag=True, help="Only list its files with size and SHA-256.")
@click.option("--manual", is_flag=True, help="Only say what to copy where by hand.")
def download(name: str | None, output: Path | None, files: bool, manual: bool) -> None:
    """Fetch NAME and make it ready to use; without NAME, list what there is.

    Resumes where it stopped and checks every file's SHA-256.
    """
    downloads = load("weights.downloads")
    chosen = [downloads.find_download(name)] if name else list(downloads.DOWNLOADS.values())
    for entry in chosen:
        click.echo(entry.description(files))
        if manual:
            click.echo(downloads.by_hand(entry, output))
    if name is None or files or manual:
        return
    folder = downloads.fetch(chosen[0], output)
    click.echo(f"Everything is in {folder}")
    if name == "ict-facekit":
        packed = convert_files(folder, folder / downloads.face_model().name)
        click.echo(f"Packed for `au-adapter render`: {packed}")
    if name.startswith("fineface"):
        file = convert_files(folder, folder / "converted" / f"{name}.safetensors")
        click.echo(f"In one file, to copy into ComfyUI/models/au_adapter: {file}")
    if name == "magicface":
        click.echo("Copy or move its two folders into ComfyUI/models/magicface")
