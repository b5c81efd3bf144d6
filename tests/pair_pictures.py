"""What pairs of MagicFace are made of: encoders of pictures, and people in photos."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from PIL import Image, ImageEnhance

from au_adapter.bases.family import to_unit_range
from au_adapter.training.pairs import PictureEncoder
from au_adapter.weights.autoencoder_files import load_autoencoder
from tools import face_files

PEOPLE = {"anna": "astronaut.png", "bert": "single_face.jpg"}
LABELS = ({"AU12": 0.0, "AU4": 1.0}, {"AU12": 3.0, "AU4": 0.0}, {"AU12": 4.5, "AU4": 2.0})


def bundled_encoder(base: Path, **options: Any) -> PictureEncoder:
    """An encoder by the autoencoder of a bundled base."""
    autoencoder = load_autoencoder(base)

    def encode(pictures: Any) -> Any:
        return autoencoder.encode(to_unit_range(pictures))

    return PictureEncoder(encode, autoencoder, 128, **options)


def write_people(folder: Path, size: int = 256) -> Path:
    """Three pictures of each of PEOPLE, told apart by their light, and their labels.csv."""
    rows = []
    for name, photo in PEOPLE.items():
        (folder / name).mkdir(parents=True)
        with Image.open(face_files.PHOTOS / photo) as whole:
            small = whole.convert("RGB").resize((size, size))
        for number, aus in enumerate(LABELS):
            file = f"{name}/frame_{10 * number:04d}.jpg"
            ImageEnhance.Brightness(small).enhance(0.8 + 0.2 * number).save(folder / file)
            rows.append({"file": file, **aus})
    with (folder / "labels.csv").open("w", newline="") as out:
        writer = csv.DictWriter(out, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return folder
