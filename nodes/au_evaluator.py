"""AU Evaluator and Save AU Report: what pictures show against what was asked for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from au_adapter.data.pictures import as_picture
from au_adapter.estimators import Estimator, read_set
from au_adapter.estimators.reading import ReadingSet
from au_adapter.evaluation.comparison import Comparison, comparison
from au_adapter.evaluation.picture_report import ReferencePictures, batch_name, evaluate_pictures
from au_adapter.evaluation.plots import report_plots, sentence_picture
from au_adapter.evaluation.report import Report
from au_adapter.faces.locate import MODEL_FOLDER
from au_adapter.facs import AUVector

from .compat import ClipVisionModel, command_line, folder_paths, io, show_text
from .node import Node
from .sockets import AUReadingSocket, AUReportSocket, AUVectorSocket, FaceReaderSocket

SCALES = {"intensities": "absolute", "changes of the source": "change"}
ALIASES = ["FACS", "action units", "metrics", "measure", "report"]
NAME_TOKEN = "%aus%"


class AUEvaluator(Node):
    """Measures how well pictures show the Action Units that they were asked for, and what else
    changed beside a source picture.

    images: The pictures to measure.
    au_vector: What was asked for: one vector for all pictures, or one for each.
    source: The photo before the edit, or the picture with all AUs at 0: one for all, or one for
        each. Same size as the pictures. One that is itself among the pictures is the reference and
        not scored.
    clip_vision: For CLIP-I, from Load CLIP Vision. Without it CLIP-I is not measured.
    au_reading: What AU Estimator read in these pictures.
    face_reader: Reads the pictures where no AU_READING is connected, and the source.
    request: intensities: the AU vector is what the faces should show, 0..5. changes of the source:
        it is added to what the source shows, as in MagicFace.
    plots: Bars of every AU, a scatter of the batch, and a map of what each AU did to the others
        where several were asked for alone.
    table: The report in Markdown.
    """

    @classmethod
    def define_schema(cls) -> io.Schema:
        return cls.schema(
            "AU Evaluator",
            family="read and measure",
            aliases=[*ALIASES, "CLIP-I", "LPIPS", "MSE"],
            inputs=[
                io.Image.Input("images"),
                AUVectorSocket.Input("au_vector"),
                io.Image.Input("source", optional=True),
                io.ClipVision.Input("clip_vision", optional=True),
                AUReadingSocket.Input("au_reading", optional=True),
                FaceReaderSocket.Input("face_reader", optional=True),
                io.Combo.Input("request", options=list(SCALES), default="intensities"),
            ],
            outputs=[
                AUReportSocket.Output(),
                io.Image.Output(display_name="plots"),
                io.String.Output(display_name="table"),
            ],
        )

    @classmethod
    def execute(
        cls,
        images: Tensor,
        au_vector: AUVector,
        source: Tensor | None = None,
        clip_vision: ClipVisionModel | None = None,
        au_reading: ReadingSet | None = None,
        face_reader: Estimator | None = None,
        request: str = "intensities",
    ) -> io.NodeOutput:
        images = images.cpu()  # where masks are, with --gpu-only too
        if au_reading is None and face_reader is not None:
            au_reading = read_set(face_reader, images)
        before = None
        if source is not None:
            source = source.cpu()
            seen = face_reader and read_set(face_reader, source)
            before = ReferencePictures(source, seen)
        report = evaluate_pictures(
            images,
            au_vector,
            au_reading,
            source=before,
            scale=SCALES[request],
            compare=before and _comparison(clip_vision),
        )
        plots = plot_or_reason(lambda: report_plots(report))
        # The history of the prompt keeps it, for programs: outputs -> this node -> au_report.
        kept = {"au_report": (json.loads(report.json()),)}
        return io.NodeOutput(report, plots, report.markdown(), ui=kept)


def _comparison(clip_vision: ClipVisionModel | None) -> Comparison:
    folders = folder_paths.get_folder_paths(MODEL_FOLDER)
    if clip_vision is None:
        return comparison(folders)
    config = getattr(clip_vision, "config", None)
    if config is None:  # ComfyUI 0.4.0 keeps none
        weights = sum(parameter.numel() for parameter in clip_vision.model.parameters())
        name = f"CLIP Vision of {weights} weights"
    else:
        name = f"CLIP Vision {config.get('hidden_size')} x {config.get('num_hidden_layers')}"
    return comparison(
        folders, clip=lambda x: clip_vision.encode_image(x)["image_embeds"], clip_name=name
    )


def plot_or_reason(draw: Callable[[], Tensor]) -> Tensor:
    """A plot, or a picture of the sentence that says what it needs."""
    try:
        return draw()
    except RuntimeError as error:
        return sentence_picture(str(error))


class SaveAUReport(Node):
    """Writes a report into the output folder: .json and .csv for programs, .md for people, and on
    request its pictures, named by FACS code.

    images: The pictures of the report, saved under the names in its table, such as
        AU06C+12D_0001.png.
    filename_prefix: May name folders: study/%aus%. %aus% becomes the FACS code of what was asked
        for, and a number follows: AU06C+12D_0001.csv.
    """

    @classmethod
    def define_schema(cls) -> io.Schema:
        return cls.schema(
            "Save AU Report",
            family="read and measure",
            aliases=[*ALIASES, "CSV", "JSON", "export"],
            inputs=[
                AUReportSocket.Input("au_report"),
                io.Image.Input("images", optional=True),
                io.String.Input("filename_prefix", default=NAME_TOKEN),
            ],
            outputs=[],
            is_output_node=True,
            hidden=[io.Hidden.prompt, io.Hidden.extra_pnginfo, io.Hidden.unique_id],
        )

    @classmethod
    def execute(
        cls, au_report: Report, images: Tensor | None = None, filename_prefix: str = NAME_TOKEN
    ) -> io.NodeOutput:
        prefix = filename_prefix.replace(NAME_TOKEN, batch_name(au_report))
        folder, name, number, _, _ = folder_paths.get_save_image_path(
            prefix, folder_paths.get_output_directory()
        )
        while Path(folder, f"{name}_{number:04d}.json").exists():
            number += 1  # an older core counts no names that end in .json
        stem = f"{name}_{number:04d}"
        pictures = len(au_report.files())
        if images is not None and pictures != len(images):
            raise ValueError(
                f"the report is of {pictures} pictures, but {len(images)} are "
                "connected: connect the ones that AU Evaluator measured"
            )
        paths = au_report.write(folder, stem)
        if images is not None:
            paths.append(Path(folder, stem))
            paths[-1].mkdir(parents=True)
            for file, image in zip(au_report.files(), images, strict=True):
                picture = as_picture(image.clamp(0, 1))
                picture.save(paths[-1] / file, pnginfo=_metadata(cls.hidden))
        text = show_text(cls, "\n".join(f"Saved {path}" for path in paths))
        return io.NodeOutput(ui={**text.as_dict(), "au_files": _references(paths)})


def _references(paths: list[Path]) -> list[dict[str, str]]:
    """Files as ComfyUI's /view takes them; of a folder, the pictures in it."""
    output = Path(folder_paths.get_output_directory())
    parts = [sorted(path.iterdir()) if path.is_dir() else [path] for path in paths]
    return [
        {
            "filename": file.name,
            "subfolder": file.parent.relative_to(output).as_posix(),
            "type": "output",
        }
        for files in parts
        for file in files
    ]


def _metadata(hidden: io.Hidden | None) -> PngInfo | None:
    """The workflow, as core's Save Image keeps it."""
    if command_line.disable_metadata or hidden is None:
        return None
    metadata = PngInfo()
    for name, value in {"prompt": hidden.prompt, **(hidden.extra_pnginfo or {})}.items():
        if value:
            metadata.add_text(name, json.dumps(value))
    return metadata
