"""AffectNet (Mollahosseini et al. 2017) filtered as FineFace's supplement says.

Paper and released code differ; both are here under their names, and `label_corrections` has the
rest:

| step          | "paper"                         | "released"                            |
|---------------|---------------------------------|---------------------------------------|
| face          | -                               | the column HasFace is filled          |
| size          | both sides at least 512         | width at least 512, height above 512  |
| photo         | no cartoon, a real photo        | the same                              |
| hardly any AU | sum of AUs under 0.2, each 0..5 | strongest AU at most 0.2, each 0..1   |
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from .face_source import (
    PICTURE_STEPS,
    PRESENT,
    READABLE,
    Asked,
    LabelledFace,
    Step,
    VisionModel,
)
from .label_corrections import VARIANTS
from .labelled_folder import LabelledFolder
from .pictures import PictureError, opened_picture

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
        face_steps: tuple[Step, ...] = ()
        if variant == "released" and HAS_FACE in self.names:
            face_steps = (Step("no face", lambda face: bool(str(face.about[HAS_FACE]))),)
        self.steps: tuple[Step, ...] = (
            *self.folder.steps[: -len(PICTURE_STEPS)],
            *face_steps,
            *VARIANT_STEPS[variant],
            READABLE,
            *(self._photo_step(column, answerer) for column in QUESTIONS),
        )

    def faces(self) -> Iterator[LabelledFace]:
        """Every row of the table. `about` holds the columns that a step reads."""
        used = (HAS_FACE, *QUESTIONS, WIDTH, HEIGHT)
        return self.folder.faces([self.names[name] for name in used if name in self.names])

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
        return float(face.about[WIDTH] or 0), float(face.about[HEIGHT] or 0)
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
