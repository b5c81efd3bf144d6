"""BP4D and BP4D+ (Zhang et al. 2014, 2016) as VQ-AUFace reads them: frames, and which AUs occur.

    LABELS/F001_T1.csv         first row: AU numbers, first column: frames; 1 occurs, 9 is unknown
    FRAMES/F001/T1/0001.jpg    the frames of a video, with as many leading zeros as they like

Data sets: http://www.cs.binghamton.edu/~lijun/Research/3DFE/3DFE_Analysis.html, by agreement with
their authors. A label says that an AU occurs, not how strongly: it stands at intensity 3, as FACS
notation without a letter does here, and "occurrence" says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from ..facs import DEFAULT_INTENSITY, AUVector, face_text
from .face_source import LABEL_STEPS, PICTURE_STEPS, LabelledFace, Step
from .pictures import PictureFolder
from .references import choose_references, shows_none
from .tables import Table, TableRow, read_number

UNITS = (1, 2, 4, 6, 7, 10, 12, 14, 15, 17, 23, 24)
NAME = re.compile(r"([A-Za-z]+\d+)_(T\d+)")
OCCURS, ABSENT, UNKNOWN = 1, 0, 9


# VQ-AUFace, section 3: every picture but a reference shows an AU.
ACTIVE = Step(
    "no AU, and not the reference", lambda face: face.about["reference"] or not shows_none(face.aus)
)


class BP4DSource:
    """The coded frames of all videos, the reference of each person among them.

    Labels keep "identity", "task", "frame", "reference" and "occurrence". Captions are AU texts by
    the rule of the paper, a wording for each frame.
    """

    def __init__(self, frames: str | Path, labels: str | Path, seed: int = 0):
        """FileNotFoundError without frames or labels."""
        self.pictures, self.labels, self.seed = PictureFolder(frames), Path(labels), seed
        named = ((table, NAME.fullmatch(table.stem)) for table in sorted(self.labels.glob("*.csv")))
        self.tables = [(table, name) for table, name in named if name]
        if not self.tables:
            raise FileNotFoundError(
                f"{self.labels} has no table such as F001_T1.csv: name the folder AU_OCC of BP4D's "
                "AU coding"
            )
        self.settings = {"source": "BP4D", "seed": seed}
        self.steps = (*LABEL_STEPS, ACTIVE, *PICTURE_STEPS)

    def faces(self) -> Iterator[LabelledFace]:
        """Every coded frame, person by person. ValueError names the line of what is no label."""
        for person, task, frame, file, aus in self._rows():
            about = {
                "identity": person,
                "task": task,
                "frame": frame,
                "reference": self.references.get(person) == f"{task}/{frame}",
                "occurrence": True,
            }
            caption = ""
            if aus is not None:
                caption = face_text(AUVector.from_dict(aus), intensity_words=False, seed=frame).text
            yield LabelledFace(file, aus, caption, about)

    @cached_property
    def references(self) -> dict[str, str]:
        """Person -> task and frame of the reference, among the frames that are there."""
        rows = ((p, f"{task}/{n}", aus) for p, task, n, file, aus in self._rows()
                if aus is not None and file.is_file())  # fmt: skip
        return choose_references(rows, self.seed)

    def _rows(self) -> Iterator[tuple[str, str, int, Path, dict[str, float] | None]]:
        for table, name in self.tables:
            person, task = name.groups()
            folder = self.pictures.path / person / task
            pictures = PictureFolder(folder).files if folder.is_dir() else ()
            files = {int(file.stem): file for file in pictures if file.stem.isdecimal()}
            rows = Table(table)
            if missing := [f"AU{unit}" for unit in UNITS if str(unit) not in rows.header]:
                raise ValueError(
                    f"{table} has no column of {missing[0]}; its first row holds AU numbers: "
                    f"{', '.join(rows.header[1:6])}, ..."
                )
            for row in rows:
                frame = int(read_number(row.cells[rows.header[0]], "the frame", row.where))
                file = files.get(frame) or folder / f"{frame}.jpg"
                yield person, task, frame, file, _occurring(row)


def _occurring(row: TableRow) -> dict[str, float] | None:
    """The AUs of a row; None where one of them is unknown."""
    values = {unit: read_number(row.cells[str(unit)], f"AU{unit}", row.where) for unit in UNITS}
    for unit, value in values.items():
        if value not in (OCCURS, ABSENT, UNKNOWN):
            raise ValueError(
                f"{row.where}: AU{unit} is {value:g}, expected 1 (occurs), 0 or 9 (unknown): name "
                "the folder of occurrences, AU_OCC, not that of intensities"
            )
    if UNKNOWN in values.values():
        return None
    return {str(unit): DEFAULT_INTENSITY * value for unit, value in values.items()}
