"""Evaluate: by a protocol or of a folder of pictures, from the options to the report's files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from ..data.pictures import PictureFolder, write_png
from ..disk import full_disk_said
from ..estimators import Estimator, open_estimator
from ..estimators.reading_tables import FileReadings
from ..load_object import load_object
from ..metrics.embeddings import Encode
from .comparison import comparison
from .evaluate_folder import evaluate_folder
from .evaluate_protocol import PICTURES, evaluate_protocol
from .plots import report_plots
from .protocol_run import process_share
from .report import report_run
from .set_scores import set_lines

OF_A_PROTOCOL = ("model", "adapter", "calibrated", "start", "method", "photos", "frames", "limit")
OF_A_FOLDER = ("requested", "changes", "readings")


def evaluate(
    what: str,
    output: Path,
    *,
    method: str | None = None,
    options: Mapping[str, Any] | None = None,
    estimator: str | None = None,
    requested: Path | None = None,
    changes: bool = False,
    readings: Path | None = None,
    lpips: Path | None = None,
    clip: Path | None = None,
    identity: str | None = None,
    real: Path | None = None,
    features: str | None = None,
    **settings: Any,
) -> list[Path]:
    """Carry out a protocol, or measure the pictures of a folder; the report's files.

    what: a name or file of a protocol, or a folder that `requested` belongs to. method, options:
    see `evaluate_protocol`. estimator: see `estimator_of`. changes: `requested` asks for changes of
    what the sources show. readings: another tool's table for a folder's pictures, `FileReadings`.
    identity: MODULE:FUNCTION that makes a function from pictures [N, H, W, 3] to embeddings [N, D]
    of who is in them. real: a folder of real pictures for FID and KID, which take the network that
    features, MODULE:FUNCTION, makes: see `set_scores`. settings: of `evaluate_protocol`. Every
    process makes its share; the first, and whichever completes the run, writes the report.
    """
    folder, options = Path(what), options or {}
    own = {"requested": requested, "changes": changes, "readings": readings, "estimator": estimator}
    own |= {"real": real, "features": features}
    _check_options(what, {**options, **settings, **own, "method": method})
    compare = comparison(
        clip=clip and clip_encoder(clip),
        clip_name=f"CLIP {clip}",
        identity=identity and load_object(identity)(),
        identity_name=str(identity),
        lpips_backbone=lpips,
    )
    references = real and PictureFolder(real)
    network = features and load_object(features)()
    with full_disk_said(output):
        if folder.is_dir():
            given = readings and FileReadings.open(readings, folder)
            reader = given or estimator_of(estimator, bundled=False)
            evaluate_folder(folder, requested, output, reader, compare, changes)
            place, ending = folder, ""
        else:
            reader = estimator_of(estimator, is_bundled(method, options))
            evaluate_protocol(what, output, method, options, reader, compare, **settings)
            place, ending = output / PICTURES, ".png"
        report = report_run(output)
        if process_share()[0] and report.counts["missing"]:
            return []
        if references:
            files = [place / f"{row.id}{ending}" for row in report.scored() if row.finite]
            lines = set_lines(files, references, network, str(features))
            report = replace(report, lines=report.lines + lines)
        paths = report.write(output)
        plots = report_plots(report) if report.lines else []
        return paths + [write_png(output / f"plot_{i}.png", p) for i, p in enumerate(plots, 1)]


def _check_options(what: str, given: Mapping[str, Any]) -> None:
    """A ValueError for an option that the kind of run would not look at."""
    if bool(given["real"]) != bool(given["features"]):
        raise ValueError(
            "FID and KID need real pictures and a network that sees them: give both --real FOLDER "
            "and --features MODULE:FUNCTION"
        )
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


def is_bundled(method: str | None, options: Mapping[str, Any]) -> bool:
    """Whether a method draws with the bundled model, as ours do unless they are given another."""
    return ":" not in (method or "") and not options.get("model")


def estimator_of(name: str | None, bundled: bool) -> Estimator:
    """The estimator called `name` in `estimators`, or what MODULE:FUNCTION() returns. Without a
    name: for the bundled model its own regressor, else `mesh`."""
    if name is None:
        return open_estimator("demo" if bundled else "mesh")
    return load_object(name)() if ":" in name else open_estimator(name)


def clip_encoder(folder: Path) -> Encode:
    """CLIP's image embeddings by transformers, from a folder as save_pretrained wrote it."""
    from transformers import CLIPImageProcessor, CLIPVisionModelWithProjection

    processor = CLIPImageProcessor.from_pretrained(folder, local_files_only=True)
    model = CLIPVisionModelWithProjection.from_pretrained(folder, local_files_only=True).eval()

    def encode(images: Tensor) -> Tensor:
        inputs = processor(images.movedim(-1, 1), do_rescale=False, return_tensors="pt")
        return model(**inputs).image_embeds

    return encode
