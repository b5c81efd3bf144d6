"""A generator and an encoder for it, out of one file or two; see `wplus_layouts` for the files."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from ..disk import damage_named
from ..models.e4e import E4E, E4EConfig
from ..models.ir_se import ArcFace
from ..models.stylegan2 import StyleGAN2, StyleGAN2Config
from .tensors import ENDINGS, count_numbered, read_tensors, some, weights_name, write_tensors
from .wplus_layouts import DECODER, ENCODER, FORMAT, KEY, MEAN, read_wplus

logger = logging.getLogger("au_adapter")
FILE = "wplus.safetensors"  # in the result folder of a training
Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True)
class Framing:
    """How faces stand in the pictures of a generator. zoom: side of the square in sides of FFHQ's.
    lower: where its middle lies on the way from the eyes (0) to the mouth (1); 0.1 in FFHQ."""

    zoom: float = 1.0
    lower: float = 0.1


@dataclass(frozen=True, eq=False)
class WPlus:
    """A generator with the encoder of its codes, both frozen, in float32.

    mean: the mean code [M, S], which the encoder leaves out. space: names the codes: those of
    another generator mean something else. licence: a sentence where the weights are not this
    project's.
    """

    generator: StyleGAN2
    encoder: E4E
    mean: Tensor
    space: str
    framing: Framing = Framing()
    licence: str = ""

    @torch.no_grad()
    def invert(self, pictures: Tensor) -> Tensor:
        """Codes [N, M, S] of aligned pictures [N, 3, side, side] in -1..1, side of the encoder."""
        return self.encoder(pictures) + self.mean.to(pictures)


def load_wplus(generator: str | Path, encoder: str | Path | None = None) -> WPlus:
    """A generator's file and an encoder's, which may be the same; or a training's result folder.

    FileNotFoundError without a file; ValueError where one holds something else, or the two do not
    fit each other.
    """
    generator = Path(generator) / FILE if Path(generator).is_dir() else generator
    drawn = read_wplus(generator)
    seen = drawn if encoder is None else read_wplus(encoder)
    _require(drawn.generator, generator, "generator")
    _require(seen.encoder, encoder or generator, "encoder")
    network = build_generator(drawn.generator, generator)
    eye = build_encoder(seen.encoder, encoder or generator)
    _check_fit(network, eye, generator, encoder or generator)
    # The mean belongs to the encoder, which was trained with it.
    mean = seen.mean if seen.mean is not None else drawn.mean
    licence = " ".join(dict.fromkeys(filter(None, (drawn.licence, seen.licence))))
    if licence:
        logger.info("%s: %s", Path(generator).name, licence)
    described = drawn.described
    with damage_named(generator):
        return WPlus(
            network,
            eye,
            _mean_code(mean, network.config, generator),
            described.get("space") or weights_name(network),
            Framing(**described.get("framing", {})),
            licence,
        )


def save_wplus(
    path: str | Path,
    generator: StyleGAN2 | None,
    encoder: E4E | None,
    mean: Tensor | None,
    described: dict[str, Any],
) -> Path:
    """Write what there is into one safetensors file, whole or not at all. described: "kind",
    "space", "framing" (as a dictionary), see `WPlus`."""
    parts = {DECODER: generator, ENCODER: encoder}
    tensors = {
        f"{prefix}{name}": tensor
        for prefix, network in parts.items()
        if network is not None
        for name, tensor in network.state_dict().items()
    }
    if mean is not None:
        tensors[MEAN] = mean
    return write_tensors(path, tensors, {KEY: json.dumps({"format": FORMAT, **described})})


def is_wplus(source: str | Path) -> bool:
    """Whether a path looks like a file of a StyleGAN2 generator or of e4e's encoder."""
    source = Path(source)
    if not source.is_file() or source.suffix not in ENDINGS:
        return source.suffix == ".pkl"
    try:
        read_wplus(source)
    except ValueError:
        return False
    return True


def convert_wplus(source: str | Path, output: str | Path) -> Path:
    """A published file as one safetensors file of the same tensors; its licence stays."""
    found = read_wplus(source)
    generator = build_generator(found.generator, source) if found.generator else None
    encoder = build_encoder(found.encoder, source) if found.encoder else None
    described = {**found.described, "kind": found.kind, "licence": found.licence}
    if generator is not None:
        described.setdefault("space", weights_name(generator))
    return save_wplus(output, generator, encoder, found.mean, described)


def build_generator(tensors: dict[str, Tensor], path: str | Path) -> StyleGAN2:
    """The generator that its tensors describe. ValueError naming the file where some are missing,
    of another shape, or left over."""
    return _built(StyleGAN2, lambda: describe_generator(tensors), tensors, path)


