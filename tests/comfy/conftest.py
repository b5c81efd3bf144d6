"""ComfyUI in this process, the nodes loaded the way ComfyUI loads them, and a small model."""

from __future__ import annotations

import asyncio
import importlib.util
import inspect
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from tiny_demo import write_demo

ROOT = Path(__file__).resolve().parents[2]
COMFYUI = Path(os.environ.get("COMFYUI_PATH") or ROOT / ".comfyui").resolve()
# The oldest ComfyUI that the project runs on, 0.4.0, has no face nodes of its own to agree with.
HAS_FACE_NODES = (COMFYUI / "comfy_extras" / "nodes_mediapipe.py").is_file()
collect_ignore = [] if HAS_FACE_NODES else ["test_face_landmarks.py"]


def _import_comfyui() -> None:
    """ComfyUI's modules first on the path, its options those of a machine without a GPU."""
    sys.path.insert(0, str(COMFYUI))
    from comfy.cli_args import args

    args.cpu = not torch.cuda.is_available()
    args.use_pytorch_cross_attention = True
    # As ComfyUI's start does: later, an old one would find its file comfy/utils.py instead.
    importlib.import_module("utils.install_util")
    # These two import each other, and only this order works.
    importlib.import_module("comfy_extras.nodes_post_processing")


def _load_pack() -> None:
    """The project under a name of its own, as ComfyUI loads a folder of custom_nodes."""
    spec = importlib.util.spec_from_file_location(
        "au_adapter_pack", ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
    )
    pack = sys.modules["au_adapter_pack"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(pack)
    asyncio.run(pack.comfy_entrypoint().get_node_list())


_import_comfyui()
_load_pack()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests of a fresh copy of a MODEL where core makes none, as in 0.4.0."""
    from comfy.model_patcher import ModelPatcher

    if "force_deepcopy" in inspect.signature(ModelPatcher.clone).parameters:
        return
    left_out = [item for item in items if item.get_closest_marker("fresh_copy")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


@pytest.fixture(autouse=True)
def as_a_node() -> Iterator[None]:
    """ComfyUI runs its nodes in inference mode."""
    with torch.inference_mode():
        yield


@pytest.fixture(scope="session")
def demo_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a bundled model of random weights."""
    return write_demo(tmp_path_factory.mktemp("demo"))
