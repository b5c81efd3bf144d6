"""What the project ships: its workflows, and a server on its bundled model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from au_adapter.bundled import (
    AUEDITNET,
    FOLDER_VARIABLE,
    MAGICFACE,
    VQAUFACE,
    aueditnet_folder,
    demo_folder,
    magicface_folder,
    vqauface_folder,
)
from tools import face_files
from tools.server import ROOT, ComfyServer
from tools.stand_ins import add_stand_ins
from tools.templates import TEMPLATES

WORKFLOWS = ROOT / "workflows"
KEPT = ROOT / "tests" / "data" / "workflows"  # as saved with earlier versions
NODE_IDS = {
    "AUA_AUVector": "AU Vector",
    "AUA_AUSweep": "AU Sweep",
    "AUA_AUExpression": "AU Expression",
    "AUA_AUText": "AU Text",
    "AUA_AUFromText": "AU From Text",
    "AUA_AUKeyframes": "AU Keyframes",
    "AUA_AUSides": "AU Sides",
    "AUA_FaceHalfMasks": "Face Half Masks",
    "AUA_AUGuider": "AU Guider",
    "AUA_AUEncoder": "AU Encoder",
    "AUA_LoadAUAdapter": "Load AU-Adapter",
    "AUA_SaveAUAdapter": "Save AU-Adapter",
    "AUA_ApplyAUAdapter": "Apply AU-Adapter",
    "AUA_LoadDemoModel": "Load Demo Model",
    "AUA_LoadFaceReader": "Load Face Reader",
    "AUA_AUEstimator": "AU Estimator",
    "AUA_AUChange": "AU Change",
    "AUA_AUProtocol": "AU Protocol",
    "AUA_AUEvaluator": "AU Evaluator",
    "AUA_SaveAUReport": "Save AU Report",
    "AUA_CalibrateAUAdapter": "Calibrate AU-Adapter",
    "AUA_AUCorrection": "AU Correction",
    "AUA_LoadMagicFace": "Load MagicFace",
    "AUA_PrepareMagicFace": "Prepare MagicFace",
    "AUA_MagicFaceIDEncoder": "MagicFace ID Encoder",
    "AUA_ApplyMagicFace": "Apply MagicFace",
    "AUA_LoadAUEditNet": "Load AUEditNet",
    "AUA_InvertFace": "Invert Face",
    "AUA_ApplyAUEditNet": "Apply AUEditNet",
    "AUA_PasteFace": "Paste Face",
    "AUA_LoadVQAUFace": "Load VQ-AUFace",
    "AUA_SampleVQAUFace": "Sample VQ-AUFace",
    "AUA_TrainAUAdapter": "Train AU-Adapter",
    "AUA_LabelPictures": "Label Pictures",
    "AUA_CountAUVectors": "Count AU Vectors",
    "AUA_AUReadingJSON": "AU Reading JSON",
}
NAMES = sorted(path.stem for path in (WORKFLOWS / "api").glob("*.json"))
# What the bundled model draws: how many pictures, and of which width and height.
PICTURES = {
    "aueditnet_edit": 2,
    "aueditnet_transfer": 2,
    "au_animation": 1,
    "au_evaluate": 2,
    "au_generate": 1,
    "au_left_right": 1,
    "au_protocol": 3,
    "au_sides": 1,
    "au_sweep": 6,
    "au_target": 2,
    "au_text": 1,
    "au_two_faces": 1,
    "magicface_copy_expression": 1,
    "magicface_edit_demo": 1,
    "magicface_sides": 1,
    "magicface_sweep": 6,
    "magicface_words": 1,
    "vq_auface": 1,
}
SIZES = {"au_evaluate": (960, 600), "au_protocol": (960, 600), "au_two_faces": (224, 128)}
DRAWN = sorted(PICTURES)
TRAINING = ["au_train"]  # takes minutes: tests/comfy/test_training_node.py runs it shortened
FOREIGN = sorted({*NAMES} - {*DRAWN, *TRAINING})  # need models that nobody may ship along


def size_of(name: str) -> tuple[int, int]:
    """Width and height of what a workflow draws."""
    return SIZES.get(name, (128, 128))


def api_graph(name: str) -> dict[str, dict[str, Any]]:
    """A shipped workflow in API format."""
    return json.loads((WORKFLOWS / "api" / f"{name}.json").read_text(encoding="utf-8"))


def ui_graph(name: str) -> dict[str, Any]:
    """A shipped workflow as ComfyUI's page saves it: its template."""
    path = WORKFLOWS / f"{TEMPLATES[name].title}.json"
    return json.loads(path.read_text(encoding="utf-8"))


def ui_nodes(name: str) -> dict[str, dict[str, Any]]:
    """The nodes of a template by their ids: those inside its parts too, and not the parts."""
    graph = ui_graph(name)
    parts = graph.get("definitions", {}).get("subgraphs", [])
    folded = {part["id"] for part in parts}
    nodes = [node for level in (graph, *parts) for node in level["nodes"]]
    return {str(node["id"]): node for node in nodes if node["type"] not in folded}


def is_link(value: Any) -> bool:
    """Whether an input of an API graph comes from another node."""
    return isinstance(value, list)


@contextmanager
def shipped_server(
    base: Path, caching: bool = False, frontend: Path | None = None
) -> Iterator[ComfyServer]:
    """A server on the bundled model, or on random weights in a clone without.

    `base` is an empty folder for it. What else the workflows need is there by name. caching: keep
    outputs from one prompt to the next, as a person's server does. frontend: the folder of another
    page than ComfyUI's own.
    """
    add_stand_ins(base)
    face_files.lend(base)
    with pytest.MonkeyPatch.context() as environment:
        if not (demo_folder() / "unet.safetensors").is_file():
            from tiny_demo import write_demo  # which takes seconds to import

            environment.setenv(FOLDER_VARIABLE, str(write_demo(base / "demo")))
        elif not (magicface_folder() / MAGICFACE).is_file():
            from tiny_demo import write_magicface

            write_magicface(base / "models" / "magicface")
        if not (aueditnet_folder() / AUEDITNET).is_file():
            from tiny_wplus import write_shipped

            write_shipped(base / "models" / "aueditnet")
        if not (vqauface_folder() / VQAUFACE).is_file():
            from tiny_vqauface import write_vqauface

            write_vqauface(base / "models" / "vq_auface")
        arguments = [] if caching else ["--cache-none"]
        arguments += ["--front-end-root", str(frontend)] if frontend else []
        with ComfyServer(arguments, base=base) as server:
            yield server
