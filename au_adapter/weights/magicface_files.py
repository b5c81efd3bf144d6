"""MagicFace's weights: two UNets in diffusers' layout, in two folders as published or in one file.

Published are `denoising_unet/diffusion_pytorch_model.safetensors` and the same in `ID_enc/`. One
file with both prefixes the names with `denoising_unet.` and `ID_enc.`. Tensor names and shapes tell
what a file holds. Source: https://huggingface.co/mengtingwei/magicface (Apache-2.0).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..disk import damage_named
from ..models.magicface import IDENTITY, MAGICFACE_UNITS, MagicFace
from ..models.magicface_ablations import IDENTITIES, Ablation
from .eight_bits import from_eight_bits
from .tensors import (
    ENDINGS,
    Shapes,
    count_numbered,
    read_metadata,
    read_shapes,
    read_tensors,
    require_finite,
    require_format,
    some,
    write_tensors,
)

DENOISING, ID_ENCODER = "denoising_unet", "ID_enc"
TITLES = {DENOISING: "denoising UNet", ID_ENCODER: "ID encoder"}
MAGICFACE_KEY = "magicface"
FORMAT = 1
AU_LINEAR = "au_aug_mlp"  # the released name of the AU encoder's Linear
HEADS = 8  # of every attention of Stable Diffusion 1.5; the shapes do not show it
# Channels of the first convolution and units of the AU encoder, as released: latents have 4.
LAYOUTS = {DENOISING: (8, len(MAGICFACE_UNITS)), ID_ENCODER: (4, 0)}
# Defaults for options that a file leaves out.
RELEASED = {"identity": IDENTITY, "au_encoder": "linear_time", "controller": "released"}

CONFIG = (
    *("sample_size", "in_channels", "out_channels", "block_out_channels", "layers_per_block"),
    *("down_block_types", "up_block_types", "cross_attention_dim", "use_linear_projection"),
    "attention_head_dim",
)

# What the shapes of the weights show of it.
SHOWN = ("in_channels", "out_channels", "block_out_channels", "layers_per_block",
         "cross_attention_dim")  # fmt: skip
HASHED = 64  # numbers of each tensor in `magicface_hash`


@dataclass(frozen=True)
class UNetFile:
    """One of the two UNets in a file. prefix: of its tensor names. config: for
    `UNet2DConditionModel.from_config`. options: "identity", one of
    models.magicface_ablations.IDENTITIES, and that network's other options."""

    path: Path
    name: str
    prefix: str
    config: dict[str, Any]
    options: dict[str, Any]

    def tensors(self) -> dict[str, Tensor]:
        """The weights by diffusers' names, with those of the AU encoder and controller."""
        return _read(self.path, self.prefix)

    def beginnings(self) -> dict[str, Tensor]:
        """The first row of every weight; of a safetensors file nothing else is read."""
        if self.path.suffix != ".safetensors":
            return {name: tensor[:1] for name, tensor in self.tensors().items()}
        return _read(self.path, self.prefix, slice(1))


def read_unet_file(path: str | Path, name: str) -> UNetFile:
    """Find the denoising UNet or the ID encoder in a file, without reading the weights.

    FileNotFoundError without the file; ValueError when it holds something else, saying what.
    """
    path = Path(path)
    with damage_named(path):
        return _unet_file(path, name)


def _unet_file(path: Path, name: str) -> UNetFile:
    shapes = read_shapes(path)
    prefix = f"{name}." if any(key.startswith(f"{name}.") for key in shapes) else ""
    own = {k.removeprefix(prefix): shape for k, shape in shapes.items() if k.startswith(prefix)}
    described = _described(path)
    if prefix and name in described.get("config", {}):
        options, config = {**RELEASED, **described["options"]}, described["config"][name]
        if not isinstance(config, dict):  # diffusers would fetch what a text names
            raise ValueError(f"{path}: the config of {name} is {config!r}, expected an object")
        seen = describe_unet(own, path)
        for key in config.keys() | {*SHOWN}:
            if key not in CONFIG or (key in SHOWN and _listed(config.get(key)) != seen[key]):
                raise ValueError(
                    f"{path}: the config of {name} says {key} {config.get(key)!r}, its weights "
                    f"{seen.get(key, 'know none')}: it is damaged, or of a later version"
                )
        return UNetFile(path, name, prefix, config, options)
    if (found := _kind(own)) != TITLES[name]:
        article = "MagicFace's" if found in TITLES.values() else "a"
        raise ValueError(
            f"{path} holds {article} {found}, not MagicFace's {TITLES[name]}: choose "
            f"{name}/diffusion_pytorch_model.safetensors as published, or the file that "
            "`au-adapter convert` made of both"
        )
    return UNetFile(path, name, prefix, describe_unet(own, path), RELEASED)


