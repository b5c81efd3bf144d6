"""The data sets that `au-adapter prepare` knows, by name."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from .affectnet import AffectNetSource, fit_correction
from .bp4d import BP4DSource
from .disfa import DISFASource
from .face_cutter import open_cutter
from .face_source import VisionModel
from .labelled_folder import LabelledFolder
from .preparation import Preparation

PLACES = ("subject", "frame")  # columns of a table that tell whom a face that is cut out shows
KINDS = {  # -> its options
    "folder": ("format",),
    "disfa": ("captions", "fold", "variant"),
    "affectnet": ("format", "variant"),
    "bp4d": (),
}
FORMS = {"folder": "plain", "affectnet": "fineface"}  # the table's, where none is named
# FineFace's code counts the frames of DISFA without AUs, which its paper puts at about 10 %. On
# AffectNet the paper's labels stay in 0..5, and those of the code do not.
VARIANTS = {"disfa": "released", "affectnet": "paper"}


def prepare(
    kind: str,
    pictures: Path,
    labels: Path,
    output: Path,
    *,
    form: str | None = None,
    variant: str | None = None,
    folds: Sequence[int] = (),
    captions: Path | None = None,
    model: VisionModel | None = None,
    size: int | None = None,
    part: int = 1000,
    cut: int | None = None,
) -> dict:
    """Turn a data set into shards in `output`, and return its data card.

    kind: a name in KINDS. labels: a table (folder, affectnet), or DISFA's or BP4D's folder of them.
    form: of the table, a name in TABLE_FORMATS, default FORMS. variant: "paper" or "released",
    where FineFace's paper and code differ, default VARIANTS. folds: of DISFA's subjects, default
    all. captions: DISFA's CSV. model: captions faces without one, tells photos from drawings.
    size: pixels of a side; None keeps the files. cut: pixels of a side of the faces that are cut
    out, see `face_cutter`; None keeps whole pictures. ValueError for an option of another kind.
    """
    given = {"format": form, "variant": variant, "fold": folds, "captions": captions}
    if kind not in KINDS:
        raise ValueError(f"There is no kind of data set {kind!r}: choose {', '.join(KINDS)}")
    if wrong := sorted(n for n, value in given.items() if value and n not in KINDS[kind]):
        known = ", ".join(KINDS[kind]) or "no options"
        raise ValueError(f"{', '.join(wrong)} means nothing for {kind}, which has {known}")
    correct, form, variant = None, form or FORMS.get(kind), variant or VARIANTS.get(kind)
    if kind == "folder":
        source = LabelledFolder(pictures, labels, form, PLACES if cut else ())
    elif kind == "disfa":
        source = DISFASource(pictures, labels, folds or (1, 2, 3), variant, captions)
    elif kind == "bp4d":
        source = BP4DSource(pictures, labels)
    else:
        source = AffectNetSource(pictures, labels, form, variant, model)
        correct = partial(fit_correction, variant=source.variant)
    cutter = open_cutter(cut) if cut else None
    return Preparation(source, Path(output), size, correct, model, part, cutter).run()
