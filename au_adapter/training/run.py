"""Start a recipe by name: `au-adapter train --recipe NAME --data DATA --steps N --output DIR`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from filelock import FileLock, Timeout

from ..data.face_cutter import SIDE
from ..estimators import Estimator
from ..evaluation.evaluation_run import estimator_of
from ..processes import launched_processes
from .errors import checked, explained
from .follow import LOCK
from .loop import Trainer
from .progress import quiet
from .recipe import Report
from .recipes import choose
from .sources import data_card, find_faces
from .validation import Estimate, validation_for

WAIT = 120  # seconds for another run in the same folder to end
DESCRIBED = ("folder", "faces", "uneven", "captioned", "steps")  # of a data card, for `report`


def train(
    recipe: str,
    data: list[str | Path],
    output: str | Path,
    estimate: Estimate | Estimator | str | None = None,
    report: Report = quiet,
    **changes: object,
) -> Path:
    """Train a recipe on labelled faces, see `sources`; resumes when output holds a state.

    changes: settings of the loop (steps, batch_size, ...) and options of the recipe (base,
    smoothing, ...) by name; None leaves the default, see `recipes.choose`.
    estimate: reads AUs off pictures for validate_every, or the name of an estimator, see
    `estimator_of`; default the regressor beside a bundled base. report: hears what happens, see
    `progress`. Returns the result folder. A full disk is an OSError and no memory left a
    MemoryError, which say what to do.
    """
    chosen = choose(recipe, changes)
    settings = chosen.settings
    torch.manual_seed(settings.seed)  # the networks start from the seed too
    if isinstance(estimate, str):
        estimate = estimator_of(estimate, bundled=True)
    processes = launched_processes()
    if not processes.is_main_process:
        report = quiet
    with explained(Path(output)), _alone(Path(output), report):
        with processes.main_process_first():
            cut = SIDE if getattr(chosen.make, "cuts_faces", False) else None
            faces = [find_faces(d, Path(output), cut) for d in data]
        cards = []  # the main process tells and saves them, under the names that were given
        if processes.is_main_process:
            cards = [data_card(f, Path(d).name) for f, d in zip(faces, data, strict=True)]
        for card in cards:
            report({"event": "data", **{name: card[name] for name in DESCRIBED}})
        made = chosen.open(faces)
        validate = None
        if settings.validate_every:
            validate = checked(validation_for(made, estimate), Path(output), report)
        options = {  # files by their names: folders are of one machine
            name: Path(value).name if isinstance(value, Path | str) else value
            for name, value in chosen.given.items()
        }
        about = {"recipe": recipe, "options": options, "data": cards}
        Trainer(made, settings, Path(output), validate, report, about).run()
    return Path(output) / "result"


@contextmanager
def _alone(output: Path, report: Report) -> Iterator[None]:
    """No other run works in the folder meanwhile: one that was just stopped is still saving.

    RuntimeError when it does not end.
    """
    output.mkdir(parents=True, exist_ok=True)
    lock = FileLock(output / LOCK)
    if launched_processes().is_main_process:
        try:
            lock.acquire(timeout=0)
        except Timeout:
            report({"event": "waiting"})
            try:
                lock.acquire(timeout=WAIT)
            except Timeout as error:
                raise RuntimeError(
                    f"another training works in {output}: wait for its end, or choose another "
                    "folder"
                ) from error
    try:
        yield
    finally:
        lock.release()