def find_unets(source: str | Path) -> tuple[UNetFile, ...]:
    """Denoising UNet and ID encoder of a published folder or of one file with both; only the former
    where the identity is not "encoder"."""
    source = Path(source)
    if source.is_file():
        denoising = read_unet_file(source, DENOISING)
        if denoising.options["identity"] != IDENTITY:
            return (denoising,)
        return denoising, read_unet_file(source, ID_ENCODER)
    files = []
    for name in TITLES:
        places = [source / name / f"diffusion_pytorch_model{ending}" for ending in ENDINGS]
        if (found := next((place for place in places if place.is_file()), None)) is None:
            raise FileNotFoundError(
                f"no {places[0].name} in {source / name}: give the folder that holds "
                "denoising_unet/ and ID_enc/"
            )
        files.append(read_unet_file(found, name))
    return tuple(files)


def magicface_hash(parts: tuple[UNetFile, ...]) -> str:
    """16 hex digits of the weights of both networks, equal for one file and for two.

    They depend on the names and first numbers of every weight: reading all 7 GB would take too long
    for a picture's metadata.
    """
    digest = hashlib.sha256()
    for part in parts:
        with damage_named(part.path):
            rows = sorted(part.beginnings().items())
        for name, first in rows:
            digest.update(f"{part.name}.{name}".encode())
            digest.update(first.flatten()[:HASHED].float().numpy().tobytes())
    return digest.hexdigest()[:16]


def is_magicface(source: str | Path) -> bool:
    """Whether a path looks like MagicFace's weights: the published folder, or one file of both."""
    source = Path(source)
    if source.is_dir():
        return all((source / name).is_dir() for name in TITLES)
    return source.is_file() and source.suffix in ENDINGS and _prefixed(read_shapes(source))


def convert_magicface(source: str | Path, output: str | Path) -> Path:
    """Write both UNets of `source` (see `find_unets`) into one safetensors file, as they are."""
    parts = find_unets(source)
    configs = {part.name: part.config for part in parts}
    return save_magicface(_prefixed_tensors(parts), configs, parts[0].options, output)


def save_magicface(
    tensors: dict[str, Tensor],
    configs: dict[str, dict[str, Any]],
    options: dict[str, Any],
    path: str | Path,
) -> Path:
    """Write a file of both UNets, whole or not at all; names carry the prefix of their UNet."""
    # Older versions do not know the option identity: they read the file if the default is left out.
    kept = {k: v for k, v in options.items() if (k, v) != ("identity", IDENTITY)}
    described = json.dumps({"format": FORMAT, "config": configs, "options": kept})
    return write_tensors(path, tensors, {MAGICFACE_KEY: described})


def load_magicface(source: str | Path) -> MagicFace | Ablation:
    """All networks as diffusers models, float32 on the CPU; source as in `find_unets`."""
    from diffusers import UNet2DConditionModel  # not in ComfyUI

    parts = find_unets(source)
    with damage_named(source):
        with torch.device("meta"):  # skip the initialisation, which the file replaces
            unets = [UNet2DConditionModel.from_config(part.config) for part in parts]
            options = dict(parts[0].options)
            network = IDENTITIES[options.pop("identity")](*unets, **options)
        weights = _prefixed_tensors(parts)
        expected = {_file_name(name): tensor.shape for name, tensor in network.state_dict().items()}
        names = {*expected}
        for kind, wrong in (("lacks", names - {*weights}), ("has", {*weights} - names)):
            if wrong:
                raise ValueError(
                    f"{source} {kind} {len(wrong)} weights that it should"
                    f"{'' if kind == 'lacks' else ' not'} have: {some(sorted(wrong))}"
                )
        for name, shape in expected.items():
            if weights[name].shape != shape:
                raise ValueError(f"{name} is {list(weights[name].shape)}, expected {list(shape)}")
        require_finite(weights, source)
        network.to_empty(device="cpu")
        network.load_state_dict({name: weights[_file_name(name)] for name in network.state_dict()})
    return network.eval()


def _prefixed_tensors(parts: tuple[UNetFile, ...]) -> dict[str, Tensor]:
    return {f"{part.name}.{name}": t for part in parts for name, t in part.tensors().items()}


