"""AUs of picture files, as `au-adapter estimate` gives them: JSON for scripts, or a table."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from ..data.pictures import PictureError, read_picture
from ..facs import UNITS
from . import open_estimator, relative_to
from .estimator import Estimator
from .reading import face_json

LOGGER = logging.getLogger("au_adapter")
SCHEMA = 1
SHOWN = 0.5  # the least intensity in a table


def estimate_files(
    files: list[Path],
    estimator: str = "mesh",
    neutral: Path | None = None,
    landmarker: Path | None = None,
    levels: int = 1,
) -> dict[str, Any]:
    """{"schema": 1, "estimator", "turned": 0, "images": [{"file", "faces": [{"index", "box",
    "confidence", "aus": {"12": 3.1, "L4": 0.5}}]}]}.

    Every AU that the estimator reads is there, a side by itself where the sides differ by a grade
    or more. A face that is turned too far away to be more than guessed at has its "turn" in
    degrees as well; "turned" counts them. A file that is no picture has no faces, and its "error"
    says why. Of animated pictures the first frame is read, and the log says so. Raises what
    open_estimator and relative_to raise, and ValueError for a neutral photo that cannot be read.
    """
    reader = open_estimator(estimator, landmarker, levels=levels)
    if neutral is not None:
        reader = relative_to(reader, read_picture(neutral))
    images = [_entry(reader, file) for file in files]
    if without := sum(not image["faces"] and "error" not in image for image in images):
        LOGGER.warning("%d of %d pictures show no face", without, len(images))
    turned = sum("turn" in face for image in images for face in image["faces"])
    return {"schema": SCHEMA, "estimator": reader.name, "turned": turned, "images": images}


def unreadable(result: dict[str, Any]) -> int:
    """How many files are no pictures."""
    return sum("error" in image for image in result["images"])


def table(result: dict[str, Any]) -> str:
    """The result for a person: a line for each face, its AUs from the strongest on."""
    lines = [f"Estimator: {result['estimator']}. 0 is absent, 5 the maximum; L and R as the person"]
    for image in result["images"]:
        if not image["faces"]:
            lines.append(image.get("error") or f"{image['file']}: no face")
        for face in image["faces"]:
            box = " ".join(f"{value:.0f}" for value in face["box"])
            turn = f", turned by {face['turn']:.0f} degrees, a guess" if "turn" in face else ""
            lines.append(
                f"{image['file']}, face {face['index'] + 1} ({box}, confidence "
                f"{face['confidence']:.2f}{turn}): {_strongest(face['aus'])}"
            )
    return "\n".join(lines)


def _strongest(aus: dict[str, float]) -> str:
    shown = sorted((code for code in aus if aus[code] >= SHOWN), key=lambda code: -aus[code])
    names = {code: UNITS[int(code.lstrip("LR"))].name.lower() for code in shown}
    titles = (f"{code} {name} {aus[code]:.1f}" for code, name in names.items())
    return ", ".join(titles) or f"relaxed, no AU reaches {SHOWN}"


def _entry(reader: Estimator, file: Path) -> dict[str, Any]:
    try:
        picture = read_picture(file)
    except PictureError as error:
        LOGGER.warning("%s", error)
        return {"file": str(file), "faces": [], "error": str(error)}
    faces = [
        face_json(reading) | ({"turn": round(reading.turn, 1)} if reading.turned else {})
        for reading in reader.estimate(picture)
    ]
    return {"file": str(file), "faces": faces}
