"""The data sets that `au-adapter prepare` knows, by name."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from .affectnet import AffectNetSource
from .bp4d import BP4DSource
from .captioning import VisionModel
from .disfa import DISFASource
from .label_corrections import fit
from .labelled_folder import LabelledFolder
from .preparation import Preparation

KINDS = ("folder", "disfa", "affectnet", "bp4d")
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
) -> dict:
    """Turn a data set into shards in `output`, and return its data card.

    kind: a name in KINDS. labels: a table (folder, affectnet), or DISFA's or BP4D's folder of them.
    form: of the table, a name in TABLE_FORMATS, default FORMS. variant: "paper" or "released",
    where FineFace's paper and code differ, default VARIANTS. folds: of DISFA's subjects, default
    all three. captions: DISFA's CSV. model: captions faces without a caption, and tells photos from
    drawings. size: pixels of a side; None keeps the files. An option that the kind does not have is
    a ValueError.
    """
    given = {"format": form, "variant": variant, "fold": folds, "captions": captions}
    _refuse(kind, {name for name, value in given.items() if value})
    correct, form, variant = None, form or FORMS.get(kind), variant or VARIANTS.get(kind)
    if kind == "folder":
        source = LabelledFolder(pictures, labels, form)
    elif kind == "disfa":
        source = DISFASource(pictures, labels, folds or (1, 2, 3), variant, captions)
    elif kind == "bp4d":
        source = BP4DSource(pictures, labels)
    else:
        source = AffectNetSource(pictures, labels, form, variant, model)
        correct = partial(fit, variant=source.variant)
    return Preparation(source, Path(output), size, correct, model, part).run()


def _refuse(kind: str, given: set[str]) -> None:
    has = {
        "folder": {"format"},
        "disfa": {"variant", "fold", "captions"},
        "affectnet": {"format", "variant"},
        "bp4d": set(),
    }
    if kind not in KINDS:
        raise ValueError(f"There is no kind of data set {kind!r}: choose {', '.join(KINDS)}")
    if wrong := sorted(given - has[kind]):
        known = ", ".join(sorted(has[kind])) or "no options"
        raise ValueError(f"{', '.join(wrong)} means nothing for {kind}, which has {known}")
