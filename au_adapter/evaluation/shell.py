"""What `au-adapter evaluate` and `au-adapter calibrate` do."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from ..data.pictures import PictureFolder, read_picture
from ..data.rendered import iterate
from ..data.request_tables import read_requests
from ..estimators import Estimator, open_estimator
from ..estimators.file_readings import FileReadings
from ..estimators.reading import Reading
from ..facs import SET_A, AUVector
from ..methods.subject import Subject
from ..metrics.embeddings import Encode
from ..weights.adapter_files import save_adapter
from ..weights.downloads import sha256
from .comparison import Comparison, comparison
from .fit_calibration import LEVELS, PRICE, fit_calibration, observations, sweep_vectors
from .generation import Drawing, limited
from .plots import calibration_plot, report_plots
from .protocol_run import process_share, run_protocol
from .protocols import REFERENCE, Frame, Protocol, Row, load_protocol
from .report import Report, report_run
from .sweep import PROMPTS, read_sweep

OF_A_PROTOCOL = ("model", "adapter", "calibrated", "start", "photos", "frames", "limit")
OF_A_FOLDER = ("requested", "changes", "readings")
PHOTO_PROMPT = "a photo of a face"


def evaluate(
    what: str,
    output: Path,
    *,
    subject: Mapping[str, Any],
    estimator: str | None = None,
    requested: Path | None = None,
    changes: bool = False,
    readings: Path | None = None,
    lpips: Path | None = None,
    clip: Path | None = None,
    identity: str | None = None,
    **settings: Any,
) -> list[Path]:
    """Carry out a protocol, or measure the pictures of a folder; the report's files.

    what: a name or file of a protocol, or a folder that `requested` belongs to. subject: arguments
    of `Subject.load`. estimator: see `estimator_of`. changes: `requested` asks for changes of what
    the sources show. readings: a table of another tool's for the pictures of a folder, see
    `FileReadings`. identity: MODULE:FUNCTION of what makes a function from pictures [N, H, W, 3] to
    embeddings [N, D] of who is in them. settings: of `evaluate_protocol`. Every process makes its
    share; the first, and whichever completes the run, writes the report.
    """
    own = {"requested": requested, "changes": changes, "readings": readings, "estimator": estimator}
    _check_options(what, {**subject, **settings, **own})
    compare = comparison(
        clip=clip and clip_encoder(clip),
        clip_name=f"CLIP {clip}",
        identity=identity and made_by(identity),
        identity_name=str(identity),
        lpips_backbone=lpips,
    )
    if Path(what).is_dir():
        folder = Path(what)
        given = readings and FileReadings.open(readings, folder)
        reader = given or estimator_of(estimator, {"model": what})
        evaluate_folder(folder, requested, output, reader, compare, changes)
    else:
        reader = estimator_of(estimator, subject)
        evaluate_protocol(what, output, subject, reader, compare, **settings)
    report = report_run(output)
    written = process_share()[0] == 0 or not report.counts["missing"]
    return _written(report, output) if written else []


def _check_options(what: str, given: Mapping[str, Any]) -> None:
    """A ValueError for an option that the kind of run would not look at."""
    if not Path(what).is_dir():
        for name in OF_A_FOLDER:
            if given.get(name):
                raise ValueError(f"--{name} belongs to a folder of pictures, and {what} is none")
        return
    if given["readings"] and given["estimator"]:
        raise ValueError("--readings are of the tool that made them: leave out --estimator")
    idle = [name for name in OF_A_PROTOCOL if given.get(name)]
    idle += ["rounds"] if given.get("rounds", 1) > 1 else []
    if idle:
        raise ValueError(
            f"{what} is a folder of pictures that are there already: leave out "
            + ", ".join(f"--{name}" for name in idle)
        )


def evaluate_folder(
    folder: Path,
    requested: Path | None,
    output: Path,
    reader: Estimator | FileReadings,
    compare: Comparison,
    changes: bool = False,
) -> None:
    """Measure the pictures that the table `requested` names. changes: it asks for changes of what
    the sources show (MagicFace), else for intensities."""
    protocol, unread = _folder(folder, requested, reader, changes)
    settings = {"pictures": _contents(protocol)}
    if isinstance(reader, FileReadings):
        estimate = _read_before(protocol, reader, folder)
        settings["readings"] = reader.digest
    else:
        estimate = reader.estimate
    run_protocol(
        protocol,
        lambda rows: torch.cat([read_picture(row.source) for row in rows]),
        estimate,
        output,
        compare=compare if protocol.references else None,
        method="pictures as given",
        settings=settings,
        **_about(protocol, compare, reader, unread),
    )


def _read_before(
    protocol: Protocol, reader: FileReadings, folder: Path
) -> dict[str, list[Reading]]:
    """Row id -> faces. ValueError for a picture to score that the tool did not read."""
    rows = (*protocol.references, *protocol.rows)
    found = reader.of({row.id: os.path.relpath(row.source, folder) for row in rows})
    needed = protocol.rows if protocol.scale == "absolute" else rows
    if missing := [row.source for row in needed if row.id not in found]:
        raise ValueError(
            f"{reader.name} did not read {len(missing)} of {len(needed)} pictures, such as "
            f"{missing[0]}: let it read them all, or take them out of the table of requests"
        )
    return found


def _contents(protocol: Protocol) -> str:
    """16 hex digits of the bytes of all files: rows of pictures that were redrawn do not mix."""
    rows = (*protocol.references, *protocol.rows)
    files = dict.fromkeys(file for row in rows for file in (row.source, row.target) if file)
    return hashlib.sha256("".join(map(sha256, files)).encode()).hexdigest()[:16]


def evaluate_protocol(
    what: str,
    output: Path,
    subject: Mapping[str, Any],
    reader: Estimator,
    compare: Comparison,
    *,
    photos: Path | None = None,
    frames: Path | None = None,
    prompt: str = PHOTO_PROMPT,
    limit: int | None = None,
    rounds: int = 1,
) -> None:
    """Make and measure the pictures of a protocol. photos, frames: see `load_protocol`. prompt: of
    photos. limit: a trial of so many pictures. rounds: of the closed loop."""
    protocol = load_protocol(
        what, photos=PictureFolder(photos).files if photos else [], frames=_frames(frames, output)
    )
    protocol = limited(protocol, limit)
    drawing = Drawing(Subject.load(**subject), reader, protocol.scale, prompt, rounds)
    settings = {**drawing.subject.settings(), "rounds": rounds}
    if protocol.references[0].source:
        settings |= {"photo_prompt": prompt, "edit_noise": drawing.subject.edit_noise}
        settings["photos"] = _contents(protocol)

    def compared(images: Tensor, references: Tensor, rows: Sequence[Row]) -> dict[str, Tensor]:
        return compare(images, drawing.references(rows, references))

    run_protocol(
        protocol,
        drawing,
        reader.estimate,
        output,
        compare=compared,
        method="AU-Adapter" if rounds == 1 else "AU-Adapter, closed loop",
        settings=settings,
        batch_size=drawing.subject.batch,
        **_about(protocol, compare, reader),
    )


def calibrate(
    adapter: Path | None,
    output: Path,
    *,
    subject: Mapping[str, Any],
    estimator: str | None = None,
    prompts: Sequence[str] = PROMPTS,
    levels: Sequence[float] = LEVELS,
    strongest: float = LEVELS[-1],
    faces: int | None = None,
    price: float = PRICE,
) -> tuple[Path, Path]:
    """Sweep every AU of an adapter on its base, fit the response curves, write the adapter with
    them to `output`; that file and the plot beside it. strongest: levels beyond it are left out,
    and so nothing beyond it is ever asked for. faces: only so many of the prompts. price: of
    change, see `calibration.PRICE`."""
    reader, drawn = estimator_of(estimator, subject), Subject.load(adapter=adapter, **subject)
    units = [u for u in drawn.adapter.config.units if u in reader.units]
    sweep = sweep_vectors(units, [level for level in levels if level <= strongest])
    chosen = prompts[:faces]
    seen = read_sweep(drawn, reader, sweep, chosen)
    conditions = f"{drawn.conditions()}, {len(chosen)} prompts, price {price:g}"
    costs = price * seen.changes
    calibration = fit_calibration(seen.requested, seen.readings, conditions, costs)
    path = save_adapter(drawn.adapter.with_calibration(calibration), output)
    plot = calibration_plot(calibration, observations(seen.requested, seen.readings))
    return path, _save_plot(plot[0], path.with_suffix(".png"))


def estimator_of(name: str | None, subject: Mapping[str, Any]) -> Estimator:
    """The estimator called `name` in `estimators`; or anybody's as MODULE:FUNCTION, a function
    without arguments that returns one. Without a name: for the bundled model its own regressor,
    else `mesh`."""
    if name is None:
        return open_estimator("mesh" if subject.get("model") else "demo")
    return made_by(name) if ":" in name else open_estimator(name)


def made_by(name: str) -> Any:
    """What the function MODULE:FUNCTION returns, called without arguments. ValueError where there
    is none."""
    module, _, function = name.partition(":")
    try:
        make = getattr(import_module(module), function, None)
    except ModuleNotFoundError as error:
        if not f"{module}.".startswith(f"{error.name}."):  # a package that the module asks for
            raise
        make = None
    if not callable(make):
        raise ValueError(
            f"There is no function '{name}': give MODULE:FUNCTION, a module that Python finds and "
            "a function in it that takes no arguments"
        )
    return make()


def clip_encoder(folder: Path) -> Encode:
    """CLIP's image embeddings by transformers, from a folder as save_pretrained wrote it."""
    from transformers import CLIPImageProcessor, CLIPVisionModelWithProjection

    processor = CLIPImageProcessor.from_pretrained(folder, local_files_only=True)
    model = CLIPVisionModelWithProjection.from_pretrained(folder, local_files_only=True).eval()

    def encode(images: Tensor) -> Tensor:
        inputs = processor(images.movedim(-1, 1), do_rescale=False, return_tensors="pt")
        return model(**inputs).image_embeds

    return encode


