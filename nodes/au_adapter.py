"""AU Encoder, Load AU-Adapter and Save AU-Adapter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from au_adapter.disk import path_inside
from au_adapter.facs import AUVector
from au_adapter.models.adapter import AUAdapter, describe_adapter
from au_adapter.weights.adapter_files import adapter_files, load_adapter, save_adapter

from .compat import folder_paths, io, show_text, ui
from .node import FACTOR, Node
from .sockets import AUAdapterSocket, AUTokensSocket, AUVectorSocket

ADAPTER_FOLDER = "au_adapter"
BOTH_ALIKE = (
    "This adapter moves both sides of a face alike: an AU counts as the mean of left and right. "
    "AU Sides and Face Half Masks part them."
)


class AUEncoder(Node):
    """Turns AU vectors into the tokens that an AU-Adapter reads.

    au_vector: One face for the whole batch, or one for each of its pictures.
    calibrated: Ask by the adapter's response curves, so that a 3 measures 3. Needs an adapter that
        was calibrated on this base (Calibrate AU-Adapter).
    """

    @classmethod
    def define_schema(cls) -> io.Schema:
        return cls.schema(
            "AU Encoder",
            family="draw a face",
            aliases=["FACS", "action units", "tokens", "conditioning"],
            inputs=[
                AUAdapterSocket.Input("au_adapter"),
                AUVectorSocket.Input("au_vector"),
                io.Boolean.Input("calibrated", default=False, optional=True),
            ],
            outputs=[AUTokensSocket.Output()],
            shows_text=True,
        )

    @classmethod
    def execute(
        cls, au_adapter: AUAdapter, au_vector: AUVector, calibrated: bool = False
    ) -> io.NodeOutput:
        tokens = au_adapter.encode(au_vector, calibrated).detach()
        left, right = au_vector.sides()
        lost = not au_adapter.config.sides and not left.equal(right)
        return io.NodeOutput(tokens, ui=show_text(cls, BOTH_ALIKE if lost else ""))


class LoadAUAdapter(Node):
    """Loads an AU-Adapter from models/au_adapter: a file of Save AU-Adapter, or FineFace's weights
    as published.

    file: An adapter in one file, or any one of FineFace's published files; the others of its set
        (attention processors, AU encoder, LoRA) are taken from the same folder.
    lora_strength: Factor on the LoRA that comes with the adapter: 1 as trained (alpha / rank, for
        FineFace 0.25), 0 without it (as FineFace's own inference does), 4 for FineFace as loaders
        that ignore alpha apply it.
    """

    @classmethod
    def define_schema(cls) -> io.Schema:
        return cls.schema(
            "Load AU-Adapter",
            family="models and training",
            aliases=["FACS", "action units", "FineFace", "adapter weights"],
            inputs=[
                io.Combo.Input("file", options=folder_paths.get_filename_list(ADAPTER_FOLDER)),
                io.Float.Input("lora_strength", display_name="LoRA strength", **FACTOR),
            ],
            outputs=[AUAdapterSocket.Output()],
        )

    @classmethod
    def weight_files(cls, file: str, **_: Any) -> tuple[Path, ...]:
        return (adapter_path(file),)

    @classmethod
    def fingerprint_inputs(cls, file: str, lora_strength: float) -> tuple:
        changed = [path.stat().st_mtime for path in adapter_files(adapter_path(file))]
        return file, lora_strength, *changed

    @classmethod
    def execute(cls, file: str, lora_strength: float) -> io.NodeOutput:
        adapter = load_adapter(adapter_path(file)).requires_grad_(False).eval()
        adapter.lora_strength = lora_strength
        return io.NodeOutput(adapter, ui=ui.PreviewText(describe_adapter(adapter)))


class SaveAUAdapter(Node):
    """Writes an AU-Adapter into models/au_adapter, for Load AU-Adapter.

    name: File name without ending; it may name folders: people/anna. A taken name gets a number.
    """

    @classmethod
    def define_schema(cls) -> io.Schema:
        return cls.schema(
            "Save AU-Adapter",
            family="models and training",
            aliases=["FACS", "action units", "export adapter"],
            inputs=[
                AUAdapterSocket.Input("au_adapter"),
                io.String.Input("name", default="my_adapter"),
            ],
            outputs=[],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, au_adapter: AUAdapter, name: str) -> io.NodeOutput:
        path = save_adapter(au_adapter, _free_path(name))
        return io.NodeOutput(ui=ui.PreviewText(f"Saved {path}"))


def adapter_path(file: str) -> Path:
    """The path of a file that Load AU-Adapter offers; FileNotFoundError without it."""
    return Path(folder_paths.get_full_path_or_raise(ADAPTER_FOLDER, file))


def _free_path(name: str) -> Path:
    """A path inside the model folder that no file has yet."""
    folder = Path(folder_paths.get_folder_paths(ADAPTER_FOLDER)[0])
    wanted = path_inside(folder, name, str(folder))
    stem, count = wanted.name.removesuffix(".safetensors"), 1
    path = wanted.with_name(f"{stem}.safetensors")
    while path.exists():
        count += 1
        path = wanted.with_name(f"{stem}_{count}.safetensors")
    return path
