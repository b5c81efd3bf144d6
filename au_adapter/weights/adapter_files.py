"""AU-Adapter files: one safetensors with its config; FineFace's published files are read too.

Tensors have the names of FineFace's published files:
`au_encoder.*`, `<attn2 path>.processor.au_to_{k,v}.weight`, `unet.<module path>.lora_{A,B}.weight`.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from ..disk import damage_named, replacing
from ..facs.units import SET_A
from ..models.adapter import AUAdapter, AUAdapterConfig, LoRA, lora_shapes
from ..models.calibration import Calibration
from .fineface_files import find_parts, read_published
from .tensors import METADATA_KEY, read_metadata, read_tensors, require_finite, require_format, some

# Beside the config, not in it, so that versions without calibration read the adapter.
CALIBRATION_KEY = "au_adapter_calibration"
TRAINING_KEY = "au_adapter_training"
FORMAT = 1


def save_adapter(
    adapter: AUAdapter, path: str | Path, metadata: dict[str, str] | None = None
) -> Path:
    """Write `adapter` to a safetensors file, whole or not at all, and return the path.

    metadata: more entries beside the config. Parent folders are created.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    described = {**(metadata or {}), METADATA_KEY: _config_json(adapter)}
    if adapter.calibration is not None:
        described[CALIBRATION_KEY] = adapter.calibration.to_json()
    if adapter.provenance is not None:
        described[TRAINING_KEY] = json.dumps(adapter.provenance)
    with replacing(path) as partial:
        partial.write_bytes(save(adapter_tensors(adapter), metadata=described))
    return path


def load_adapter(path: str | Path) -> AUAdapter:
    """Load an AU-Adapter on the CPU: a file of `save_adapter`, or FineFace's published weights.

    FineFace's lie in several files; `path` is their folder or any one of them. FileNotFoundError
    without the file; ValueError when it is truncated, incomplete or something else.
    """
    path = Path(path)
    with damage_named(path):
        if _is_described(path):
            metadata, tensors = read_metadata(path), read_tensors(path)
            config, calibration = _config(metadata, path), _calibration(metadata, path)
            training = _training(metadata, path)
        else:
            (config, tensors), calibration, training = read_published(path), None, None
        with torch.device("meta"):  # no memory before the shapes are known to fit
            adapter = AUAdapter(config)
        _fill(adapter, tensors, path)
    adapter.calibration, adapter.provenance = calibration, training
    return adapter


def read_known_units(path: str | Path) -> tuple[tuple[int, ...], bool]:
    """The AUs that an adapter knows and whether it keeps left and right apart, without its weights.

    Raises what `load_adapter` raises for a file that is missing or damaged.
    """
    path = Path(path)
    if not _is_described(path):
        find_parts(path)
        return SET_A, False  # FineFace's, as published
    config = _config(read_metadata(path), path)
    return config.units, config.sides


def adapter_files(path: str | Path) -> list[Path]:
    """The files that `load_adapter` reads for `path`. Raises what `load_adapter` raises."""
    path = Path(path)
    return [path] if _is_described(path) else [part.path for part in find_parts(path)]


