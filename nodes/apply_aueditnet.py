"""Load AUEditNet, Invert Face and Apply AUEditNet: a face as a code in StyleGAN2's W+."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from au_adapter.bundled import AUEDITNET, WPLUS
from au_adapter.faces.ffhq_alignment import align_faces
from au_adapter.faces.picture_checks import in_colour
from au_adapter.facs import REGIONS, AUVector
from au_adapter.methods.aueditnet_editor import open_files
from au_adapter.methods.wplus_editing import MODES, FaceLatent, drawn, edited, invert
from au_adapter.models.aueditnet import AUEditNet
from au_adapter.weights.aueditnet_files import load_aueditnet
from au_adapter.weights.tensors import weights_name
from au_adapter.weights.wplus_files import WPlus

from .compat import ModelPatcher, ProgressBar, folder_paths, io, model_management, show_text
from .face_edit import ALL_FACES, ORDERS, choose_faces, find_faces, sized_masks
from .node import Node
from .queued_graph import QueuedGraph
from .sockets import (
    AUEditNetSocket,
    AUVectorSocket,
    FaceCropSocket,
    FaceLandmarksSocket,
    FaceLatentSocket,
)

FOLDER = "aueditnet"
PIXEL_BYTES = 1500  # what the generator needs for a moment, for each pixel of its picture


@dataclass(frozen=True, eq=False)
class LoadedAUEditNet:
    """AUEDITNET: a generator with its encoder, what edits their codes, and how ComfyUI moves them:
    the encoder apart, which only Invert Face needs."""

    wplus: WPlus
    network: AUEditNet
    drawing: ModelPatcher
    seeing: ModelPatcher

    def load(self, *patchers: ModelPatcher) -> None:
        """Bring networks to where they compute."""
        memory = PIXEL_BYTES * self.wplus.generator.config.size**2
        model_management.load_models_gpu([*patchers], memory_required=memory, force_full_load=True)

    def check(self, latent: FaceLatent) -> None:
        """ValueError for a code of another generator."""
        if latent.space != self.wplus.space:
            raise ValueError(
                f"FACE_LATENT is a code of another generator ({latent.space}, here "
                f"{self.wplus.space}): invert the face with the same Load AUEditNet."
            )

    def draw(self, latent: FaceLatent) -> Tensor:
        """Pictures [N, R, R, 3] of codes, with progress; a person can stop it after each."""
        progress = ProgressBar(len(latent))

        def drawn_one(*_: int) -> None:
            model_management.throw_exception_if_processing_interrupted()
            progress.update(1)

        return drawn(self.wplus.generator, latent, drawn_one)


class LoadAUEditNet(Node):
    """Loads a StyleGAN2 generator, e4e's encoder and an AUEditNet: the small ones in the box, or
    files from models/aueditnet.

    editor_file: What moves Action Units, written by the recipe aueditnet. It knows the codes of one
        generator, so take that generator below.
    generator_file: What draws faces: e4e_ffhq_encode.pt, a StyleGAN2 of rosinality's port or of
        NVIDIA's PyTorch code (.pkl), or what `au-adapter convert` made of one. No code in a file
        runs. These weights are not for commercial use.
    encoder_file: What finds a face's code: a file with e4e's encoder, often the same file.
    """

    @classmethod
    def define_schema(cls) -> io.Schema:
        found = folder_paths.get_filename_list(FOLDER)
        files = [*dict.fromkeys([*found, WPLUS, AUEDITNET])]  # also if missing: it says so then
        return cls.schema(
            "Load AUEditNet",
            family="models and training",
            aliases=["FACS", "StyleGAN", "e4e", "W+"],
            inputs=[
                io.Combo.Input("editor_file", options=files, default=AUEDITNET),
                io.Combo.Input("generator_file", options=files, default=WPLUS),
                io.Combo.Input("encoder_file", options=files, default=WPLUS),
            ],
            outputs=[AUEditNetSocket.Output()],
            shows_text=True,
        )

    @classmethod
    def weight_files(
        cls, editor_file: str, generator_file: str, encoder_file: str
    ) -> tuple[Path, ...]:
        return tuple(map(aueditnet_path, (editor_file, generator_file, encoder_file)))

    @classmethod
    def fingerprint_inputs(cls, **files: str) -> tuple:
        return *files.values(), *(path.stat().st_mtime for path in cls.weight_files(**files))

    @classmethod
    def execute(cls, editor_file: str, generator_file: str, encoder_file: str) -> io.NodeOutput:
        editor, generator, encoder = cls.weight_files(editor_file, generator_file, encoder_file)
        wplus, network = open_files(editor, generator, None if encoder == generator else encoder)
        places = model_management.get_torch_device(), model_management.unet_offload_device()
        drawing = ModelPatcher(nn.ModuleList([wplus.generator, network]), *places)
        loaded = LoadedAUEditNet(wplus, network, drawing, ModelPatcher(wplus.encoder, *places))
        return io.NodeOutput(loaded, ui=show_text(cls, wplus.licence))


class InvertFace(Node):
    """Finds a face in a photo, turns it upright, and finds the code with which the generator draws
    it. Moving a slider does not run it again.

    image: A photo, or a batch of them; any size.
    face_landmarks: Faces that another node found in this photo (AU Estimator, Detect Face
        Landmarks). Without it they are looked for here.
    mask: Chooses the face that lies in it, instead of the number below.
    face: Which face of each photo, counted from 0 in the order below; -1 is all of them.
    order: In which order the faces are counted.
    reconstruction: The face as its code says it. What is lost here no edit brings back.
    """

    @classmethod
    def define_schema(cls) -> io.Schema:
        return cls.schema(
            "Invert Face",
            family="edit a photo",
            aliases=["FACS", "StyleGAN", "e4e", "W+", "encode face"],
            inputs=[
                AUEditNetSocket.Input("aueditnet"),
                io.Image.Input("image"),
                FaceLandmarksSocket.Input("face_landmarks", optional=True),
                io.Mask.Input("mask", optional=True),
                io.Int.Input("face", default=0, min=ALL_FACES, max=99),
                io.Combo.Input("order", options=list(ORDERS), advanced=True),
            ],
            outputs=[
                FaceLatentSocket.Output(),
                FaceCropSocket.Output(),
                io.Image.Output(display_name="reconstruction"),
            ],
        )

    @classmethod
    def execute(
        cls,
        aueditnet: LoadedAUEditNet,
        image: Tensor,
        face: int,
        order: str = next(iter(ORDERS)),
        face_landmarks: dict[str, Any] | None = None,
        mask: Tensor | None = None,
    ) -> io.NodeOutput:
        pictures = in_colour(image).cpu()
        masks = None if mask is None else sized_masks(mask, pictures)
        chosen = [
            (index, one)
            for index, faces in enumerate(find_faces(pictures, face_landmarks))
            for one in choose_faces(faces, index, face, order, masks)
        ]
        wplus = aueditnet.wplus
        crop, squares = align_faces(pictures, chosen, wplus.generator.config.size, wplus.framing)
        aueditnet.load(aueditnet.seeing, aueditnet.drawing)
        latent = invert(wplus, squares)
        return io.NodeOutput(latent, crop, aueditnet.draw(latent))


class ApplyAUEditNet(Node):
    """Draws a face with other Action Units, by numbers or with the expression of another face. No
    sampler, no seed: a moment for each picture.

    face_latent: The face, from Invert Face.
    au_vector: Intensities that the face shall show, or a change of those it shows, see mode. One
        for all faces, one for each, or many for one face.
    mode: intensities: the whole expression, AUs left out are 0. change: added to what AUEditNet
        reads in the face; no change is the face itself.
    region: Only Action Units of this part of the face change. FACS parts the face under the eyes:
        raised cheeks (AU6) are upper face.
    expression: Another face, from Invert Face, whose expression is taken as it is, without numbers;
        the AU vector is then added to it.
    change: By how much each AU changed, as AUEditNet reads it: for Paste Face.
    """

    @classmethod
    def define_schema(cls) -> io.Schema:
        return cls.schema(
            "Apply AUEditNet",
            family="edit a photo",
            aliases=["FACS", "action units", "StyleGAN", "face edit", "swap expression"],
            inputs=[
                AUEditNetSocket.Input("aueditnet"),
                FaceLatentSocket.Input("face_latent"),
                AUVectorSocket.Input("au_vector"),
                io.Combo.Input("mode", options=list(MODES)),
                io.Combo.Input("region", options=list(REGIONS)),
                FaceLatentSocket.Input("expression", optional=True),
            ],
            outputs=[
                io.Image.Output(),
                FaceLatentSocket.Output(),
                AUVectorSocket.Output(display_name="change"),
            ],
        )

    @classmethod
    def record(cls, graph: QueuedGraph, key: str) -> dict[str, Any]:
        vector, widgets = graph.vector(key, "au_vector"), graph.widgets(key)
        return {
            "aueditnet": _editor_name(graph, key),
            "aus": vector and json.loads(vector.to_json()),
            **{name: widgets.get(name) for name in ("mode", "region")},
            "expression": "expression" in graph.nodes[key]["inputs"],
        }

    @classmethod
    def execute(
        cls,
        aueditnet: LoadedAUEditNet,
        face_latent: FaceLatent,
        au_vector: AUVector,
        mode: str,
        region: str,
        expression: FaceLatent | None = None,
    ) -> io.NodeOutput:
        aueditnet.check(face_latent)
        aueditnet.load(aueditnet.drawing)
        latent, change = edited(aueditnet.network, face_latent, au_vector, mode, region, expression)
        return io.NodeOutput(aueditnet.draw(latent), latent, change)


def aueditnet_path(file: str) -> Path:
    """The path of a file that Load AUEditNet offers; FileNotFoundError that says what to do."""
    if path := folder_paths.get_full_path(FOLDER, file):
        return Path(path)
    places = ", ".join(folder_paths.get_folder_paths(FOLDER))
    raise FileNotFoundError(
        f"Load AUEditNet: there is no {file} in {places}; put files of your own into "
        f"models/{FOLDER} and choose them, or install AU-Adapter again, with its weights."
    )


def _editor_name(graph: QueuedGraph, key: str) -> str | None:
    """The hash of the editor's weights; None where the graph does not name its file."""
    loaders = (n for n in graph.upstream(key, "aueditnet") if graph.kind(n) is LoadAUEditNet)
    loader = next(loaders, None)
    file = graph.widgets(loader).get("editor_file") if loader else None
    if file is None:
        return None
    path = aueditnet_path(file)
    return _hashed(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=16)
def _hashed(path: Path, changed: int) -> str:
    """Hash of an editor's weights; `changed` is its file's time, for the cache."""
    return weights_name(load_aueditnet(path).network)
