"""Load VQ-AUFace and Sample VQ-AUFace."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from au_adapter.bundled import VQAUFACE
from au_adapter.faces import FACE_LANDMARKER, FaceLandmarker, locate
from au_adapter.faces.locate import MODEL_FOLDER
from au_adapter.facs import AUVector
from au_adapter.methods.vqauface_editor import VQAUFaceEditor, vqauface_file
from au_adapter.weights.downloads import sha256
from au_adapter.weights.vqauface_files import load_vqauface

from .compat import ModelPatcher, ProgressBar, folder_paths, io, model_management
from .node import Node
from .queued_graph import QueuedGraph
from .sockets import AUVectorSocket, VQAUFaceSocket

VQAUFACE_FOLDER = "vq_auface"
PREVIEW = 256  # pixels of a preview's side


@dataclass(frozen=True, eq=False)
class LoadedVQAUFace:
    """A VQ-AUFace that ComfyUI loads and frees like any model."""

    patcher: ModelPatcher
    file: Path

    def ready(self) -> torch.nn.Module:
        """The network, on the device that ComfyUI computes on."""
        model_management.load_models_gpu([self.patcher])
        return self.patcher.model


class LoadVQAUFace(Node):
    """Loads a VQ-AUFace, which draws a face anew from a text about Action Units: the bundled one,
    or one of your own training from models/vq_auface."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        # The bundled file is among them even if it is missing: the node then says so.
        files = [*dict.fromkeys([*folder_paths.get_filename_list(VQAUFACE_FOLDER), VQAUFACE])]
        return cls.schema(
            "Load VQ-AUFace",
            family="models and training",
            aliases=["FACS", "action units", "VQ-AUFace", "MaskGIT"],
            inputs=[
                io.Combo.Input(
                    "file",
                    options=files,
                    default=VQAUFACE,
                    tooltip="A file that `au-adapter train --recipe vq-auface` wrote, with its "
                    f"codec in it. {VQAUFACE} knows the heads that this project renders.",
                ),
            ],
            outputs=[VQAUFaceSocket.Output()],
        )

    @classmethod
    def weight_files(cls, file: str) -> tuple[Path, ...]:
        return (vqauface_path(file),)

    @classmethod
    def fingerprint_inputs(cls, file: str) -> tuple:
        return file, vqauface_path(file).stat().st_mtime

    @classmethod
    def execute(cls, file: str) -> io.NodeOutput:
        path = vqauface_path(file)
        network = load_vqauface(path)
        patcher = ModelPatcher(
            network,
            load_device=model_management.get_torch_device(),
            offload_device=model_management.unet_offload_device(),
        )
        return io.NodeOutput(LoadedVQAUFace(patcher, path))


class SampleVQAUFace(Node):
    """Draws the face of a picture anew with other Action Units, told in text or as an AU vector:
    same person, by VQ-AUFace's masked transformer.

    reference: Who is drawn; best with a relaxed face. The largest face of each picture counts, and
        what is drawn is put back around it.
    text: What the face does, in English as AU Text writes it. Leave it empty where an AU vector is
        connected.
    au_vector: The intensities to show, 0..5, instead of a text: all zero is a relaxed face. One for
        all pictures, one for each, or many for one picture.
    seed: Of the chance in drawing, the same for all faces of a run.
    steps: Steps in which all codes of the picture are settled, surest first.
    guidance: How much the text counts: 1 is as trained, more follows it more strongly, and twice
        the time.
    temperature: How much chance there is in the first steps; 0 is none, and the seed then changes
        nothing.
    """

    @classmethod
    def define_schema(cls) -> io.Schema:
        return cls.schema(
            "Sample VQ-AUFace",
            family="edit a photo",
            aliases=["FACS", "action units", "draw from words", "MaskGIT", "text"],
            inputs=[
                VQAUFaceSocket.Input("vq_auface"),
                io.Image.Input("reference"),
                io.String.Input("text", default="", multiline=True),
                AUVectorSocket.Input("au_vector", optional=True),
                io.Int.Input("seed", default=0, min=0, max=0xFFFFFFFFFFFFFFFF),
                io.Int.Input("steps", default=12, min=1, max=64),
                io.Float.Input("guidance", default=3.0, min=0.0, max=20.0, step=0.1),
                io.Float.Input("temperature", default=1.0, min=0.0, max=4.0, step=0.1),
            ],
            outputs=[io.Image.Output()],
        )

    @classmethod
    def record(cls, graph: QueuedGraph, key: str) -> dict[str, Any]:
        vector, loader = graph.vector(key, "au_vector"), graph.source(key, "vq_auface")
        known = graph.kind(loader) is LoadVQAUFace
        file = graph.constant(loader, "file") if known else None
        path = vqauface_path(file) if file else None
        return {
            "vq_auface": path and _hash(path, path.stat().st_mtime_ns),
            "aus": vector and json.loads(vector.to_json()),
            "text": graph.constant(key, "text"),
            "guidance": graph.constant(key, "guidance"),
        }

    @classmethod
    def execute(
        cls,
        vq_auface: LoadedVQAUFace,
        reference: Tensor,
        text: str,
        seed: int,
        steps: int,
        guidance: float,
        temperature: float,
        au_vector: AUVector | None = None,
    ) -> io.NodeOutput:
        if bool(text.strip()) == (au_vector is not None):
            raise ValueError("give a text or connect an AU vector, one of the two")
        vectors = None if au_vector is None else _of_pictures(au_vector, len(reference))
        editor = VQAUFaceEditor(
            network=vq_auface.ready(),
            landmarker=FaceLandmarker(
                locate(FACE_LANDMARKER, folders=folder_paths.get_folder_paths(MODEL_FOLDER))
            ),
            steps=steps,
            guidance=guidance,
            temperature=temperature,
        )
        bar = ProgressBar(len(reference) * steps)
        drawn = []
        for number, picture in enumerate(reference):
            opened = editor.changed(on_preview=_telling(bar, number * steps)).open(picture[None])
            if vectors is None:
                drawn.append(opened.draw([text], seed))
            else:
                drawn.append(opened.edit(vectors[number], seed))
        return io.NodeOutput(torch.cat(drawn))


def _of_pictures(aus: AUVector, pictures: int) -> list[AUVector]:
    """The AU vectors of each picture. ValueError unless there is one for each, or one picture."""
    if pictures == 1:
        return [aus]
    if len(aus) not in (1, pictures):
        raise ValueError(
            f"{len(aus)} AU vectors for {pictures} pictures: give one for all of them, or "
            f"{pictures}, or one picture"
        )
    return [aus.face(number if len(aus) > 1 else 0) for number in range(pictures)]


def _telling(bar: ProgressBar, before: int) -> Callable[[int, int, Callable[[], Tensor]], None]:
    """Moves the bar after every step and shows the picture as it is so far."""

    def tell(step: int, steps: int, pictures: Callable[[], Tensor]) -> None:
        model_management.throw_exception_if_processing_interrupted()
        pixels = (pictures()[0] * 255).round().byte().numpy()
        bar.update_absolute(before + step, preview=("JPEG", Image.fromarray(pixels), PREVIEW))

    return tell


def vqauface_path(file: str) -> Path:
    """The path of a file that Load VQ-AUFace offers; FileNotFoundError that says what to do."""
    return vqauface_file(folder_paths.get_full_path(VQAUFACE_FOLDER, file) or Path(file))


@lru_cache(maxsize=16)
def _hash(path: Path, changed: int) -> str:
    """The beginning of a file's SHA-256; `changed` is its time, for the cache."""
    return sha256(path)[:16]