def _folder(
    folder: Path, table: Path | None, reader: Estimator | FileReadings, changes: bool
) -> tuple[Protocol, list[int]]:
    """The pictures of a folder as a protocol: what each was asked for stands in a table. And the
    AUs that were asked for and that the estimator does not read: no row has them."""
    if table is None:
        raise ValueError(
            f"{folder} holds pictures; what they were asked for is missing. Give --requested, a "
            "CSV with the columns file, aus (FACS notation) and, to compare, source"
        )
    rows, references, unread = [], {}, set()
    for entry in read_requests(table, once="file"):
        file, source = entry.cells["file"], entry.cells.get("source")
        name = f"reference_{source}".replace("/", "_") if source else ""
        if changes and not source:
            raise ValueError(
                f"{table} names no source of {file}: a change is measured from what its source "
                "shows; fill the column source, or leave out --changes"
            )
        if source:
            references[name] = Row(name, REFERENCE, {}, 0, name, source=str(folder / source))
        asked = {k: v for k, v in entry.aus.items() if int(k.lstrip("LR")) in reader.units}
        unread |= {int(k.lstrip("LR")) for k in entry.aus if k not in asked}
        rows.append(Row(file, "pictures", asked, 0, name, source=str(folder / file)))
    protocol = Protocol(
        name="pictures",
        title=f"Pictures of {folder.name}: Action Units asked for and measured",
        scale="change" if changes else "absolute",
        units=tuple(reader.units),
        rows=tuple(rows),
        references=tuple(references.values()),
        published={},
        ours=(),
    )
    return protocol, sorted(unread)


