"""Published files of a StyleGAN2 generator and of e4e's encoder, and what is in them.

e4e_ffhq_encode.pt            e4e: encoder, generator, the mean code
stylegan2-ffhq-config-f.pt    rosinality's port: generator, the mean of W; also 550000.pt
ffhq.pkl                      NVIDIA's PyTorch code: generator, the mean of W
*.safetensors                 any of them after `au-adapter convert`

Names and shapes tell which; no code in a file runs.
"""

from __future__ import annotations

import argparse
import json
import pickle
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..disk import damage_named
from ..models.stylegan2 import filter_taps
from .inert_pickle import is_bare_pickle, read_networks
from .tensors import read_metadata, read_tensors, require_format

KEY = "wplus"  # in the metadata of files that this project writes
FORMAT = 1
ENCODER, DECODER, MEAN = "encoder.", "decoder.", "latent_avg"
NVIDIA = "NVIDIA's StyleGAN2 licence (non-commercial)"
FFHQ = "if it was trained on FFHQ, its pictures are CC BY-NC-SA 4.0"
LICENCES = {
    "e4e": f"e4e's code is MIT; the generator in it is under {NVIDIA}; {FFHQ}",
    "rosinality": f"its weights are under {NVIDIA}; {FFHQ}",
    "nvidia": f"its weights are under {NVIDIA}; {FFHQ}",
}
EXPECTED = (
    "expected e4e_ffhq_encode.pt, a StyleGAN2 of rosinality's port (.pt) or of NVIDIA's PyTorch "
    "code (.pkl), or what `au-adapter convert` made of one"
)
# Parts of a layer: NVIDIA's name -> rosinality's.
LAYER = {
    "weight": "conv.weight",
    "affine.weight": "conv.modulation.weight",
    "affine.bias": "conv.modulation.bias",
    "noise_strength": "noise.weight",
    "bias": "activate.bias",
}
UNKNOWN_PARTS = {"mapping.embed": "is told a class", "synthesis.input": "is a StyleGAN3"}


@dataclass(frozen=True)
class WPlusTensors:
    """What a file holds. kind: of LICENCES, or "ours". generator, encoder: tensors by rosinality's
    and e4e's names, empty where there is none. mean: the mean code [S] or [M, S]. described: what
    the metadata says, if it is of this project."""

    kind: str
    generator: dict[str, Tensor]
    encoder: dict[str, Tensor]
    mean: Tensor | None
    described: dict[str, Any] = field(default_factory=dict)

    @property
    def licence(self) -> str:
        """A sentence about the licence; empty for weights of this project's own."""
        return LICENCES.get(self.kind, "")


def read_wplus(path: str | Path) -> WPlusTensors:
    """The tensors in a file of any of the layouts above.

    FileNotFoundError without the file, ValueError when it holds something else.
    """
    path = Path(path)
    with damage_named(path):
        if path.is_file() and is_bare_pickle(path):
            return _nvidia(path)
        content = {} if path.suffix == ".safetensors" else _torch_content(path)
        if isinstance(content.get("g_ema"), dict):
            return WPlusTensors("rosinality", _plain(content["g_ema"], path), {}, _mean(content))
        if isinstance(content.get("state_dict"), dict):
            return _prefixed("e4e", {**content["state_dict"], MEAN: content.get(MEAN)}, path)
        described = json.loads(read_metadata(path).get(KEY, "{}"))
        require_format(path, "of format", described.get("format", FORMAT), FORMAT)
        kind = str(described.get("kind", "e4e"))
        return _prefixed(kind, read_tensors(path), path, described)


def _torch_content(path: Path) -> dict[str, Any]:
    """The dictionary that torch.save wrote; an empty one for a plain file of tensors."""
    if not path.is_file():
        raise FileNotFoundError(f"no file of weights {path}")
    try:
        # e4e's options may be a Namespace, which is a bag of values and runs nothing.
        with torch.serialization.safe_globals([argparse.Namespace]):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError) as error:
        read_tensors(path)  # says in words what the file is, where it is none of weights
        raise ValueError(f"{path} could not be read as weights ({error}): copy it again") from error
    return content if isinstance(content, dict) else {}


