"""VQ-AUFace in files: one safetensors with its config in the metadata, whole or refused.

A codec alone (stage I) is a file too. Published networks that a model takes stand in folders of
their own and are named when it is loaded.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..disk import damage_named
from ..load_object import load_object
from ..models.vqauface import CodecConfig, ResidualVQGAN, VQAUFace, VQAUFaceConfig
from ..models.vqauface.face_encoders import (
    GivenAppearance,
    StructureEncoder,
    TextEncoder,
    described,
)
from .clip_vision import load_image_encoder
from .tensors import METADATA_KEY, read_metadata, read_tensors, some, write_tensors

CODEC, MODEL = "vq-auface-codec", "vq-auface"  # as their recipes
NAMES = {CODEC: "a codec of VQ-AUFace", MODEL: "a VQ-AUFace"}
CODEC_FILE, MODEL_FILE = "codec.safetensors", "vqauface.safetensors"
OPTIONS = {"text": "text_model", "structure": "clip", "appearance": "recognition"}


def save_codec(codec: ResidualVQGAN, path: str | Path) -> Path:
    """Write a codec."""
    return _save(codec, CODEC, asdict(codec.config), path)


def save_vqauface(model: VQAUFace, path: str | Path, half: bool = False) -> Path:
    """Write a model with its codec, without the networks that it was given. half: float16."""
    return _save(model, MODEL, asdict(model.config), path, tuple(model.config.given), half)


def load_codec(path: str | Path) -> ResidualVQGAN:
    """The codec of a codec's file or of a model's, frozen, in float32 on the CPU.

    FileNotFoundError without the file, ValueError for another one or a part of one.
    """
    with damage_named(path):
        kind, config, tensors = _read(path, (CODEC, MODEL))
        if kind == MODEL:
            config = config["codec"]
            start = "codec."
            tensors = {n.removeprefix(start): t for n, t in tensors.items() if n.startswith(start)}
        codec = ResidualVQGAN(_config(CodecConfig, config, path))
        _fill(codec, tensors, path)
        return codec.eval().requires_grad_(False)


def load_vqauface(
    path: str | Path,
    text_model: str | Path | None = None,
    clip: str | Path | None = None,
    recognition: str | None = None,
) -> VQAUFace:
    """A model, frozen, in float32 on the CPU.

    text_model, clip: the folders of the T5 and the CLIP that it was trained with, as transformers
    saves them; recognition: MODULE:FUNCTION, see `given_networks`. The bundled model and those of
    its kind take none. FileNotFoundError without a file, ValueError where one is another or a part.
    """
    from huggingface_hub.errors import StrictDataclassError

    given = given_networks(text_model, clip, recognition)
    with damage_named(path, also=(StrictDataclassError,)):
        _, found, tensors = _read(path, (MODEL,))
        config = _config(VQAUFaceConfig, found, path)
        _check_given(config, given, path)
        model = VQAUFace(config, given)
        _fill(model, tensors, path, tuple(given))
        return model.eval().requires_grad_(False)


def given_networks(
    text_model: str | Path | None = None,
    clip: str | Path | None = None,
    recognition: str | None = None,
) -> dict[str, nn.Module]:
    """Encoder -> the published network in its place, of those that are named.

    recognition: MODULE:FUNCTION; the function is called once and returns a function from pictures
    [N, H, W, 3] in 0..1 to embeddings [N, width], which has that `width` as an attribute.
    """
    given: dict[str, nn.Module] = {}
    if text_model:
        given["text"] = load_text_encoder(text_model)
    if clip:
        given["structure"] = StructureEncoder(load_image_encoder(clip).network)
    if recognition:
        network = load_object(recognition)()
        if not isinstance(width := getattr(network, "width", None), int):
            raise ValueError(f"what {recognition} returns has no whole number `width`")
        given["appearance"] = GivenAppearance(network, width)
    return given


def load_text_encoder(folder: str | Path) -> TextEncoder:
    """T5's encoder and tokenizer from a folder as transformers saves them, frozen."""
    from transformers import AutoTokenizer, T5EncoderModel

    folder = Path(folder)
    if not (folder / "config.json").is_file():
        raise FileNotFoundError(
            f"no config.json in {folder}: give a folder of T5 as transformers saves it, such as "
            "t5-large, with config.json, model.safetensors and its tokenizer"
        )
    network = T5EncoderModel.from_pretrained(folder, local_files_only=True, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)

    def tokenize(texts, limit):
        options = {"padding": True, "truncation": True, "max_length": limit}
        return tokenizer(list(texts), return_tensors="pt", **options).input_ids

    return TextEncoder(network.eval().requires_grad_(False), tokenize)


