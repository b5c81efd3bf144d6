"""The AU-Adapter of FineFace (arXiv 2407.20175), for diffusers' and ComfyUI's UNets.

Every cross-attention gets keys and values for the AU tokens; their attention is added to the text's
before the output projection (Eq. 5). With one token the softmax over one key is 1, so the AU
attention is exactly `to_v(token)` at every position, without query or key.
"""

from __future__ import annotations

import copy
import dataclasses
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, scaled_dot_product_attention

from ..facs import SET_A, AUVector
from .calibration import Calibration
from .encoders import build_encoder

LORA_TARGETS = ("to_q", "to_k", "to_v", "to_out.0")
FINEFACE_ALPHA = 8.0  # peft's default; with the published rank of 32 the scale is 0.25
LoRA = dict[str, tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class AUAdapterConfig:
    """The architecture of an adapter; written into the metadata of its file.

    units: AU numbers in the order of the encoder's inputs.
    sides: whether left and right have separate tokens (`encoders.SidedEncoder`).
    encoder: a name in TOKEN_ENCODERS.
    width: width of the text embedding, which the AU tokens share.
    layers: diffusers path of each cross-attention ("...attn2") -> its inner channels C.
    lora_rank, lora_alpha: 0 without LoRA; the trained scale is alpha / rank, alpha None meaning 8.
    tokens: T, the tokens per AU vector.
    base: name of the base family, for people.
    prediction: what the base predicts, "epsilon" or "v_prediction".
    """

    units: tuple[int, ...]
    encoder: str
    width: int
    layers: dict[str, int]
    lora_rank: int = 0
    lora_alpha: float | None = None
    tokens: int = 1
    base: str = ""
    prediction: str = "epsilon"
    sides: bool = False

    def rows(self, vector: AUVector) -> Tensor:
        """The encoder's input for N faces, [N, K] or, with sides, [N, 2 K]. An unknown AU is a
        ValueError; without sides an AU is the mean of left and right."""
        return vector.select(self.units).columns(self.sides)

    @property
    def lora_scale(self) -> float:
        """alpha / rank, the factor on B A; 0 without LoRA."""
        alpha = FINEFACE_ALPHA if self.lora_alpha is None else self.lora_alpha
        return alpha / self.lora_rank if self.lora_rank else 0.0

    def __post_init__(self) -> None:
        if not self.units or not self.layers or self.width < 1:
            raise ValueError(
                f"an AU-Adapter needs AUs, cross-attention layers and a text width, not "
                f"{len(self.units)} AUs, {len(self.layers)} layers and width {self.width}"
            )

    def to_dict(self) -> dict:
        """Plain values for JSON. Without sides the entry is left out, as in older versions."""
        values = dataclasses.asdict(self)
        return values if self.sides else {k: v for k, v in values.items() if k != "sides"}

    @classmethod
    def from_dict(cls, values: dict) -> AUAdapterConfig:
        """The inverse of `to_dict`; unknown and missing names are a ValueError."""
        known = {field.name for field in dataclasses.fields(cls)}
        if unknown := sorted(set(values) - known):
            raise ValueError(f"unknown settings in the adapter's config: {', '.join(unknown)}")
        required = ("units", "encoder", "width", "layers")
        if missing := [name for name in required if name not in values]:
            raise ValueError(f"the adapter's config lacks {', '.join(missing)}")
        config = cls(**{**values, "units": tuple(values["units"])})
        AUVector.zeros(config.units)  # other numbers are no AUs
        whole = {name: getattr(config, name) for name in ("width", "lora_rank", "tokens")}
        whole |= {f"channels of {layer}": count for layer, count in dict(config.layers).items()}
        if wrong := [name for name, number in whole.items() if type(number) is not int]:
            raise ValueError(f"{wrong[0]} is {whole[wrong[0]]!r}, expected a whole number")
        if config.lora_alpha is not None and type(config.lora_alpha) not in (int, float):
            raise ValueError(f"lora_alpha is {config.lora_alpha!r}, expected a number")
        if type(config.sides) is not bool or not isinstance(config.encoder, str):
            raise ValueError(f"sides is {config.sides!r} and encoder {config.encoder!r}")
        return config


class AUAdapter(nn.Module):
    """AU encoder, key and value projections for each cross-attention, and optionally a LoRA.

    Attributes:
        encoder: float [N, K] of the config's units, [N, 2 K] with sides -> tokens [N, T, width].
        to_k, to_v: diffusers attn2 path with "-" for "." -> Linear(width -> C) without bias.
        lora: diffusers module path ("...attn1.to_q") -> (A [rank, in], B [out, rank]);
            delta = scale B A.
        lora_strength: default factor on the LoRA, 1 as trained.
        calibration: the response curves of this adapter on its base, or None.
        provenance: its training settings, data and validation, plain values for JSON, or None.
        instance: unique in a graph.
    """

    def __init__(self, config: AUAdapterConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = build_encoder(config.encoder, len(config.units), config.width, config.sides)
        if self.encoder.tokens != config.tokens:
            raise ValueError(
                f"the encoder {config.encoder} of {len(config.units)} AUs makes "
                f"{self.encoder.tokens} tokens, the config says {config.tokens}"
            )
        width, layers = config.width, config.layers.items()
        self.to_k, self.to_v = (
            nn.ModuleDict({module_key(path): nn.Linear(width, c, bias=False) for path, c in layers})
            for _ in "kv"
        )
        self.lora: LoRA = {}
        self.lora_strength = 1.0
        self.calibration: Calibration | None = None
        self.provenance: dict | None = None
        self.instance = uuid.uuid4().hex

    @classmethod
    def for_unet(
        cls,
        unet: nn.Module,
        units: Iterable[int] = SET_A,
        encoder: str = "res_mlp64",
        lora_rank: int = 32,
        lora_alpha: float | None = FINEFACE_ALPHA,
        base: str = "",
        prediction: str = "epsilon",
        sides: bool = False,
    ) -> AUAdapter:
        """A new adapter for a diffusers UNet; keys and values start as copies of the text's."""
        attentions = cross_attentions(unet)
        units = tuple(units)
        width = next(iter(attentions.values())).to_v.in_features
        config = AUAdapterConfig(
            units=units,
            encoder=encoder,
            width=width,
            layers={path: attn.to_v.out_features for path, attn in attentions.items()},
            lora_rank=lora_rank,
            lora_alpha=lora_alpha,
            tokens=build_encoder(encoder, len(units), width, sides).tokens,
            base=base,
            prediction=prediction,
            sides=sides,
        )
        adapter = cls(config)
        with torch.no_grad():
            for path, attn in attentions.items():
                adapter.projection("k", path).weight.copy_(attn.to_k.weight)
                adapter.projection("v", path).weight.copy_(attn.to_v.weight)
        return adapter

    def projection(self, kind: str, path: str) -> nn.Module:
        """The Linear of the cross-attention at a diffusers `path`; `kind` is "k" or "v"."""
        return {"k": self.to_k, "v": self.to_v}[kind][module_key(path)]

    def encode(self, vector: AUVector, calibrated: bool = False) -> Tensor:
        """Tokens [N, T, width] of N AU vectors.

        calibrated: correct the request by the adapter's `calibration`, so that these intensities
        are measured. ValueError for an unknown nonzero AU and for a missing calibration.
        """
        if calibrated:
            if self.calibration is None:
                raise ValueError(
                    "This AU-Adapter is not calibrated: switch `calibrated` off, or calibrate it "
                    "with Calibrate AU-Adapter or `au-adapter calibrate`"
                )
            # Without sides the adapter reads the mean of left and right.
            read = vector if self.config.sides else AUVector(vector.units, vector.values)
            vector = self.calibration.requests(read)
        weight = next(iter(self.to_v.values())).weight
        return self.encoder(self.config.rows(vector).to(weight))

    def with_calibration(self, calibration: Calibration | None) -> AUAdapter:
        """The same adapter with another calibration; the weights are shared."""
        other = copy.copy(self)
        other.calibration = calibration
        return other

    def encode_zero(self) -> Tensor:
        """Tokens [1, T, width] of no AUs: the encoder's bias, not zero (FineFace's guidance)."""
        return self.encode(AUVector.zeros(self.config.units))

    def au_term(
        self, path: str, tokens: Tensor, query: Tensor | None = None, heads: int | None = None
    ) -> Tensor:
        """The AU attention added to the cross-attention at `path`, before its output projection.

        tokens [N, T, width]. T = 1: [N, 1, C], the same at every position (one key: softmax is 1).
        T > 1: [N, L, C], attention of the layer's `query` [N, L, C] with its number of `heads`.
        """
        value = self.projection("v", path)(tokens)
        if tokens.shape[1] == 1:
            return value
        if query is None or heads is None:
            raise ValueError(f"{tokens.shape[1]} AU tokens need the query and the heads of {path}")
        return attend(query, self.projection("k", path)(tokens), value, heads)

    def lora_delta(self, path: str) -> Tensor:
        """The change [out, in] of the weight at `path`, at the trained scale alpha / rank."""
        down, up = self.lora[path]
        return self.config.lora_scale * (up @ down)

    def key_similarity(self, path: str, keys: Tensor) -> float | None:
        """Cosine of this adapter's keys and a base's text keys [C, width] at `path`, -1..1.

        FineFace's keys start as copies of the base's. With one token they get no gradient, and
        weight decay only shortens them, so a cosine near 1 identifies the base of the training.
        None with several tokens, whose keys are trained.
        """
        if self.config.tokens > 1:
            return None
        own = self.projection("k", path).weight.detach().float().flatten()
        return float(cosine_similarity(own, keys.detach().to(own).flatten(), dim=0))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> AUAdapter:
        """`.to()` and the like also move the LoRA, which is not a parameter."""
        super()._apply(fn, recurse)
        self.lora = {path: (fn(down), fn(up)) for path, (down, up) in self.lora.items()}
        return self


def attend(query: Tensor, key: Tensor, value: Tensor, heads: int) -> Tensor:
    """softmax(q k^T / sqrt(d)) v, [N, L, C], of query [N, L, C], key and value [N or 1, T, C]."""
    rows = (x.expand(len(query), -1, -1) for x in (query.to(key), key, value))
    out = scaled_dot_product_attention(*(split_heads(x, heads) for x in rows))
    return out.transpose(1, 2).flatten(2)


def split_heads(x: Tensor, heads: int) -> Tensor:
    """[N, L, C] -> [N, heads, L, C / heads]."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def module_key(path: str) -> str:
    """A diffusers path as a ModuleDict key, which may not contain dots."""
    return path.replace(".", "-")


def lora_paths(layers: Iterable[str]) -> set[str]:
    """Paths that a LoRA changes: the four projections of both attentions in each block."""
    blocks = [path.removesuffix("attn2") for path in layers]
    return {f"{b}{a}.{t}" for b in blocks for a in ("attn1", "attn2") for t in LORA_TARGETS}


def lora_shapes(config: AUAdapterConfig) -> dict[str, tuple[tuple[int, int], tuple[int, int]]]:
    """Module path -> shapes of A [rank, in] and B [out, rank], for every module in `lora_paths`."""

    def shapes(path: str) -> tuple[tuple[int, int], tuple[int, int]]:
        channels = config.layers[path.partition(".attn")[0] + ".attn2"]
        from_text = path.endswith(("attn2.to_k", "attn2.to_v"))
        inputs = config.width if from_text else channels
        return (config.lora_rank, inputs), (channels, config.lora_rank)

    return {path: shapes(path) for path in lora_paths(config.layers)}


def cross_attentions(unet: nn.Module) -> dict[str, nn.Module]:
    """Diffusers path -> module of every cross-attention, in the order of the UNet."""
    found = {path: m for path, m in unet.named_modules() if path.endswith("attn2")}
    if not found:
        raise ValueError(
            f"{type(unet).__name__} has no cross-attentions (attn2): an AU-Adapter needs a UNet of "
            "the Stable Diffusion 1, 2 or XL kind"
        )
    return found


def describe_adapter(adapter: AUAdapter) -> str:
    """Base, AUs, layers and LoRA of an adapter in one line."""
    config = adapter.config
    lora = f"LoRA of rank {config.lora_rank}, scale {config.lora_scale:g} as trained"
    return (
        f"AU-Adapter for {config.base or 'an unnamed base'}, {len(config.units)} AUs"
        f"{' with left and right apart' if config.sides else ''}, "
        f"{describe_layers(config.layers, config.width)}, {lora if adapter.lora else 'no LoRA'}"
    )


def describe_layers(layers: dict[str, int], width: int) -> str:
    """A set of cross-attention layers in one line, for messages."""
    channels = "/".join(str(c) for c in sorted(set(layers.values())))
    return f"{len(layers)} cross-attention layers of {channels} channels, text width {width}"


def check_layers(config: AUAdapterConfig, layers: dict[str, int], width: int) -> None:
    """ValueError unless the adapter fits a UNet of these layers and text width."""
    if config.layers != layers or config.width != width:
        raise ValueError(
            f"this AU-Adapter was made for {config.base or 'another base'} "
            f"({describe_layers(config.layers, config.width)}), "
            f"the model has {describe_layers(layers, width)}: "
            "load the base that the adapter was trained on, or an adapter for this base"
        )
