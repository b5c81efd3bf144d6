"""FineFace's weights as published: attention processors, AU encoder and LoRA.

Each is a file of its own, for Stable Diffusion 2.1 and (without LoRA) 1.5; one joined file works
too. Tensor names and shapes tell what a file holds, never its name.
Source: https://huggingface.co/Tvaranka/fineface (Apache-2.0).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from ..facs import SET_A
from ..models.adapter import AUAdapterConfig, describe_layers
from .lora_layouts import peft_alpha, reads_text, take_lora, unknown_lora
from .tensors import ENDINGS, METADATA_KEY, read_metadata, read_shapes, read_tensors, some

LOGGER = logging.getLogger("au_adapter")
PROJECTIONS, ENCODER, LORA = "attention processors", "AU encoder", "LoRA"


@dataclass(frozen=True)
class PublishedBase:
    """A base for which FineFace has published weights.

    width: of the text embedding. encoder: one of TOKEN_ENCODERS. outputs: of the encoder's Linear.
    """

    name: str
    width: int
    encoder: str
    outputs: int


PUBLISHED_BASES = (
    PublishedBase("Stable Diffusion 2.1", 1024, "res_mlp64", 64),
    PublishedBase("Stable Diffusion 1.5", 768, "res_mlp", 756),
)
CHANNELS = (320, 640, 1280)  # of the three levels that have cross-attention


_BLOCKS = {
    **{f"down_blocks.{i}.attentions.{j}": CHANNELS[i] for i in range(3) for j in range(2)},
    **{f"up_blocks.{i}.attentions.{j}": CHANNELS[3 - i] for i in (1, 2, 3) for j in range(3)},
    "mid_block.attentions.0": CHANNELS[2],
}
# Diffusers path -> channels of the 16 cross-attentions, in the order of the published file.
LAYERS = {f"{path}.transformer_blocks.0.attn2": channels for path, channels in _BLOCKS.items()}
_PROJECTION = re.compile(r"(.+\.attn2)\.processor\.au_to_([kv])\.weight")
_IP_ADAPTER = re.compile(r".+\.attn2\.processor\.to_[kv]_ip(\.\d+)?\.weight")


@dataclass(frozen=True)
class Part:
    """One file of an adapter: its kinds of weights, and the text widths they are for."""

    path: Path
    kinds: frozenset[str]
    widths: frozenset[int]

    @property
    def family(self) -> PublishedBase:
        """The base of its text width. ValueError for several widths or an unknown one."""
        known = {family.width: family for family in PUBLISHED_BASES}
        if len(self.widths) == 1 and self.widths <= set(known):
            return known[next(iter(self.widths))]
        raise ValueError(
            f"{self.path} is for a text width of {', '.join(map(str, sorted(self.widths)))}; "
            "FineFace was published for "
            + " and ".join(f"{family.width} ({family.name})" for family in PUBLISHED_BASES)
        )

    @property
    def whole(self) -> bool:
        """Whether it is a complete adapter; the LoRA is optional."""
        return {PROJECTIONS, ENCODER} <= self.kinds


def find_parts(path: str | Path) -> list[Part]:
    """The files of the adapter at `path`: a folder, or any one of its files.

    What a file lacks is taken from its folder. ValueError when something is missing, there twice,
    for both bases, or not FineFace's.
    """
    path = Path(path)
    if path.is_dir():
        return _complete(_parts_of_folder(path), path)
    part = read_part(path)
    if part is None:
        names = sorted(read_shapes(path))
        begin = (
            f"its {len(names)} tensors begin with {names[0]}" if names else "it names no tensors"
        )
        raise ValueError(
            f"{path} is not an AU-Adapter ({begin}): choose a file written by Save AU-Adapter or "
            "by `au-adapter convert`, or one of FineFace's published files"
        )
    if part.whole:
        return [part]
    beside = [p for p in _parts_of(path.parent, path) if not p.kinds & part.kinds]
    return _complete([part, *beside], path)


def read_published(path: str | Path) -> tuple[AUAdapterConfig, dict[str, Tensor]]:
    """Config and tensors of published weights, under the names of `save_adapter`.

    Errors as `find_parts`; also ValueError unless there are 16 K and 16 V of the base's shapes.
    """
    parts = find_parts(path)
    tensors = {name: t for part in parts for name, t in read_tensors(part.path).items()}
    tensors = {name: t for name, t in tensors.items() if not _IP_ADAPTER.fullmatch(name)}
    LOGGER.info("AU-Adapter of FineFace: %s", describe_parts(parts))
    lora, alpha = take_lora(tensors, path)
    if lora and alpha is None:
        alpha = next(filter(None, (peft_alpha(part.path) for part in parts)), None)
    if not lora:
        _name_untaken_loras(parts)
    family = parts[0].family
    _check(tensors, family, path)
    config = AUAdapterConfig(
        units=SET_A,
        encoder=family.encoder,
        width=family.width,
        layers=dict(LAYERS),
        lora_rank=next((len(t) for name, t in lora.items() if name.endswith("A.weight")), 0),
        lora_alpha=alpha,
        base=family.name,
    )
    renamed = {name.replace("au_encoder.", "au_encoder.mlp."): t for name, t in tensors.items()}
    return config, {**renamed, **lora}


def describe_parts(parts: Iterable[Part]) -> str:
    """Which file holds what, for the log and messages."""
    named = [f"{' and '.join(sorted(part.kinds))} from {part.path.name}" for part in parts]
    return ", ".join(named)


def read_part(path: Path) -> Part | None:
    """FineFace's weights in a file, or None without any; ValueError if it cannot be read."""
    shapes = read_shapes(path)
    # An encoder's Linear is for a text width of 1024 with 64 outputs, else of 12 more than outputs.
    known = {family.outputs: family.width for family in PUBLISHED_BASES}
    outputs = [shape[0] for name, shape in shapes.items() if name == "au_encoder.weight"]
    widths = {
        PROJECTIONS: [s[-1] for name, s in shapes.items() if _PROJECTION.fullmatch(name)],
        ENCODER: [known.get(n, n + len(SET_A)) for n in outputs],
        LORA: [s[-1] for name, s in shapes.items() if reads_text(name)],
    }
    kinds = frozenset(kind for kind, found in widths.items() if found)
    return Part(path, kinds, frozenset(sum(widths.values(), []))) if kinds else None


