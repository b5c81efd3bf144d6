"""DISFA (Mavadati et al. 2013) as FineFace reads it: frames, a file of labels per subject and AU.

    LABELS/SN001/SN001_au1.txt    lines "frame, intensity", 0..5
    FRAMES/SN001/00000.jpg        the video's frames; 00000 is the first line of the labels

Data set: https://www.engr.du.edu/mmahoor/disfa.htm, by agreement with its authors.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import repeat
from pathlib import Path

from ..facs import SET_A
from .face_source import LABEL_STEPS, PICTURE_STEPS, LabelledFace, sampled
from .pictures import PictureFolder
from .tables import Table, open_text

# Subjects of the three folds (Zhao et al. 2016, EAC-Net; JAA-Net; ME-GraphAU).
FOLDS: dict[int, tuple[int, ...]] = {
    1: (2, 10, 1, 26, 27, 32, 30, 9, 16),
    2: (13, 18, 11, 28, 12, 6, 31, 21, 24),
    3: (3, 29, 23, 25, 8, 5, 7, 17, 4),
}
RELEASED_NEUTRAL = 8305  # frames without any AU that FineFace's code draws from all subjects
PAPER_NEUTRAL = 0.1  # share of them that its supplement keeps
VARIANTS = ("released", "paper")


class DISFASource:
    """The labelled frames of some folds.

    variant: how many frames without any AU stay: "released" about 8,305 of all
    subjects' (drawn one by one, always the same), "paper" one in ten.
    captions: a CSV with the column "caption", a row for each frame of all subjects in order, as
    FineFace published it. Labels keep "subject", "frame" and "fold".
    """

    def __init__(
        self,
        frames: str | Path,
        labels: str | Path,
        folds: Sequence[int] = (1, 2, 3),
        variant: str = "released",
        captions: str | Path | None = None,
        seed: int = 0,
    ):
        """Raises FileNotFoundError without frames, labels or captions; ValueError for subjects,
        folds or lines that are not DISFA's."""
        self.frames, self.labels = Path(frames), Path(labels)
        self.captions = Path(captions) if captions else None
        self.folds, self.seed = tuple(folds), seed
        if unknown := set(self.folds) - set(FOLDS):
            raise ValueError(f"DISFA has the folds 1, 2 and 3, not {sorted(unknown)}")
        if variant not in VARIANTS:
            raise ValueError(f"the variant is {' or '.join(VARIANTS)}, not {variant!r}")
        self.subjects = self._subjects()
        self.settings = {
            "source": "DISFA",
            "folds": list(self.folds),
            "variant": variant,
            "seed": seed,
            "captions": self.captions.name if self.captions else None,
        }
        share = PAPER_NEUTRAL
        if variant == "released":
            rows = (values for name in self.subjects for values in self._intensities(name))
            neutral = sum(not any(values) for values in rows)
            share = min(1.0, RELEASED_NEUTRAL / max(neutral, 1))
        self.steps = (*LABEL_STEPS, sampled(share, seed), *PICTURE_STEPS)

    def faces(self) -> Iterator[LabelledFace]:
        """Every frame of the folds' subjects, in order. ValueError where the captions are not as
        many as the frames of all subjects: they have no names, so the rest would be another's."""
        captions, pictures = self._captions(), PictureFolder(self.frames)
        for name, fold in self.subjects.items():
            for frame, values in enumerate(self._intensities(name)):
                caption = next(captions, None)
                if caption is None:
                    raise self._miscounted("fewer")
                if fold in self.folds:
                    about = {"subject": name, "frame": frame, "fold": fold}
                    aus = dict(zip(map(str, SET_A), values, strict=True))
                    file = f"{name}/{frame:05d}.jpg"
                    where = f"frame {frame} of {name} in {self.labels}"
                    yield LabelledFace(pictures.file(file, where), aus, caption, about)
        if self.captions and next(captions, None) is not None:
            raise self._miscounted("more")

    def _miscounted(self, how: str) -> ValueError:
        return ValueError(
            f"{self.captions} has {how} rows than the {len(self.subjects)} subjects in "
            f"{self.labels} have frames: it needs one for each frame of all subjects, so put the "
            "labels of all there (folds choose among them), or leave the captions out"
        )

    def _subjects(self) -> dict[str, int]:
        """Folder name -> fold, in order."""
        if not self.labels.is_dir() or not self.frames.is_dir():
            raise FileNotFoundError(
                f"DISFA needs its labels (found folder: {self.labels.is_dir()}) in {self.labels} "
                f"and its frames (found folder: {self.frames.is_dir()}) in {self.frames}"
            )
        names = sorted(p.name for p in self.labels.iterdir() if re.fullmatch(r"SN\d+", p.name))
        if not names:
            raise FileNotFoundError(
                f"{self.labels} has no folder of a subject, such as SN001/SN001_au1.txt: name the "
                "folder ActionUnit_Labels of DISFA"
            )
        fold_of = {subject: fold for fold, subjects in FOLDS.items() for subject in subjects}
        if unknown := [name for name in names if int(name[2:]) not in fold_of]:
            raise ValueError(f"{', '.join(unknown)} in {self.labels} is no subject of DISFA")
        return {name: fold_of[int(name[2:])] for name in names}

    def _intensities(self, name: str) -> Iterator[tuple[float, ...]]:
        """The 12 AUs of set A, frame after frame."""
        files = [self.labels / name / f"{name}_au{unit}.txt" for unit in SET_A]
        if missing := [str(file) for file in files if not file.is_file()]:
            raise FileNotFoundError(
                f"DISFA's labels are incomplete: {missing[0]} and {len(missing) - 1} other files "
                f"of {name} are missing"
            )
        columns = [_read_labels(file) for file in files]
        if len({len(column) for column in columns}) > 1:
            raise ValueError(f"the label files of {name} in {self.labels} differ in length")
        return zip(*columns, strict=True)

    def _captions(self) -> Iterator[str]:
        if self.captions is None:
            yield from repeat("")
        if not self.captions.is_file():
            raise FileNotFoundError(f"there is no file of captions {self.captions}")
        table = Table(self.captions)
        if (column := table.column("caption")) is None:
            raise ValueError(
                f"{self.captions} has no column 'caption'; its columns are "
                f"{', '.join(table.header)}"
            )
        yield from (row.cells[column] for row in table)


def _read_labels(file: Path) -> list[float]:
    """Intensities of a file of lines "frame, intensity", separated by comma, tab or space."""
    with open_text(file) as text:
        lines = text.read().splitlines()
    values = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        cells = re.split(r"[,;\s]+", line.strip())
        try:
            _frame, value = map(float, cells)
        except ValueError as error:
            raise ValueError(
                f"line {number} of {file} is {line!r}, not a frame and its intensity"
            ) from error
        values.append(value)
    return values
