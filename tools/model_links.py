"""Where the page finds the model files that a template names and a person lacks.

ComfyUI's page offers to download what `properties.models` of a loader lists: from Hugging Face or
Civitai only, and into the folder named here. Hashes are SHA-256 where the publisher's are known.
"""

from __future__ import annotations

_FINEFACE = "https://huggingface.co/Tvaranka/fineface/resolve/main/"
_SD15 = "https://huggingface.co/Comfy-Org/stable-diffusion-v1-5-archive/resolve/main/"
_SD21 = "https://huggingface.co/Manojb/stable-diffusion-2-1-base/resolve/main/"


def _link(folder: str, address: str, name: str, sha256: str = "") -> dict[str, str]:
    hashed = {"hash": sha256, "hash_type": "SHA256"} if sha256 else {}
    return {"name": name, "url": address + name, "directory": folder, **hashed}


# What a loader's widget names -> the files that it needs.
MODELS: dict[str, list[dict[str, str]]] = {
    "v1-5-pruned-emaonly-fp16.safetensors": [
        _link(
            "checkpoints",
            _SD15,
            "v1-5-pruned-emaonly-fp16.safetensors",
            "e9476a13728cd75d8279f6ec8bad753a66a1957ca375a1464dc63b37db6e3916",
        )
    ],
    "v2-1_512-ema-pruned.safetensors": [
        _link("checkpoints", _SD21, "v2-1_512-ema-pruned.safetensors")
    ],
    "sd15_attn_processors.ckpt": [
        _link("au_adapter", _FINEFACE, "sd15_attn_processors.ckpt"),
        _link("au_adapter", _FINEFACE, "sd15_au_encoder.ckpt"),
    ],
    "attn_processors.ckpt": [
        _link("au_adapter", _FINEFACE, "attn_processors.ckpt"),
        _link("au_adapter", _FINEFACE, "au_encoder.ckpt"),
        _link("au_adapter", _FINEFACE, "pytorch_lora_weights.safetensors"),
    ],
}