def _files_of(folder: Path, without: Iterable[Path]) -> list[Path]:
    """The weights in a folder, without those that this project wrote."""
    files = [f for f in sorted(folder.iterdir()) if f.suffix.lower() in ENDINGS and f.is_file()]
    return [f for f in files if f not in without and METADATA_KEY not in read_metadata(f)]


def _name_untaken_loras(parts: Sequence[Part]) -> None:
    """Log the files beside an adapter without LoRA that hold one, and why they were not taken."""
    base, folder = parts[0].family.name, parts[0].path.parent
    for file in _files_of(folder, [part.path for part in parts]):
        part, strange = read_part(file), unknown_lora(read_shapes(file))
        why = f"its tensors, such as {strange}, have names of no layout that is known here"
        if part is not None and LORA in part.kinds:
            own = part.widths == parts[0].widths
            why = "its base is another" if not own else "the adapter's file is whole without it"
        elif not strange:
            continue
        LOGGER.warning("%s: the LoRA beside this adapter for %s was not taken: %s", file, base, why)


def _parts_of(folder: Path, *without: Path) -> list[Part]:
    """The parts in a folder, without complete adapters and files for other bases."""
    files = _files_of(folder, without)
    parts = [part for part in map(read_part, files) if part is not None and not part.whole]
    known = {family.width for family in PUBLISHED_BASES}
    return [part for part in parts if part.widths <= known]


def _parts_of_folder(folder: Path) -> list[Part]:
    parts = _parts_of(folder)
    families = {part.family.name for part in parts}
    if not parts:
        raise ValueError(
            f"{folder} has no weights of FineFace: attention processors, an AU encoder and, for "
            "Stable Diffusion 2.1, a LoRA, as files that end in " + ", ".join(ENDINGS)
        )
    if len(families) > 1:
        raise ValueError(
            f"{folder} has weights for {' and for '.join(sorted(families))}: name one of the "
            f"files instead of the folder ({describe_parts(parts)})"
        )
    return parts


def _complete(parts: list[Part], source: Path) -> list[Part]:
    """The parts for the first one's base; ValueError unless they make one adapter."""
    family = parts[0].family
    own = [part for part in parts if part.family == family]
    for kind in (PROJECTIONS, ENCODER, LORA):
        holders = [part for part in own if kind in part.kinds]
        if len(holders) > 1:
            names = " and ".join(part.path.name for part in holders)
            raise ValueError(
                f"{source}: {names} both hold the {kind} for {family.name}; "
                "keep one set of files in a folder"
            )
        if not holders and kind != LORA:
            raise ValueError(_missing(kind, family, parts, source))
    return own


def _missing(kind: str, family: PublishedBase, parts: list[Part], source: Path) -> str:
    folder = source if source.is_dir() else source.parent
    others = [part for part in parts if kind in part.kinds]
    shape = {
        PROJECTIONS: f"{len(LAYERS)} K and {len(LAYERS)} V of text width {family.width}",
        ENCODER: f"au_encoder.weight [{family.outputs}, {len(SET_A)}]",
    }[kind]
    found = f" ({others[0].path.name} is for {others[0].family.name})" if others else ""
    return (
        f"{source} is a part of FineFace for {family.name}; its {kind}, {shape}, "
        f"is not in {folder}{found}: copy the published file there"
    )


def _check(tensors: dict[str, Tensor], family: PublishedBase, path: str | Path) -> None:
    """ValueError unless the tensors are 16 K, 16 V and the encoder in the family's shapes."""
    projections = {
        f"{layer}.processor.au_to_{kind}.weight": (channels, family.width)
        for layer, channels in LAYERS.items()
        for kind in "kv"
    }
    encoder = {"weight": (family.outputs, len(SET_A)), "bias": (family.outputs,)}
    expected = {**projections, **{f"au_encoder.{name}": shape for name, shape in encoder.items()}}
    strangers = sorted(set(tensors) - set(expected))
    unknown = f"; unknown: {some(strangers)}" if strangers else ""
    if missing := [name for name in expected if name not in tensors]:
        found = [name for name in projections if name in tensors]
        keys, values = (sum(f"au_to_{kind}." in name for name in found) for kind in "kv")
        raise ValueError(
            f"{path}: FineFace for {family.name} has {len(LAYERS)} K and {len(LAYERS)} V, this has "
            f"{keys} K and {values} V; missing: {some(missing)}{unknown}"
        )
    if unknown:
        raise ValueError(f"{path} is not FineFace as published{unknown}")
    for name, shape in expected.items():
        if tuple(tensors[name].shape) != shape:
            raise ValueError(
                f"{path}: {name} is {list(tensors[name].shape)}, {family.name} has {list(shape)} "
                f"({describe_layers(LAYERS, family.width)})"
            )
