"""ComfyUI and this project's nodes in this process, for figures that a server's answers lack."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from types import ModuleType

import torch

from tools.server import ROOT, comfyui_folder

PACK = "au_adapter_pack"


def load_nodes() -> ModuleType:
    """The package of nodes, loaded the way ComfyUI loads a folder of custom_nodes."""
    sys.path.insert(0, str(comfyui_folder()))
    from comfy.cli_args import args

    args.cpu = not torch.cuda.is_available()
    args.use_pytorch_cross_attention = True
    spec = importlib.util.spec_from_file_location(
        PACK, ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
    )
    pack = sys.modules[PACK] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(pack)
    asyncio.run(pack.comfy_entrypoint().get_node_list())
    return pack
