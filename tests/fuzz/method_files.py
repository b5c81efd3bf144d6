"""Whole files of every kind that VQ-AUFace, AUEditNet and a person's expressions are read from."""

from __future__ import annotations

import json
from pathlib import Path

from tiny_vqauface import write_codec, write_vqauface
from tiny_wplus import (
    nvidia_names,
    random_encoder,
    random_generator,
    write_e4e,
    write_nvidia,
    write_ours,
    write_rosinality,
)

from au_adapter.models.siamese import SiameseAU, SiameseConfig
from au_adapter.weights.aueditnet_files import save_siamese
from au_adapter.weights.wplus_files import build_generator
from au_adapter.weights.wplus_layouts import read_wplus


def codec(folder: Path) -> Path:
    return write_codec(folder) / "codec.safetensors"


def vqauface(folder: Path) -> Path:
    return write_vqauface(folder, size=32)


def wplus(folder: Path) -> Path:
    return write_ours(folder)[0]


def aueditnet(folder: Path) -> Path:
    return write_ours(folder)[1]


def e4e(folder: Path) -> Path:
    return write_e4e(folder / "e4e_ffhq_encode.pt", random_generator(), random_encoder())


def rosinality(folder: Path) -> Path:
    return write_rosinality(folder / "stylegan2.pt", random_generator())


def nvidia(folder: Path) -> Path:
    return write_nvidia(folder / "ffhq.pkl", nvidia_names(random_generator()), folder / "it-ran")


def read_generator(path: Path) -> None:
    build_generator(read_wplus(path).generator, path)


def siamese(folder: Path) -> Path:
    network = SiameseAU(SiameseConfig((4, 12), "vgg16", 32, 0.05, 8))
    return save_siamese(network, folder / "siamese.safetensors")


def expressions(folder: Path) -> Path:
    path = folder / "expressions.json"
    mine = {"my look": {"aus": "1B+L12C", "words": ["that look", "the look"]}}
    path.write_text(json.dumps({"expressions": mine}))
    return path
