"""The face reader beside mediapipe 0.10.14: differences and CPU time on the same pictures.

Photos from .cache/photos/, renders from au_adapter/data/samples/rendered and, where there are more,
from runs/render/heldout. Both run on one thread of their own; CPU time is counted, not the clock's.

    python -m benchmarks face_reader
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from au_adapter.data.rendered import iterate
from au_adapter.faces import Face, FaceLandmarker
from tools import face_files

from .landmarker import RESULTS, ROOT
from .landmarker_reference import PHOTOS, SAMPLE, read

FOLDERS = (SAMPLE, ROOT / "runs" / "render" / "heldout")
MOST = 500
TASK = face_files.MODELS / "face_landmarker.task"


def main() -> None:
    """Read everything with both, and write results/face_reader.md."""
    torch.set_num_threads(1)
    landmarker = FaceLandmarker(TASK)
    with tempfile.TemporaryDirectory() as folder:
        groups = {
            "photos": [face_files.PHOTOS / name for name in PHOTOS],
            "renders": save_renders(Path(folder)),
        }
        rows = [row(name, files, landmarker) for name, files in groups.items()]
    text = "\n".join(
        [
            "# The face reader beside mediapipe 0.10.14",
            "",
            "`python -m benchmarks face_reader`. Differences over all faces; points in pixels of "
            "the picture, mean over the points of a face; CPU time per picture, one thread each, "
            "pictures one by one.",
            "",
            "| | pictures | faces (mediapipe's) | points: mean | worst face | worst score | worst "
            "pose entry | CPU ms, median | mediapipe's |",
            "|---|---|---|---|---|---|---|---|---|",
            *rows,
            "",
        ]
    )
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "face_reader.md").write_text(text, encoding="utf-8")
    print(text)


def save_renders(folder: Path) -> list[Path]:
    """Up to MOST renders as NUMBER.png in a folder."""
    files: list[Path] = []
    for source in FOLDERS:
        for sample in iterate(source) if source.is_dir() else ():
            if len(files) < MOST:
                files.append(folder / f"{len(files)}.png")
                Image.fromarray(sample["image"]).save(files[-1])
    return files


def row(name: str, files: list[Path], landmarker: FaceLandmarker) -> str:
    """One row of the table: a group of pictures read by both."""
    expected = read(files, every_point=1, seconds=True)
    points, scores, poses, times, count = [], [], [], [], 0
    for file in files:
        image = torch.tensor(np.asarray(Image.open(file).convert("RGB"), np.float32) / 255)[None]
        start = time.process_time()
        faces = landmarker.detect(image)[0]
        times.append(time.process_time() - start)
        count += len(faces)
        for face, other in zip(faces, expected[file.name]["faces"], strict=False):
            for values, value in zip(
                (points, scores, poses), differences(face, other), strict=True
            ):
                values.append(value)
    known = sum(len(found["faces"]) for found in expected.values())
    theirs = statistics.median(found["seconds"] for found in expected.values())
    return (
        f"| {name} | {len(files)} | {count} ({known}) | {np.mean(points):.4f} | "
        f"{max(points):.4f} | {max(scores):.4f} | {max(poses):.4f} | "
        f"{1000 * statistics.median(times):.0f} | {1000 * theirs:.0f} |"
    )


def differences(face: Face, other: dict) -> tuple[float, float, float]:
    """Mean distance of the points, largest difference of the scores and of the pose's entries."""
    distance = np.linalg.norm((face.points.numpy() - np.array(other["points"]))[:, :2], axis=-1)
    scores = np.abs(np.array(list(face.blendshapes.values())) - other["blendshapes"])
    return distance.mean(), scores.max(), np.abs(face.pose.numpy() - other["pose"]).max()


if __name__ == "__main__":
    main()
