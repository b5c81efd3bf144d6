"""AUEditNet and its estimators in safetensors files, with what describes them in the metadata."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from torch import nn

from ..disk import damage_named
from ..models.aueditnet import AUEditNet, AUEditNetConfig
from ..models.siamese import SiameseAU, SiameseConfig
from .tensors import read_described, read_tensors, require_format, write_tensors

EDITOR, ESTIMATOR = "aueditnet", "siamese_au"  # in the metadata
FORMAT = 1
# Their files in the result folder of a training.
FILES = {EDITOR: "aueditnet.safetensors", ESTIMATOR: "siamese.safetensors"}
Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True, eq=False)
class EditorFile:
    """An AUEditNet and the name of the codes that it edits, see `wplus_files.WPlus`."""

    network: AUEditNet
    space: str


def save_aueditnet(network: AUEditNet, path: str | Path, space: str) -> Path:
    """Write an editor of the codes of this name, whole or not at all."""
    described = {"config": network.config.to_dict(), "space": space}
    return _save(network, path, EDITOR, described)


def load_aueditnet(path: str | Path) -> EditorFile:
    """The editor in a file, or in a training's result folder, float32, frozen. FileNotFoundError,
    or ValueError for another file."""
    path = _file(path, EDITOR)
    with damage_named(path):
        described = _described(path, EDITOR, "AUEditNet")
        network = _load(path, lambda: AUEditNet(AUEditNetConfig.from_dict(described["config"])))
        return EditorFile(network, described["space"])


def save_siamese(network: SiameseAU, path: str | Path) -> Path:
    """Write an estimator of differences, whole or not at all."""
    return _save(network, path, ESTIMATOR, {"config": network.config.to_dict()})


def load_siamese(path: str | Path) -> SiameseAU:
    """The estimator in a file or folder, float32, frozen; see `load_aueditnet`."""
    path = _file(path, ESTIMATOR)
    with damage_named(path):
        described = _described(path, ESTIMATOR, "Siamese AU estimator")
        return _load(path, lambda: SiameseAU(SiameseConfig.from_dict(described["config"])))


def _file(path: str | Path, key: str) -> Path:
    return Path(path) / FILES[key] if Path(path).is_dir() else Path(path)


def _save(network: nn.Module, path: str | Path, key: str, described: dict[str, Any]) -> Path:
    metadata = {key: json.dumps({"format": FORMAT, **described})}
    return write_tensors(path, network.state_dict(), metadata)


def _described(path: str | Path, key: str, what: str) -> dict[str, Any]:
    advice = ". Take a file that `au-adapter train` wrote"
    described = json.loads(read_described(path, key, what, advice))
    require_format(path, f"{what} of format", described["format"], FORMAT)
    return described


def _load(path: str | Path, make: Callable[[], Network]) -> Network:
    network = make()
    try:
        network.load_state_dict(read_tensors(path))  # half precision on disk becomes single
    except RuntimeError as error:
        raise ValueError(f"{path} does not hold what it describes: {error}") from error
    return network.eval().requires_grad_(False)
