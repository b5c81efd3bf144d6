"""Stage II of VQ-AUFace: masked codes of a target from its AU text and a reference face.

    au-adapter train --recipe vq-auface --data FACES --set codec=CODEC_RUN/result --output DIR

Learning rate and batch are the paper's (appendix D). At full size, with T5-large and CLIP ViT-L/14,
two pictures a GPU, as the paper's 16 on eight, take about 12 GiB in float32.
`methods.vqauface_editor` draws with every result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ...models.vqauface import VQAUFace, VQAUFaceConfig
from ...models.vqauface.token_transformer import draw_mask, masked_loss
from ...models.vqauface.vqauface import TEXT, VECTOR, Condition, bundled_config
from ...weights import vqauface_files as files
from ..face_judgement import Estimate, FaceJudgement
from ..recipe import Share, SharingRecipe
from ..reference_pairs import ReferencePairs, aus_of, text_of
from ..settings import Settings, check_options

SIZES = ("full", "bundled")
SEEDS = 2**31  # of the wordings, five for each construct


@dataclass(frozen=True)
class VQAUFaceOptions:
    """Options of VQ-AUFace.

    codec: the result of `vq-auface-codec`, its folder or file. sizes: "full" or "bundled"; width,
    layers, heads, group: instead of theirs, see `VQAUFaceConfig`. driver: "text", or "vector", AU
    intensities through an MLP. structure, appearance, reference: whether S, A and V take part;
    aligned: whether a reference is in the pose of its targets, so that codes of it may be kept.
    text_model, clip: folders of T5 and CLIP as transformers saves them; recognition: a face
    recognition network, MODULE:FUNCTION; those not named are small and learn too. intensity_words:
    whether texts say how strong an AU is; labels of mere occurrence never do. units: the AUs that
    texts name, default the 17 of sets A and B. sides: left and right apart, else their mean.
    untold: share of the pairs whose text goes unheard, for guidance. start: a trained file to
    continue from, whose sizes hold. held_out: a folder of faces of other people, whom validations
    draw. lanes, buffer: see `FaceStream`.
    """

    codec: str | Path
    sizes: str = "bundled"
    width: int | None = None
    layers: int | None = None
    heads: int | None = None
    group: int | None = None
    driver: str = TEXT
    structure: bool = True
    appearance: bool = True
    reference: bool = True
    aligned: bool | None = None
    text_model: str | Path | None = None
    clip: str | Path | None = None
    recognition: str | None = None
    intensity_words: bool = True
    units: Sequence[int] | None = None
    sides: bool = False
    untold: float = 0.1
    start: str | Path | None = None
    held_out: str | Path | None = None
    lanes: int = 8
    buffer: int = 1000

    def __post_init__(self) -> None:
        if self.sizes not in SIZES:
            raise ValueError(f"sizes is {self.sizes!r}, expected {' or '.join(SIZES)}")
        check_options(self, untold=(0, 1), lanes=1, buffer=1)


class VQAUFaceLoss(nn.Module):
    """Cross-entropy of the target's codes at masked places."""

    def __init__(self, network: VQAUFace):
        super().__init__()
        self.network = network

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """batch: "references" and "targets" [N, 3, S, S] in -1..1, what is "asked" and "told" (see
        `Condition`), "order" [N, L] and "progress" [N], by which places are masked."""
        network = self.network
        codes = network.codec.encode(batch["targets"])
        where = draw_mask(batch["order"], batch["progress"]).reshape(codes.shape)
        ids = codes.masked_fill(where, network.transformer.embedding.masked)
        reference = network.look(batch["references"])
        context = network.context(Condition(batch["asked"], batch["told"]), reference)
        return masked_loss(network.predict(ids, where, context), codes[where])


class VQAUFaceRecipe(SharingRecipe):
    """Trains stage II and saves it, with its codec, as vqauface.safetensors."""

    Options = VQAUFaceOptions
    settings = Settings(
        steps=150_000, batch_size=16, learning_rate=3e-4, weight_decay=0.0, mixed_precision="bf16"
    )

    def __init__(self, data: list[Path], options: VQAUFaceOptions):
        self.options = options
        network = self._network()
        self.config = network.config
        self.units = self.config.units
        self.module = VQAUFaceLoss(network.train())
        self.pairs = self._pairs(data)

    def rows(self, size: int, generator: torch.Generator, share: Share) -> dict[str, Tensor]:
        codec, options = self.config.codec, self.options
        pairs = self.pairs.read(share.step, size, share)
        references, targets = pairs.pictures()
        seeds = torch.randint(SEEDS, (size,), generator=generator)
        return {
            "references": references,
            "targets": targets,
            "asked": self._asked(pairs.labels, share.of(seeds).tolist()),
            "told": share.of(torch.rand(size, generator=generator) >= options.untold),
            "order": share.of(torch.rand(size, codec.cells * codec.depth, generator=generator)),
            "progress": share.of(torch.rand(size, generator=generator)),
        }

    def judgement(self, estimate: Estimate | None) -> FaceJudgement:
        """Draws faces of held-out people as it learns, see `FaceJudgement`."""
        held_out = self.options.held_out
        pairs = self._pairs([Path(held_out)]) if held_out else self.pairs
        return FaceJudgement(pairs, self.config, estimate)

    def save(self, module: VQAUFaceLoss, folder: Path) -> None:
        files.save_vqauface(module.network, folder / files.MODEL_FILE)

    def _pairs(self, data: Sequence[Path]) -> ReferencePairs:
        options = self.options
        return ReferencePairs(
            data, self.config.codec.size, torch.initial_seed(), options.lanes, options.buffer
        )

    def _asked(self, labels: Sequence[dict], seeds: Sequence[int]) -> Tensor:
        config = self.config
        if config.driver == VECTOR:
            return torch.cat([aus_of(label, config).values for label in labels])
        texts = [text_of(label, config, s) for label, s in zip(labels, seeds, strict=True)]
        return self.module.network.text.tokenize(texts, config.text_limit)

    def _network(self) -> VQAUFace:
        options = self.options
        file = Path(options.codec)
        codec = files.load_codec(file / files.CODEC_FILE if file.is_dir() else file)
        named = (options.text_model, options.clip, options.recognition)
        if options.start:
            network = files.load_vqauface(options.start, *named).requires_grad_(True)
            if network.config.codec != codec.config:
                raise ValueError(
                    f"{options.start} draws codes of the codec {network.config.codec}, and "
                    f"{options.codec} is {codec.config}: name the codec that it was trained on"
                )
            for name in ("codec", *network.config.given):
                getattr(network, name).requires_grad_(False)
        else:
            given = files.given_networks(*named)
            config = self._config(codec.config, files.describe_given(given))
            network = VQAUFace(config, given)
        network.codec.load_state_dict(codec.state_dict())
        return network

    def _config(self, codec, given) -> VQAUFaceConfig:
        names = ("width", "layers", "heads", "group", "driver", "structure", "appearance",
                 "reference", "aligned", "intensity_words", "units", "sides")  # fmt: skip
        chosen = {name: getattr(self.options, name) for name in names}
        chosen = {k: v for k, v in chosen.items() if v is not None} | {"given": given}
        if self.options.sizes == "bundled":
            return bundled_config(codec, **chosen)
        return VQAUFaceConfig(codec=codec, words=bundled_config().words, **chosen)
