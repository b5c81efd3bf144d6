"""Two rendered portraits in ComfyUI's input folder, for the photo workflows on bundled models."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

from .compat import PromptServer, folder_paths

LOGGER = logging.getLogger("au_adapter")
PHOTOS = Path(__file__).parents[1] / "workflows" / "photos"


def offer() -> None:
    """Copy those that are missing; without a server, as in a script, nothing is written."""
    if getattr(PromptServer, "instance", None) is None:
        return
    folder = Path(folder_paths.get_input_directory())
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for photo in sorted(PHOTOS.glob("*.png")):
            if not (folder / photo.name).exists():
                shutil.copyfile(photo, folder / photo.name)
    except OSError as error:
        LOGGER.warning(
            f"The example photos of the workflows could not be copied to {folder} ({error}): "
            f"choose a photo of your own in Load Image, or copy them from {PHOTOS}."
        )
