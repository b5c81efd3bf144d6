"""Makes the reference numbers of the face tests: what mediapipe 0.10.14 reads in the same pictures.

Photos lie in .cache/photos/ (tools/face_files.py), renders in au_adapter/data/samples/rendered.
Writes tests/data/faces/reference.json; the tests compare au_adapter.faces with it, without
mediapipe.

    python -m benchmarks.landmarker_reference
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path

from PIL import Image

from au_adapter.data.rendered import SAMPLE, iterate
from tools import face_files

from .landmarker import ROOT, environment

REFERENCE = ROOT / "tests" / "data" / "faces" / "reference.json"
READER = Path(__file__).with_name("landmarker_reference_reader.py")
PHOTOS = (
    "astronaut.png",
    "0-f1-su-ph.jpg",
    "0-f15-hao-ph.jpg",
    "15-f13-anc-ph.jpg",
    "45-m7-di-ph.jpg",
    "single_face.jpg",
    "multi_face.jpg",
    "free-mountain-vector-01.jpg",
)
EVERY_RENDER = 10  # the numbers of one render in so many are kept
EVERY_POINT = 8  # of a render, one point in so many


def main() -> None:
    """Read every picture with mediapipe and write the reference."""
    rows = read([face_files.PHOTOS / name for name in PHOTOS], every_point=1)
    with tempfile.TemporaryDirectory() as folder:
        rows |= read(save_renders(Path(folder), EVERY_RENDER), EVERY_POINT)
    REFERENCE.parent.mkdir(exist_ok=True)
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(row)}" for name, row in rows.items())
    REFERENCE.write_text(f"{{{lines}}}\n", encoding="utf-8")
    print(f"{len(rows)} pictures, {REFERENCE.stat().st_size / 1000:.0f} kB in {REFERENCE}")


def save_renders(folder: Path, step: int) -> list[Path]:
    """Write one render in `step` as NUMBER.png into a folder."""
    files = []
    for number, sample in enumerate(iterate(SAMPLE)):
        if number % step == 0:
            files.append(folder / f"{number}.png")
            Image.fromarray(sample["image"]).save(files[-1])
    return files


def read(files: list[Path], every_point: int, seconds: bool = False) -> dict[str, dict]:
    """File name -> what mediapipe reads in it, and on request the landmarker's CPU time; see
    landmarker_reference_reader.py."""
    job = {
        "files": list(map(str, files)),
        "models": str(face_files.MODELS),
        "every_point": every_point,
        "seconds": seconds,
    }
    answer = subprocess.run(
        [environment(), READER], input=json.dumps(job), capture_output=True, text=True, check=True
    )
    return json.loads(answer.stdout)


if __name__ == "__main__":
    main()