def _prefixed(
    kind: str, tensors: dict[str, Tensor], path: Path, described: dict[str, Any] | None = None
) -> WPlusTensors:
    """Encoder and generator side by side, told apart by how their names begin."""
    generator, encoder = (
        {name.removeprefix(p): t for name, t in tensors.items() if name.startswith(p)}
        for p in (DECODER, ENCODER)
    )
    if "input.input" not in generator and "input_layer.0.weight" not in encoder:
        raise ValueError(f"{path} holds neither a StyleGAN2 nor e4e's encoder: {EXPECTED}")
    return WPlusTensors(kind, _plain(generator, path), encoder, _mean(tensors), described or {})


def _mean(content: dict[str, Any]) -> Tensor | None:
    found = content.get(MEAN)
    return found if isinstance(found, Tensor) else None


def _plain(tensors: dict[str, Tensor], path: Path) -> dict[str, Tensor]:
    """A generator's tensors without its low-pass filters, which are always the same. ValueError
    where they are not: the pictures would be others."""
    for name, tensor in tensors.items():
        if name.endswith(".kernel") and not torch.allclose(tensor.float(), filter_taps(4.0)):
            raise ValueError(
                f"{path} smooths by another filter, {name}, than the published StyleGAN2: nothing "
                "here can run it"
            )
    return {name: tensor for name, tensor in tensors.items() if not name.endswith(".kernel")}


def _nvidia(path: Path) -> WPlusTensors:
    networks = read_networks(path)
    tensors = networks.get("G_ema") or networks.get("G") or {}
    for part, what in UNKNOWN_PARTS.items():
        if any(name.startswith(part) for name in tensors):
            raise ValueError(f"{path} {what}: {EXPECTED}")
    if "synthesis.b4.const" not in tensors or "synthesis.b8.torgb.weight" not in tensors:
        raise ValueError(
            f"{path} holds no StyleGAN2 of the architecture 'skip', found "
            f"{', '.join(networks) or 'no network'}: {EXPECTED}"
        )
    generator = {}
    for name, tensor in tensors.items():
        if renamed := rosinality_name(name):
            generator[renamed] = _as_rosinality(renamed, tensor)
    return WPlusTensors("nvidia", generator, {}, tensors.get("mapping.w_avg"))


def rosinality_name(name: str) -> str:
    """What rosinality's port calls a tensor of NVIDIA's generator; empty for those that it lacks:
    the mean of W and the filters."""
    if found := re.fullmatch(r"mapping\.fc(\d+)\.(weight|bias)", name):
        return f"style.{int(found[1]) + 1}.{found[2]}"
    if name == "synthesis.b4.const":
        return "input.input"
    found = re.fullmatch(r"synthesis\.b(\d+)\.(conv0|conv1|torgb)\.(.+)", name)
    if not found:
        return ""
    number = int(found[1]).bit_length() - 4  # of the block: 8 pixels are the first
    part = found[3]
    if found[2] == "torgb":
        layer = "to_rgb1" if number < 0 else f"to_rgbs.{number}"
        return f"{layer}.bias" if part == "bias" else _part(layer, part)
    second = found[2] == "conv1"
    if part == "noise_const":
        return f"noises.noise_{2 * number + 1 + second}"
    return _part("conv1" if number < 0 else f"convs.{2 * number + second}", part)


def _part(layer: str, part: str) -> str:
    return f"{layer}.{LAYER[part]}" if part in LAYER else ""


def _as_rosinality(name: str, tensor: Tensor) -> Tensor:
    """A tensor in the shape that rosinality's port has it in."""
    if name == "input.input" or name.endswith("conv.weight"):
        return tensor[None]
    if name.startswith("noises."):
        return tensor[None, None]
    if name.startswith("to_rgb") and name.endswith("bias") and "modulation" not in name:
        return tensor.reshape(1, 3, 1, 1)
    return tensor.reshape(1) if name.endswith("noise.weight") else tensor