def build_encoder(tensors: dict[str, Tensor], path: str | Path) -> E4E:
    """The encoder that its tensors describe; errors as `build_generator`."""
    return _built(E4E, lambda: describe_encoder(tensors), tensors, path)


def load_arcface(path: str | Path) -> ArcFace:
    """ArcFace as e4e's training uses it, model_ir_se50.pth. ValueError for another file."""
    with torch.device("meta"):
        network = ArcFace()
    return _filled(network, read_tensors(path), path)


def describe_generator(tensors: dict[str, Tensor]) -> StyleGAN2Config:
    """The config of a generator, from the shapes of its tensors; KeyError without one of them."""
    first, style = tensors["conv1.conv.modulation.weight"].shape
    blocks = count_numbered(tensors, "to_rgbs.{}.bias")
    channels = [tensors[f"convs.{2 * n}.conv.weight"].shape[1] for n in range(blocks)]
    mapping = sum(name.startswith("style.") and name.endswith("weight") for name in tensors)
    return StyleGAN2Config((first, *channels), style, mapping)


def describe_encoder(tensors: dict[str, Tensor]) -> E4EConfig:
    """The config of an encoder, from the shapes of its tensors; KeyError without one of them."""
    count = count_numbered(tensors, "body.{}.res_layer.1.weight")
    widths = [tensors[f"body.{n}.res_layer.1.weight"].shape[0] for n in range(count)]
    # A stage begins where the shortcut is more than a smaller picture, and at the first.
    starts = [0, *(n for n in range(1, count) if widths[n] != widths[n - 1]), count]
    stages = tuple((widths[a], b - a) for a, b in zip(starts, starts[1:], strict=False))
    levels = count_numbered(tensors, "styles.{}.linear.weight")
    halvings = sum(name.startswith("styles.0.convs.") for name in tensors) // 2
    squeezed = tensors["body.0.res_layer.5.fc1.weight"].shape[0]
    style = tensors["styles.0.linear.weight"].shape[0]
    return E4EConfig(stages, style, levels, 16 * 2**halvings, widths[0] // squeezed)


def _built(
    kind: type[Network], describe: Callable[[], Any], tensors: dict[str, Tensor], path: str | Path
) -> Network:
    try:
        with torch.device("meta"):  # skip the initialisation, which the file replaces
            network = kind(describe())
    except (KeyError, IndexError, ValueError) as error:
        raise ValueError(f"{path}: the {kind.__name__} in it is incomplete ({error})") from error
    return _filled(network, tensors, path)


def _filled(network: Network, tensors: dict[str, Tensor], path: str | Path) -> Network:
    """The network with a file's tensors in float32, frozen."""
    expected = {name: tuple(t.shape) for name, t in network.state_dict().items()}
    found = {name: tuple(t.shape) for name, t in tensors.items()}
    if wrong := sorted(n for n in {*expected, *found} if expected.get(n) != found.get(n)):
        raise ValueError(
            f"{path}: {len(wrong)} tensors of the {type(network).__name__} in it are missing, left "
            f"over or of another shape: {some(wrong)}. Copy it again"
        )
    whole = {n: t.float() if t.is_floating_point() else t for n, t in tensors.items()}
    if broken := [n for n, t in whole.items() if not torch.isfinite(t).all()]:
        raise ValueError(f"{path} holds NaN or infinity in {some(broken)}: take another file")
    network.load_state_dict(whole, assign=True)
    return network.eval().requires_grad_(False)


def _require(tensors: dict[str, Tensor], path: str | Path, what: str) -> None:
    if not tensors:
        raise ValueError(
            f"{path} holds no {what}: name a file with one, such as e4e_ffhq_encode.pt, which has "
            "generator and encoder"
        )


def _check_fit(generator: StyleGAN2, encoder: E4E, drawn: str | Path, seen: str | Path) -> None:
    wanted = (generator.config.levels, generator.config.style)
    given = (encoder.config.levels, encoder.config.style)
    if wanted != given:
        raise ValueError(
            f"the encoder in {seen} makes codes of {given[0]} x {given[1]} numbers, the generator "
            f"in {drawn} draws from {wanted[0]} x {wanted[1]}: take an encoder of a "
            f"{generator.config.size} pixel generator"
        )


def _mean_code(mean: Tensor | None, config: StyleGAN2Config, path: str | Path) -> Tensor:
    """The mean code [M, S], of one row or of all."""
    if mean is None:
        raise ValueError(f"{path} holds no {MEAN}, without which no code is right: copy it again")
    rows = mean.float().reshape(-1, mean.shape[-1])
    if rows.shape[-1] != config.style or len(rows) not in (1, config.levels):
        raise ValueError(
            f"{path}: {MEAN} is {list(mean.shape)}, expected [{config.levels}, {config.style}]"
        )
    return rows.expand(config.levels, -1).clone()