def describe_given(given: Mapping[str, nn.Module]) -> dict[str, dict[str, Any]]:
    """What a config keeps of given networks, to tell another one from the one it learnt with."""
    return {
        name: {"width": part.width} if name == "appearance" else described(part.network)
        for name, part in given.items()
    }


def _check_given(config: VQAUFaceConfig, given: Mapping[str, nn.Module], path: object) -> None:
    if lacking := [OPTIONS[name] for name in config.given if name not in given]:
        raise ValueError(
            f"{path} was trained with networks of its own choice and needs {', '.join(lacking)}: "
            "name them"
        )
    if extra := [OPTIONS[name] for name in given if name not in config.given]:
        raise ValueError(f"{path} brings its own {', '.join(extra)}: leave that out")
    for name, found in describe_given(given).items():
        if found != (wanted := dict(config.given[name])):
            raise ValueError(
                f"{path} was trained with the {OPTIONS[name]} {wanted}, found {found}: name the "
                "same one"
            )


def _save(
    network: nn.Module,
    kind: str,
    config: Mapping[str, Any],
    path: str | Path,
    without: tuple[str, ...] = (),
    half: bool = False,
) -> Path:
    tensors = _own(network, without)
    if half:
        tensors = {name: tensor.half() for name, tensor in tensors.items()}
    about = json.dumps({"kind": kind, "config": config})
    return write_tensors(path, tensors, {METADATA_KEY: about})


def _own(network: nn.Module, without: tuple[str, ...]) -> dict[str, Tensor]:
    """The tensors of a network but those of given parts, tied ones once."""
    own, seen = {}, set()
    for name, tensor in network.state_dict().items():
        if name.partition(".")[0] not in without and tensor.data_ptr() not in seen:
            own[name] = tensor
            seen.add(tensor.data_ptr())
    return own


def _read(
    path: str | Path, kinds: tuple[str, ...]
) -> tuple[str, dict[str, Any], dict[str, Tensor]]:
    described = read_metadata(path).get(METADATA_KEY, "null")
    about = json.loads(described)
    if not isinstance(about, dict) or about.get("kind") not in kinds:
        wanted = " or ".join(NAMES[kind] for kind in kinds)
        kind = about.get("kind") if isinstance(about, dict) else None
        found = NAMES.get(kind, "something else")
        raise ValueError(
            f"{path} is {found}, not {wanted}: choose a file that `au-adapter train --recipe "
            f"{kinds[-1]}` wrote"
        )
    return about["kind"], about["config"], read_tensors(path)


def _config(kind: type, described: Mapping[str, Any], path: object) -> Any:
    try:
        return kind(**described)
    except TypeError as error:
        raise ValueError(
            f"{path} was written by another version of AU-Adapter ({error}): update, or train it "
            "again"
        ) from error


def _fill(
    network: nn.Module, tensors: Mapping[str, Tensor], path: object, without: tuple[str, ...] = ()
) -> None:
    """Load all of a network's weights; ValueError, which names some, where they do not fit."""
    wanted = _own(network, without)
    missing, unknown = sorted(wanted.keys() - tensors.keys()), sorted(tensors.keys() - wanted)
    shaped = [n for n in wanted.keys() & tensors.keys() if wanted[n].shape != tensors[n].shape]
    for problem, names in (
        ("lacks", missing),
        ("does not explain", unknown),
        ("has in another size", sorted(shaped)),
    ):
        if names:
            raise ValueError(
                f"{path} {problem} {len(names)} weights, such as {some(names)}: it is a part of a "
                "file or was written otherwise; copy it again, or train it again"
            )
    network.load_state_dict(dict(tensors), strict=False)
