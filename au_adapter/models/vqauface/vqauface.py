"""Stage II of VQ-AUFace: from a text about Action Units and a reference face to codes of a face."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ...facs import SET_A, SET_B_EXTRA
from .codec import BUNDLED as BUNDLED_CODEC
from .codec import CodecConfig, ResidualVQGAN
from .face_context import AUCrossAttention, ContextFusion, VectorTokens
from .face_encoders import (
    AppearanceEncoder,
    own_structure_encoder,
    own_text_encoder,
)
from .parallel_decoding import OnCodes, guided, parallel_decode
from .token_transformer import CodeEmbedding, TokenTransformer
from .word_ids import PADDING, processor_words

ENCODERS = ("text", "structure", "appearance")
VECTOR_TOKENS = 8
TEXT, VECTOR = "text", "vector"


@dataclass(frozen=True)
class VQAUFaceConfig:
    """Sizes of stage II. The defaults are the full model's: 8 heads and texts of up to 2,048 tokens
    are the paper's, widths, layers and weights ours.

    group: codes of a cell that a token stands for, see `CodeEmbedding`. code_width: of a code's
    embedding. driver: "text", or "vector" for AU intensities through an MLP. structure, appearance,
    reference: whether S, A and V take part. aligned: whether references are in the target's pose,
    see `TokenTransformer`. given: encoder -> what describes the published network
    that it is, of those that are no part of the file: text, structure, appearance. own_width,
    own_layers, own_patch: of the encoders that are. words: that the own text encoder knows.
    intensity_words: whether texts say how strong an AU is. units: the AUs that it was trained on.
    sides: whether left and right were apart. framing: side of its pictures in widths of the face.
    """

    codec: CodecConfig = field(default_factory=CodecConfig)
    width: int = 512
    layers: int = 8
    heads: int = 8
    group: int = 1
    code_width: int = 512
    text_limit: int = 2048
    driver: str = TEXT
    structure: bool = True
    appearance: bool = True
    reference: bool = True
    aligned: bool = False
    given: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    own_width: int = 128
    own_layers: int = 2
    own_patch: int = 16
    words: tuple[str, ...] = ()
    intensity_words: bool = True
    units: tuple[int, ...] = (*SET_A, *SET_B_EXTRA)
    sides: bool = False
    framing: float = 1.4

    def __post_init__(self) -> None:
        if isinstance(self.codec, Mapping):
            object.__setattr__(self, "codec", CodecConfig(**self.codec))
        for name in ("words", "units"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if self.codec.depth % self.group or self.width % (4 * self.heads):
            raise ValueError(
                f"group {self.group} must divide the codec's depth {self.codec.depth}, and 4 x "
                f"heads ({self.heads}) the width {self.width}"
            )
        if self.driver not in (TEXT, VECTOR):
            raise ValueError(f"driver is {self.driver!r}, expected {TEXT} or {VECTOR}")


def bundled_config(codec: CodecConfig = BUNDLED_CODEC, **changes: Any) -> VQAUFaceConfig:
    """Sizes of the model that comes with AU-Adapter, or of one that differs in `changes`."""
    sizes = {
        "width": 192,
        "layers": 6,
        "heads": 6,
        "group": codec.depth,
        "aligned": True,
        "code_width": 64,
        "own_width": 96,
        "text_limit": 512,
        "words": processor_words(),
    }
    return VQAUFaceConfig(codec=codec, **{**sizes, **changes})


@dataclass(frozen=True)
class Reference:
    """What the networks see in N reference faces. structure S [N, P, width], appearance A [N, 1,
    width] or None; codes int64 [N, cells, depth]."""

    structure: Tensor | None
    appearance: Tensor | None
    codes: Tensor

    def expand(self, count: int) -> Reference:
        """One reference for `count` faces."""
        return Reference(
            *(
                part if part is None else part.expand(count, *part.shape[1:])
                for part in (self.structure, self.appearance, self.codes)
            )
        )


@dataclass(frozen=True)
class Condition:
    """What N faces are asked for: ids of a text int64 [N, T], or AU intensities [N, K]; told: bool
    [N], False where it is to go unheard, which is what guidance compares with."""

    asked: Tensor
    told: Tensor


class Context(NamedTuple):
    """tokens [N, T, width], of which those `present` bool [N, T] are there; reference: codes of an
    aligned reference [N, cells, depth], else None."""

    tokens: Tensor
    present: Tensor
    reference: Tensor | None


class VQAUFace(nn.Module):
    """Stage II with the codec of stage I, which stays as it is."""

    def __init__(self, config: VQAUFaceConfig, given: Mapping[str, nn.Module] | None = None):
        """given: the published networks that `config.given` names, as modules of `face_encoders`.
        ValueError where others are given."""
        super().__init__()
        self.config, codec, width = config, config.codec, config.width
        self.codec = ResidualVQGAN(codec).requires_grad_(False).eval()
        self._add_encoders(dict(given or {}))
        if config.driver == TEXT:
            self.text_in = nn.Linear(self.text.width, width)
        else:
            self.text_in = VectorTokens(len(config.units), VECTOR_TOKENS, width)
        if config.structure:
            self.structure_in = nn.Linear(self.structure.width, width)
            self.au_attention = AUCrossAttention(width, config.heads)
        if config.appearance:
            self.appearance_in = nn.Linear(self.appearance.width, width)
        self.fusion = ContextFusion()
        self.untold = nn.Parameter(torch.randn(width) * 0.02)
        self.is_reference = nn.Parameter(torch.randn(width) * 0.02)
        embedding = CodeEmbedding(
            codec.codes, codec.depth, codec.side, width, config.code_width, config.group
        )
        aligned = config.reference and config.aligned
        self.transformer = TokenTransformer(embedding, width, config.layers, config.heads, aligned)

    def _add_encoders(self, given: dict[str, nn.Module]) -> None:
        config = self.config
        if given.keys() != config.given.keys():
            raise ValueError(
                f"this VQ-AUFace takes {', '.join(config.given) or 'no network'} from outside, and "
                f"{', '.join(given) or 'none'} came: see Load VQ-AUFace's help for what to name"
            )
        size, width, layers = config.codec.size, config.own_width, config.own_layers
        made = {
            "text": lambda: own_text_encoder(config.words, width, layers),
            "structure": lambda: own_structure_encoder(size, config.own_patch, width, layers),
            "appearance": lambda: AppearanceEncoder(width),
        }
        used = {
            "text": config.driver == TEXT,
            "structure": config.structure,
            "appearance": config.appearance,
        }
        for name in (name for name in ENCODERS if used[name]):
            if name in given:
                self.add_module(name, given[name].requires_grad_(False).eval())
            else:
                self.add_module(name, made[name]())

    def train(self, mode: bool = True) -> VQAUFace:
        """The codec and given networks do not train."""
        super().train(mode)
        for name in ("codec", *self.config.given):
            getattr(self, name).eval()
        return self

    def ask_text(self, texts: Sequence[str]) -> Condition:
        """The condition of N texts. ValueError for texts that its encoder cannot read."""
        ids = self.text.tokenize(texts, self.config.text_limit)
        return self._told(ids)

    def ask_vector(self, values: Tensor) -> Condition:
        """The condition of AU intensities [N, K] in the order of its units."""
        return self._told(values)

    def _told(self, asked: Tensor) -> Condition:
        device = self.untold.device
        told = torch.ones(len(asked), dtype=torch.bool, device=device)
        return Condition(asked.to(device), told)

    def look(self, pictures: Tensor) -> Reference:
        """What is seen in reference faces [N, 3, size, size] in -1..1."""
        structure = appearance = None
        if self.config.structure:
            structure = self.structure_in(self.structure(pictures))
        if self.config.appearance:
            appearance = self.appearance_in(self.appearance(pictures))[:, None]
        return Reference(structure, appearance, self.codec.encode(pictures))

    def context(self, condition: Condition, reference: Reference) -> Context:
        """What the codes of N faces are predicted from."""
        if self.config.driver == TEXT:
            present = condition.asked != PADDING
            tokens = self.text_in(self.text(condition.asked))
        else:
            tokens = self.text_in(condition.asked)
            present = tokens.new_ones(tokens.shape[:2], dtype=torch.bool)
        if reference.structure is not None:
            tokens = self.au_attention(tokens, reference.structure)
        tokens = torch.where(condition.told[:, None, None], tokens, self.untold.to(tokens))
        codes = None
        if self.config.reference:
            codes = self.transformer.embedding(reference.codes) + self.is_reference
        aligned = self.config.reference and self.config.aligned
        fused = self.fusion(tokens, present, reference.appearance, codes)
        return Context(*fused, reference.codes if aligned else None)

    def predict(self, ids: Tensor, where: Tensor, context: Context) -> Tensor:
        """Logits [M, codes] of the masked places `where` of codes [N, cells, depth]."""
        return self.transformer(ids, where, *context)

    @torch.no_grad()
    def draw(
        self,
        condition: Condition,
        reference: Reference,
        seed: int,
        steps: int = 12,
        guidance: float = 3.0,
        temperature: float = 1.0,
        on_codes: OnCodes | None = None,
    ) -> Tensor:
        """Pictures [N, 3, size, size], about -1..1, all from one chance."""
        codec, masked = self.config.codec, self.transformer.embedding.masked
        count = len(condition.asked)
        reference = reference.expand(count)
        told = self.context(condition, reference)
        unheard = Condition(condition.asked, torch.zeros_like(condition.told))
        plain = self.context(unheard, reference) if guidance != 1 else None

        def predict(ids: Tensor, where: Tensor) -> Tensor:
            heard = self.predict(ids, where, told)
            if plain is None:
                return heard
            return guided(self.predict(ids, where, plain), heard, guidance)

        start = torch.full((count, codec.cells, codec.depth), masked, device=self.untold.device)
        chance = torch.Generator().manual_seed(seed)
        ids = parallel_decode(predict, start, masked, steps, temperature, chance, on_codes)
        return self.codec.decode(ids)