def adapter_hash(adapter: AUAdapter | str | Path) -> str:
    """16 hex digits of the weights and the config of an adapter, in memory or in a file.

    A calibration does not count: it changes the request, not the weights, and has a hash of its own
    (`Calibration.name`).
    """
    if not isinstance(adapter, AUAdapter):
        adapter = load_adapter(adapter)
    digest = hashlib.sha256(_config_json(adapter).encode())
    for name, tensor in sorted(adapter_tensors(adapter).items()):
        digest.update(name.encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()[:16]


def adapter_tensors(adapter: AUAdapter) -> dict[str, Tensor]:
    """Every weight under its name in the file, on the CPU in float32."""
    named = _named(adapter).items()
    return {name: t.detach().float().cpu().contiguous() for name, t in named}


def _named(adapter: AUAdapter) -> dict[str, Tensor]:
    named = {f"au_encoder.{name}": t for name, t in adapter.encoder.state_dict().items()}
    for path in adapter.config.layers:
        for kind in "kv":
            named[f"{path}.processor.au_to_{kind}.weight"] = adapter.projection(kind, path).weight
    for path, (down, up) in adapter.lora.items():
        named[f"unet.{path}.lora_A.weight"], named[f"unet.{path}.lora_B.weight"] = down, up
    return named


def _config_json(adapter: AUAdapter) -> str:
    return json.dumps({"format": FORMAT, **adapter.config.to_dict()}, sort_keys=True)


def _is_described(path: Path) -> bool:
    """Whether the file has the metadata that `save_adapter` writes."""
    return not path.is_dir() and METADATA_KEY in read_metadata(path)


def _config(metadata: dict[str, str], path: Path) -> AUAdapterConfig:
    try:
        described = json.loads(metadata[METADATA_KEY])
        found = described.pop("format", None)
        config = AUAdapterConfig.from_dict(described) if found == FORMAT else None
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: the config in its metadata is damaged ({error})") from error
    require_format(path, "AU-Adapter format", found, FORMAT)
    return config


def _calibration(metadata: dict[str, str], path: str | Path) -> Calibration | None:
    try:
        text = metadata.get(CALIBRATION_KEY)
        return None if text is None else Calibration.from_json(text)
    except ValueError as error:
        raise ValueError(f"{path}: the calibration in its metadata is damaged; {error}") from error


def _training(metadata: dict[str, str], path: str | Path) -> dict | None:
    try:
        return json.loads(metadata.get(TRAINING_KEY, "null"))
    except ValueError as error:
        raise ValueError(f"{path}: what its metadata says of its training is damaged") from error


def _fill(adapter: AUAdapter, tensors: dict[str, Tensor], path: str | Path) -> None:
    """Copy the tensors into an adapter on the device meta; a missing, misshapen or unknown one is a
    ValueError, and so is one with NaN or infinite numbers."""
    require_finite(tensors, path)
    expected = _named(adapter)
    lora = _take_lora(tensors)
    if missing := sorted(set(expected) - set(tensors)):
        raise ValueError(f"{path} lacks {len(missing)} of {len(expected)} weights: {some(missing)}")
    if unknown := sorted(set(tensors) - set(expected)):
        raise ValueError(f"{path} has weights that its config does not explain: {some(unknown)}")
    for name, tensor in tensors.items():
        if tensor.shape != expected[name].shape:
            raise ValueError(
                f"{path}: {name} is {list(tensor.shape)}, "
                f"its config says {list(expected[name].shape)}"
            )
    _check_lora(adapter, lora, path)
    adapter.to_empty(device="cpu")
    with torch.no_grad():
        for name, weight in _named(adapter).items():
            weight.copy_(tensors[name])
    adapter.lora = {layer: (down.float(), up.float()) for layer, (down, up) in lora.items()}


def _take_lora(tensors: dict[str, Tensor]) -> LoRA:
    """Move the LoRA out of `tensors`; an A without its B stays behind as an unexplained weight."""
    paths = [n.removeprefix("unet.").removesuffix(".lora_A.weight") for n in list(tensors)]
    pairs = {p: (f"unet.{p}.lora_A.weight", f"unet.{p}.lora_B.weight") for p in paths}
    return {
        path: (tensors.pop(down), tensors.pop(up))
        for path, (down, up) in pairs.items()
        if down in tensors and up in tensors
    }


def _check_lora(adapter: AUAdapter, lora: LoRA, path: str | Path) -> None:
    """Without any LoRA it is untrained; an incomplete one or other shapes are a ValueError."""
    expected = lora_shapes(adapter.config) if lora else {}
    if missing := sorted(set(expected) - set(lora)):
        raise ValueError(f"{path} lacks the LoRA of {len(missing)} layers: {some(missing)}")
    if unknown := sorted(set(lora) - set(expected)):
        raise ValueError(f"{path} has a LoRA of layers that it should not have: {some(unknown)}")
    for layer, (down, up) in lora.items():
        found = (tuple(down.shape), tuple(up.shape))
        if found != expected[layer]:
            raise ValueError(
                f"{path}: the LoRA of {layer} has A and B of {found[0]} and {found[1]}, "
                f"its config says {expected[layer][0]} and {expected[layer][1]}"
            )
