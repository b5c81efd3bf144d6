"""Names in place of what some workflows need and this project cannot bring along.

`add_stand_ins` makes a server's base directory accept those workflows: files of no content under
the names of the models, and four nodes in place of those of IPAdapter_plus. The workflows can then
be built and checked, not run.
"""

from __future__ import annotations

import json
from pathlib import Path

from PIL import Image

from au_adapter.bundled import AUEDITNET, MAGICFACE, SIDED_ADAPTER, WPLUS

PHOTOS = Path(__file__).resolve().parent.parent / "workflows" / "photos"
PHOTO_NAMES = [photo.name for photo in PHOTOS.glob("*.png")]
IN_THE_BOX = (AUEDITNET, MAGICFACE, SIDED_ADAPTER, WPLUS, *PHOTO_NAMES)
API = Path(__file__).resolve().parent.parent / "workflows" / "api"
# Node of a workflow -> where its files lie under the base directory, and the inputs that name them.
FILES = {
    "CheckpointLoaderSimple": ("models/checkpoints", "ckpt_name"),
    "AUA_LoadAUAdapter": ("models/au_adapter", "file"),
    "AUA_LoadMagicFace": ("models/magicface", "denoising_file", "id_encoder_file"),
    "LoadImage": ("input", "image"),
}
# The public face of ComfyUI_IPAdapter_plus (GPL-3.0): names, inputs and outputs, and no code of it.
IPADAPTER_PLUS = """
class IPAdapterUnifiedLoader:
    RETURN_TYPES, RETURN_NAMES = ("MODEL", "IPADAPTER"), ("model", "ipadapter")
    FUNCTION, CATEGORY = "refuse", "ipadapter"

    @classmethod
    def INPUT_TYPES(cls):
        presets = [
            "LIGHT - SD1.5 only (low strength)", "STANDARD (medium strength)",
            "VIT-G (medium strength)", "PLUS (high strength)", "PLUS FACE (portraits)",
            "FULL FACE - SD1.5 only (portraits stronger)",
        ]
        return {
            "required": {"model": ("MODEL",), "preset": (presets,)},
            "optional": {"ipadapter": ("IPADAPTER",)},
        }

    def refuse(self, **inputs):
        raise RuntimeError("This only stands in for ComfyUI_IPAdapter_plus: install that pack")


class IPAdapter:
    RETURN_TYPES = ("MODEL",)
    FUNCTION, CATEGORY = "refuse", "ipadapter"

    @classmethod
    def INPUT_TYPES(cls):
        share = {"min": 0.0, "max": 1.0, "step": 0.001}
        kinds = ["standard", "prompt is more important", "style transfer"]
        return {
            "required": {
                "model": ("MODEL",),
                "ipadapter": ("IPADAPTER",),
                "image": ("IMAGE",),
                "weight": ("FLOAT", {"default": 1.0, "min": -1, "max": 3, "step": 0.05}),
                "start_at": ("FLOAT", {"default": 0.0, **share}),
                "end_at": ("FLOAT", {"default": 1.0, **share}),
                "weight_type": (kinds,),
            },
            "optional": {"attn_mask": ("MASK",)},
        }

    refuse = IPAdapterUnifiedLoader.refuse


class IPAdapterUnifiedLoaderFaceID:
    RETURN_TYPES, RETURN_NAMES = ("MODEL", "IPADAPTER"), ("MODEL", "ipadapter")
    FUNCTION, CATEGORY = "refuse", "ipadapter/faceid"

    @classmethod
    def INPUT_TYPES(cls):
        presets = ["FACEID", "FACEID PLUS V2", "FACEID PORTRAIT (style transfer)"]
        strength = {"default": 0.6, "min": 0, "max": 1, "step": 0.01}
        return {
            "required": {
                "model": ("MODEL",),
                "preset": (presets,),
                "lora_strength": ("FLOAT", strength),
                "provider": (["CPU", "CUDA", "ROCM", "DirectML", "OpenVINO", "CoreML"],),
            },
            "optional": {"ipadapter": ("IPADAPTER",)},
        }

    refuse = IPAdapterUnifiedLoader.refuse


class IPAdapterFaceID:
    RETURN_TYPES, RETURN_NAMES = ("MODEL", "IMAGE"), ("MODEL", "face_image")
    FUNCTION, CATEGORY = "refuse", "ipadapter/faceid"

    @classmethod
    def INPUT_TYPES(cls):
        share = {"min": 0.0, "max": 1.0, "step": 0.001}
        weight = {"default": 1.0, "min": -1, "step": 0.05}
        scalings = ["V only", "K+V", "K+V w/ C penalty", "K+mean(V) w/ C penalty"]
        return {
            "required": {
                "model": ("MODEL",),
                "ipadapter": ("IPADAPTER",),
                "image": ("IMAGE",),
                "weight": ("FLOAT", {**weight, "max": 3}),
                "weight_faceidv2": ("FLOAT", {**weight, "max": 5.0}),
                "weight_type": (["linear", "ease in", "style transfer"],),
                "combine_embeds": (["concat", "add", "subtract", "average", "norm average"],),
                "start_at": ("FLOAT", {"default": 0.0, **share}),
                "end_at": ("FLOAT", {"default": 1.0, **share}),
                "embeds_scaling": (scalings,),
            },
            "optional": {
                "image_negative": ("IMAGE",),
                "attn_mask": ("MASK",),
                "clip_vision": ("CLIP_VISION",),
                "insightface": ("INSIGHTFACE",),
            },
        }

    refuse = IPAdapterUnifiedLoader.refuse


KINDS = (IPAdapterUnifiedLoader, IPAdapter, IPAdapterUnifiedLoaderFaceID, IPAdapterFaceID)
NODE_CLASS_MAPPINGS = {kind.__name__: kind for kind in KINDS}
NODE_DISPLAY_NAME_MAPPINGS = {"IPAdapterUnifiedLoader": "IPAdapter Unified Loader"}
"""


def add_stand_ins(base: Path) -> None:
    """Put the names that the shipped workflows need under a base directory; nothing is replaced."""
    for path in sorted(API.glob("*.json")):
        for node in json.loads(path.read_text(encoding="utf-8")).values():
            if node["class_type"] in FILES:
                folder, *names = FILES[node["class_type"]]
                for name in names:
                    _add_file(base / folder / node["inputs"][name])
    pack = base / "custom_nodes" / "ipadapter_stand_in.py"
    pack.parent.mkdir(parents=True, exist_ok=True)
    pack.write_text(IPADAPTER_PLUS, encoding="utf-8")


def _add_file(path: Path) -> None:
    if path.exists() or path.name in IN_THE_BOX:  # which would be hidden
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".png":
        Image.new("RGB", (64, 64), "grey").save(path)
    else:
        path.touch()
