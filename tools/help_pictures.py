"""The pictures of the help pages and the README, all from the bundled models.

    python -m tools.help_pictures              # web/docs/pictures/*.jpg and docs/faces.jpg
    python -m tools.help_pictures AUA_AUSweep au12

Run it again when the bundled weights change. `python -m tools.photograph_panel` and
`python -m tools.film_panel` make the two pictures of the panel.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from tools import face_files
from tools.help_nodes import PICTURES
from tools.help_studio import Studio
from tools.help_units import unit_pictures
from tools.server import ROOT, ComfyServer

FOLDER = ROOT / "web" / "docs" / "pictures"
LARGE = ROOT / "docs" / "faces.jpg"
QUALITY = 86


def main() -> None:
    """Make all pictures, or those whose names are given."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("names", nargs="*", help="such as AUA_AUSweep, au12, faces; default: all")
    names = set(parser.parse_args().names)
    FOLDER.mkdir(parents=True, exist_ok=True)
    nodes = {name for name in PICTURES if not names or name in names}
    for name, picture in node_pictures(nodes):
        save(picture, FOLDER / f"{name}.jpg")
    if not names or names - set(PICTURES):
        for name, picture in unit_pictures():
            if not names or name in names:
                save(picture, LARGE if name == LARGE.stem else FOLDER / f"{name}.jpg")


def node_pictures(names: set[str]) -> Iterator[tuple[str, Image.Image]]:
    """(node id, picture), each drawn by a real ComfyUI."""
    if not names:
        return
    with tempfile.TemporaryDirectory() as base:
        server = ComfyServer(base=base)
        face_files.lend(server.base)
        with server:
            for name in sorted(names):
                yield name, PICTURES[name](Studio(server))


def save(picture: Image.Image, path: Path) -> None:
    picture.convert("RGB").save(path, quality=QUALITY, optimize=True)
    print(f"{path.relative_to(ROOT)}: {path.stat().st_size // 1024} KB", flush=True)


if __name__ == "__main__":
    main()
