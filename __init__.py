"""ComfyUI's entry to AU-Adapter: the nodes, their web folder and their model folders.

Everything waits for `comfy_entrypoint`, so importing this file outside ComfyUI does nothing.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

WEB_DIRECTORY = "./web"
MODEL_FOLDERS = ("au_adapter", "aueditnet", "magicface", "face_analysis", "vq_auface")


def _import_library() -> None:
    """Make this folder's library importable as `au_adapter`, so that there is one copy of it.

    ComfyUI names this package after its path. Scripts and other packs say `au_adapter`, and so do
    the nodes: an AUVector of theirs is then an AUVector of ours.
    """
    if "au_adapter" in sys.modules:
        return
    start = Path(__file__).parent / "au_adapter" / "__init__.py"
    spec = importlib.util.spec_from_file_location("au_adapter", start)
    sys.modules["au_adapter"] = library = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(library)


def _register_model_folders() -> None:
    """Add our folders under ComfyUI's models, keeping any path of extra_model_paths.yaml, and the
    bundled files behind them."""
    import folder_paths

    for name in MODEL_FOLDERS:
        folder_paths.add_model_folder_path(name, str(Path(folder_paths.models_dir, name)))
        paths, _ = folder_paths.folder_names_and_paths[name]
        extensions = {*folder_paths.supported_pt_extensions, ".task", ".tflite"}
        folder_paths.folder_names_and_paths[name] = (paths, extensions)
    from au_adapter.bundled import model_folders

    for name, folder in model_folders().items():
        folder_paths.add_model_folder_path(name, str(folder))


def comfy_entrypoint():
    """Called once by ComfyUI; returns the extension that lists our nodes."""
    from comfy_api.latest import ComfyExtension

    _import_library()
    _register_model_folders()
    from .nodes import NODES

    class AUAdapterExtension(ComfyExtension):
        async def get_node_list(self):
            return list(NODES)

    return AUAdapterExtension()