def save_networks(network: MagicFace | Ablation, path: str | Path) -> Path:
    """Write all networks into one file for `load_magicface`; Load MagicFace reads the released
    form."""
    tensors = {_file_name(name): t for name, t in network.state_dict().items()}
    unets = {DENOISING: network.unet, ID_ENCODER: getattr(network, "id_encoder", None)}
    configs = {n: {key: u.config[key] for key in CONFIG} for n, u in unets.items() if u is not None}
    return save_magicface(tensors, configs, network.options, path)


def describe_unet(shapes: Shapes, path: Path) -> dict[str, Any]:
    """diffusers' config of a Stable Diffusion 1 UNet, from the shapes of its weights.

    ValueError naming the file when weights are missing.
    """
    try:
        levels = count_numbered(shapes, "down_blocks.{}.resnets.0.conv1.weight")
        channels = [shapes[f"down_blocks.{i}.resnets.0.conv1.weight"][0] for i in range(levels)]
        attends = [f"down_blocks.{i}.attentions.0.proj_in.weight" in shapes for i in range(levels)]
        first = f"down_blocks.{attends.index(True)}.attentions.0"
        kind = {True: "CrossAttn", False: ""}
        return {
            "sample_size": 64,
            "in_channels": shapes["conv_in.weight"][1],
            "out_channels": shapes["conv_out.weight"][0],
            "block_out_channels": channels,
            "layers_per_block": count_numbered(shapes, "down_blocks.0.resnets.{}.conv1.weight"),
            "down_block_types": [f"{kind[a]}DownBlock2D" for a in attends],
            "up_block_types": [f"{kind[a]}UpBlock2D" for a in reversed(attends)],
            "cross_attention_dim": shapes[f"{first}.transformer_blocks.0.attn2.to_k.weight"][1],
            "use_linear_projection": len(shapes[f"{first}.proj_in.weight"]) == 2,
            "attention_head_dim": HEADS,
        }
    except (KeyError, IndexError, ValueError) as error:
        raise ValueError(
            f"{path}: the UNet is incomplete ({error} not found); download it again"
        ) from error


def _read(path: Path, prefix: str, rows: slice | None = None) -> dict[str, Tensor]:
    """The tensors whose names begin with `prefix`, which is removed; no others are read.

    rows: the rows to read of each tensor of a safetensors file; None for all.
    """
    if not prefix and rows is None:
        return read_tensors(path)
    try:
        with safe_open(path, framework="pt") as file:
            names = [name for name in file.keys() if name.startswith(prefix)]  # noqa: SIM118
            every = rows or slice(None)
            kept = {name.removeprefix(prefix): file.get_slice(name)[every] for name in names}
            return from_eight_bits(kept)
    except SafetensorError as error:
        raise ValueError(f"{path} is not a whole safetensors file; copy it again") from error


def _file_name(name: str) -> str:
    """The name in a file of one of the network's weights, such as denoising_unet.conv_in.bias."""
    module, rest = name.split(".", 1)
    if module in ("unet", "id_encoder"):
        return f"{DENOISING if module == 'unet' else ID_ENCODER}.{rest}"
    if rest.startswith("linear."):
        return f"{DENOISING}.{AU_LINEAR}.{rest.removeprefix('linear.')}"
    return f"{DENOISING}.{name}"


def _kind(shapes: Shapes) -> str:
    """What a state dict holds, in words."""
    first = shapes.get("conv_in.weight")
    if any("diffusion_model." in name or name.startswith("input_blocks.") for name in shapes):
        return "checkpoint in Stable Diffusion's own layout"
    if _prefixed(shapes):
        return "file of both UNets"
    if any(name.startswith(f"{DENOISING}.") for name in shapes):
        return "MagicFace without an ID encoder"
    if first is None or not any(".transformer_blocks." in name for name in shapes):
        return "file without a diffusers UNet"
    linear = shapes.get(f"{AU_LINEAR}.weight", (0, 0))
    for name, expected in LAYOUTS.items():
        if (first[1], linear[1]) == expected:
            return TITLES[name]
    return f"UNet of {first[1]} input channels with an AU encoder of {linear[1]} units"


def _prefixed(shapes: Shapes) -> bool:
    return all(any(key.startswith(f"{name}.") for key in shapes) for name in TITLES)


def _described(path: Path) -> dict[str, Any]:
    text = read_metadata(path).get(MAGICFACE_KEY)
    described = json.loads(text) if text else {"format": FORMAT}
    require_format(path, "MagicFace format", described.get("format"), FORMAT)
    return described


def _listed(value: object) -> object:
    """JSON and diffusers have lists where the other has tuples."""
    return list(value) if isinstance(value, tuple) else value