def _frames(source: Path | None, output: Path) -> list[Frame]:
    """Labelled photos: a CSV with the columns file, subject and aus, or a folder of renders, whose
    pictures are laid out beside the result."""
    if source is None:
        return []
    if source.is_dir():
        return _rendered_frames(source, output / "frames")
    return [
        Frame(str(source.parent / row.cells["file"]), row.cells["subject"], row.aus)
        for row in read_requests(source, ("file", "subject", "aus"))
    ]


def _rendered_frames(source: Path, folder: Path) -> list[Frame]:
    folder.mkdir(parents=True, exist_ok=True)
    frames = []
    for number, sample in enumerate(iterate(source)):
        path, label = folder / f"{number:05d}.png", sample["label"]
        if not path.is_file():
            partial = path.with_name(f".{os.getpid()}_{path.name}")  # processes do this at once
            Image.fromarray(sample["image"]).save(partial)
            os.replace(partial, path)
        frames.append(Frame(str(path), str(label["identity"]), _labels(label)))
    return frames


def _labels(label: Mapping[str, Any]) -> dict[str, float]:
    """The AUs of set A that a render shows, by side where the sides differ."""
    sides = [[[label[side].get(str(unit), 0.0) for unit in SET_A]] for side in ("left", "right")]
    left, right = map(torch.tensor, sides)
    return AUVector(SET_A, left, left, right).dict()


def _about(
    protocol: Protocol,
    compare: Comparison,
    reader: Estimator | FileReadings,
    asked: Sequence[int] = (),
) -> dict[str, Any]:
    """Who measures, and what nobody can. asked: AUs besides those of the protocol."""
    unread = [unit for unit in (*protocol.units, *asked) if unit not in reader.units]
    missing = {f"AU{unit}": f"{reader.name} does not read it" for unit in unread}
    if protocol.references:
        missing |= compare.not_measured
    networks = compare.networks if protocol.references else {}
    return {"estimator": reader.name, "networks": networks, "not_measured": missing}


def _written(report: Report, output: Path) -> list[Path]:
    paths = report.write(output)
    plots = report_plots(report) if report.lines else []
    return paths + [_save_plot(p, output / f"plot_{i}.png") for i, p in enumerate(plots, 1)]


def _save_plot(plot: Tensor, path: Path) -> Path:
    Image.fromarray((plot * 255).round().byte().numpy()).save(path)
    return path
