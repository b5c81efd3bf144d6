"""`au-adapter download`: files from the network, checked and made ready to use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .convert import convert_files
from .verb import PATH, load, verb

# Of what becomes one file: where ComfyUI's nodes look for it, and the workflows' name of it.
CONVERTED = {
    "fineface-sd21": "au_adapter/fineface_sd21.safetensors",
    "fineface-sd15": "au_adapter/fineface_sd15.safetensors",
    "magicface": "magicface/magicface.safetensors",
}


@verb
@click.argument("name", required=False)
@click.option("--output", type=PATH, help="Folder; default: the cache.")
@click.option(
    "--comfyui", type=PATH, help="A ComfyUI, to put the files where the workflows look for them."
)
@click.option("--files", is_flag=True, help="Only list its files with size and SHA-256.")
@click.option("--manual", is_flag=True, help="Only say what to copy where by hand.")
def download(
    name: str | None, output: Path | None, comfyui: Path | None, files: bool, manual: bool
) -> None:
    """Fetch NAME and make it ready to use; without NAME, list what there is.

    Resumes a file that is cut off and checks the hash of each. Files of Hugging Face come by
    huggingface-hub: HF_TOKEN, HF_ENDPOINT (a mirror) and HF_HOME (the cache) act as everywhere.
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
    _make_ready(chosen[0], folder, output, comfyui)


def _make_ready(entry: Any, folder: Path, output: Path | None, comfyui: Path | None) -> None:
    """What follows a download: one file, where the publisher has many, and its place in ComfyUI."""
    downloads, name = load("weights.downloads"), entry.name
    if name == "ict-facekit":
        packed = downloads.face_model().name
        click.echo(f"Packed for `au-adapter render`: {convert_files(folder, folder / packed)}")
    if comfyui:
        for path in downloads.put_into_comfyui(entry, folder, comfyui):
            click.echo(f"In ComfyUI: {path}")
    if name in CONVERTED:
        # One of its files names the adapter where the cache holds those for several bases.
        source = folder if name == "magicface" else folder / next(iter(entry.files))
        if comfyui:
            path = convert_files(source, comfyui / "models" / CONVERTED[name])
            click.echo(f"In one file, in ComfyUI: {path}")
        elif name != "magicface":
            own = output / "converted" if output else downloads.cache_folder(name)
            path = convert_files(source, own / Path(CONVERTED[name]).name)
            click.echo(f"In one file, to copy into ComfyUI/models/au_adapter: {path}")
        else:
            click.echo("Run this with --comfyui, or copy its two folders into models/magicface")
