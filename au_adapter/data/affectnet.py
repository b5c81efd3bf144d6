"""AffectNet (Mollahosseini et al. 2017) filtered as FineFace's supplement says.

Paper and released code differ; both are here under their names:

| step          | "paper"                         | "released"                            |
|---------------|---------------------------------|---------------------------------------|
| face          | -                               | the column HasFace is filled          |
| size          | both sides at least 512         | width at least 512, height above 512  |
| photo         | no cartoon, a real photo        | the same                              |
| hardly any AU | sum of AUs under 0.2, each 0..5 | strongest AU at most 0.2, each 0..1   |

Then the automatic labels are corrected (supplement, Dataset Construction):

| AUs        | "paper"                | "released"                                                |
|------------|------------------------|-----------------------------------------------------------|
| 1, 4       | x^1.8, min-max to 0..5 | x^1.8, min-max to the column's own maximum                |
| 15, 17, 20 | x^0.8, min-max to 0..5 | x^0.8, min-max (15 and 20 to AU17's maximum), times 1.8   |
| all, then  | below 1 becomes 0      | below 1.1 becomes 0                                       |

The paper's powers are taken of 0..5, the released of 0..1. Released intensities may come out above
5; training clips them, whatever its smoothing. Minimum and maximum are of all faces that stay.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from .face_source import PICTURE_STEPS, PRESENT, READABLE, Asked, LabelledFace, Step, VisionModel
from .labelled_folder import LabelledFolder
from .pictures import PictureError, opened_picture
from .tables import read_number

VARIANTS = ("paper", "released")
POWERS = {1: 1.8, 4: 1.8, 15: 0.8, 17: 0.8, 20: 0.8}
STRENGTHENED = (15, 17, 20)
RELEASED_GAIN = 1.8
LOWEST = {"paper": 1.0, "released": 1.1}
FULL = 5.0
SIDE = 512  # pixels
HARDLY = 0.2
QUESTIONS = {  # column of FineFace's metadata -> question, the answer of a photo, what is dropped
    "isphoto": ("Is this a cartoon?", "no", "a cartoon"),
    "isreal": ("Is this photo real?", "yes", "not a real photo"),
}
WIDTH, HEIGHT, HAS_FACE = "imageresolutionx", "imageresolutiony", "hasface"
TRUE = ("true", "1", "1.0", "yes")


class AffectNetSource:
    """AffectNet's pictures with AU labels of a tool: FineFace's metadata, LibreFace or another.

    The columns HasFace, IsPhoto, IsReal, ImageResolutionX and ImageResolutionY are used where the
    table has them. Without sizes, pictures are measured; without IsPhoto or IsReal, the answerer is
    asked. RAR archives must be unpacked.
    """

    def __init__(
        self,
        pictures: str | Path,
        table: str | Path,
        form: str = "fineface",
        variant: str = "paper",
        answerer: VisionModel | None = None,
    ):
        """Raises ValueError for an unknown variant, or where nothing tells photos from drawings;
        else as LabelledFolder."""
        if variant not in VARIANTS:
            raise ValueError(f"the variant is {' or '.join(VARIANTS)}, not {variant!r}")
        self.folder, self.variant = LabelledFolder(pictures, table, form), variant
        if self.folder.csv is None:
            raise ValueError(f"AffectNet's labels are one CSV, which {table} is not")
        self.names = {name.lower(): name for name in self.folder.csv.header}
        self.settings = {
            **self.folder.settings,
            "source": "AffectNet",
            "variant": variant,
            "answerer": answerer.name if answerer else None,
        }
        has_face = Step("no face", lambda face: bool(str(face.about[HAS_FACE])))
        told = variant == "released" and HAS_FACE in self.names
        self.steps: tuple[Step, ...] = (
            *self.folder.steps[: -len(PICTURE_STEPS)],
            *([has_face] if told else []),
            *VARIANT_STEPS[variant],
            READABLE,
            *(self._photo_step(column, answerer) for column in QUESTIONS),
        )

    def faces(self) -> Iterator[LabelledFace]:
        """Every row of the table. `about` holds the columns that a step reads."""
        used = (HAS_FACE, *QUESTIONS, WIDTH, HEIGHT)
        for face in self.folder.faces([self.names[name] for name in used if name in self.names]):
            where = f"the row of {face.file.name} in {self.folder.table}"
            for name in {WIDTH, HEIGHT} & face.about.keys():
                read_number(face.about[name], name, where)
            yield face

    def _photo_step(self, column: str, answerer: VisionModel | None) -> Step:
        question, wanted, dropped = QUESTIONS[column]
        if column in self.names:
            return Step(dropped, lambda face: str(face.about[column]).lower() in TRUE)
        if answerer is None:
            raise ValueError(
                f"Nothing can tell whether a picture is {dropped}: {self.folder.table} has no "
                f"column {column!r}, so name the folder of a model that answers questions (BLIP-2)"
            )
        return Asked(dropped, lambda answer: answer.startswith(wanted), answerer, question)


def _size(face: LabelledFace) -> tuple[float, float]:
    """Width and height, from the table or the file's header; a file that cannot be read counts as
    large, so that the step for such files reports it."""
    if WIDTH in face.about and HEIGHT in face.about:
        width, height = (face.about[name] for name in (WIDTH, HEIGHT))
        return read_number(width or "0", WIDTH, ""), read_number(height or "0", HEIGHT, "")
    try:
        with opened_picture(face.file) as picture:
            return picture.size
    except PictureError:
        return float("inf"), float("inf")


def _is_above(face: LabelledFace) -> bool:
    width, height = _size(face)
    return width >= SIDE and height > SIDE


SMALL = f"smaller than {SIDE} x {SIDE} pixels"
VARIANT_STEPS = {
    "paper": (
        Step(f"AUs of less than {HARDLY} in all", lambda face: sum(face.aus.values()) >= HARDLY),
        PRESENT,
        Step(SMALL, lambda face: min(_size(face)) >= SIDE),
    ),
    "released": (
        Step(
            f"no AU above {HARDLY} on the scale 0..1",
            lambda face: max(face.aus.values()) / 5 > HARDLY,
        ),
        PRESENT,
        Step(SMALL, _is_above),
    ),
}


@dataclass(frozen=True)
class Correction:
    """A fitted correction. ranges: AU number -> smallest and largest intensity, 0..5, before it."""

    variant: str
    ranges: Mapping[int, tuple[float, float]]

    def __call__(self, aus: Mapping[str, float]) -> dict[str, float]:
        """AU code -> intensity, corrected; a label of one side by the range of its AU."""
        changed = {code: self._spread(_number(code), value) for code, value in aus.items()}
        lowest = LOWEST[self.variant]
        return {code: value if value >= lowest else 0.0 for code, value in changed.items()}

    def _spread(self, unit: int, value: float) -> float:
        if unit not in POWERS:
            return value
        scale, top = (1.0, FULL) if self.variant == "paper" else (FULL, self.ranges[unit][1])
        if self.variant == "released" and unit in STRENGTHENED:
            top = RELEASED_GAIN * self.ranges.get(17, self.ranges[unit])[1]
        low, high, raised = ((v / scale) ** POWERS[unit] for v in (*self.ranges[unit], value))
        # A column of one value has no range to spread.
        return value if high == low else (raised - low) / (high - low) * top


def fit_correction(labels: Iterable[Mapping[str, float]], variant: str) -> Correction:
    """The correction for a data set, from all its labels (AU code -> 0..5)."""
    ranges: dict[int, tuple[float, float]] = {}
    for label in labels:
        for code, value in label.items():
            low, high = ranges.get(_number(code), (value, value))
            ranges[_number(code)] = min(low, value), max(high, value)
    return Correction(variant, ranges)


def _number(code: str) -> int:
    return int(code.lstrip("LR"))
