"""AUEditNet: AUs of codes in W+, of a generator and an encoder that stay as they are.

    au-adapter train --recipe aueditnet --data FACES --steps N --output DIR \\
        --set wplus=e4e_ffhq_encode.pt --set estimator=siamese.safetensors

The loss weights are not published; the defaults are ours. A loss whose network is not given is left
out, and the log says so.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import torch
from torch import Tensor, nn

from ...facs import SET_A
from ...models.aueditnet import (
    AUEditNet,
    AUEditNetConfig,
    Embedded,
    label_loss,
    with_intensities,
)
from ...models.ir_se import ArcFace
from ...models.siamese import SiameseAU, pretrained_loss, resized
from ...models.stylegan2 import StyleGAN2
from ...weights.aueditnet_files import EDITOR, FILES, load_siamese, save_aueditnet
from ...weights.wplus_files import Framing, load_arcface, load_wplus
from ..aligned_faces import SubjectRows, cached_codes, load_aligned
from ..editing_losses import PerceptualLoss, arcface_view, identity_loss, pixel_loss
from ..settings import Settings, require_number, require_switch

logger = logging.getLogger("au_adapter")
BRANCHES = ("dual", "single")
RELAXED = 1.0  # the most that the AUs of a face may sum up to that stands for neutral
SETTINGS = Settings(
    steps=20_000,
    batch_size=8,
    learning_rate=1e-3,
    weight_decay=0.0,
    warmup_steps=200,
    decay_steps=8000,
    average_decay=0.998,
)


@dataclass(frozen=True)
class Weights:
    """The weights of Eq. 4, and of what is not in the paper: how far G(W_N) is from a picture in
    which the person shows no AU, by Eq. 5 and Eq. 6."""

    reconstruction: float = 8.0
    perceptual: float = 0.8
    pretrained: float = 0.5
    identity: float = 0.1
    label: float = 1.0
    neutral: float = 0.0


@dataclass(frozen=True)
class AUEditNetOptions:
    """Options of AUEditNet.

    wplus: the file of generator and encoder, or of the generator, with encoder in another.
    estimator: F_pre, of the recipe siamese; vgg: torchvision's vgg16, for L_P; arcface:
    model_ir_se50.pth, for L_ID. *_weight: see `Weights`. branch: "dual", or "single", the paper's
    ablation, whose target is made of the source's own embedding.
    levels, width, hidden, layers, labels, shared, hard: see `models.aueditnet.AUEditNetConfig`; no
    levels are all. landmarker: for faces that were not rendered.
    """

    wplus: str | Path
    estimator: str | Path | None = None
    encoder: str | Path | None = None
    vgg: str | Path | None = None
    arcface: str | Path | None = None
    reconstruction_weight: float = Weights.reconstruction
    perceptual_weight: float = Weights.perceptual
    pretrained_weight: float = Weights.pretrained
    identity_weight: float = Weights.identity
    label_weight: float = Weights.label
    neutral_weight: float = Weights.neutral
    branch: str = "dual"
    levels: Sequence[int] = ()
    width: int = 512
    hidden: int = 512
    layers: int = 2
    labels: int = 64
    shared: bool = True
    hard: bool = False
    landmarker: str | Path | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "levels", tuple(self.levels))
        if self.branch not in BRANCHES:
            raise ValueError(f"branch is one of {', '.join(BRANCHES)}, not {self.branch!r}")
        for weight in fields(Weights):
            name = f"{weight.name}_weight"
            require_number(name, getattr(self, name), 0, fraction=True)
        for name, least in (("width", 1), ("hidden", 1), ("layers", 0), ("labels", 0)):
            require_number(name, getattr(self, name), least)
        for name in ("shared", "hard"):
            require_switch(name, getattr(self, name))

    def weights(self) -> Weights:
        """Of the losses; those without a network are 0."""
        found = {f.name: getattr(self, f"{f.name}_weight") for f in fields(Weights)}
        needed = {"perceptual": "vgg", "pretrained": "estimator", "identity": "arcface"}
        for loss, network in needed.items():
            if found[loss] and getattr(self, network) is None:
                logger.info("the %s loss is left out: set %s=FILE for it", loss, network)
                found[loss] = 0.0
        return Weights(**found)


@dataclass(frozen=True)
class Judges:
    """The frozen networks of the losses, None for one that is left out, and how faces stand."""

    estimator: SiameseAU | None
    perceptual: PerceptualLoss | None
    arcface: ArcFace | None
    framing: Framing


class AUEditNetLoss(nn.Module):
    """Eq. 4 for pairs of one person and a picture of another."""

    def __init__(
        self, editor: AUEditNet, generator: StyleGAN2, judges: Judges, weights: Weights, dual: bool
    ):
        super().__init__()
        self.editor, self.generator = editor, generator
        self.estimator, self.perceptual = judges.estimator, judges.perceptual
        self.arcface, self.framing = judges.arcface, judges.framing
        self.weights, self.dual = weights, dual

    def train(self, mode: bool = True) -> AUEditNetLoss:
        """Frozen networks stay in evaluation mode."""
        super().train(mode)
        for part in (self.generator, self.estimator, self.perceptual, self.arcface):
            if part is not None:
                part.eval()
        return self

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        editor, weights = self.editor, self.weights
        seen = editor.embed(batch["codes"])
        # The dual branch: what somebody else does not share with the source cannot pass (3.2).
        base = editor.embed(batch["other_codes"]) if self.dual else seen
        drawn = self._drawn(editor.moved(batch["codes"], seen, self._target(base, batch)), batch)
        loss = self._likeness(drawn, batch["target"], batch["source"])
        loss = loss + weights.label * label_loss(editor, seen, batch["aus"])
        if weights.identity or weights.neutral:
            relaxed = self._drawn(editor.neutral(batch["codes"], seen), batch)
            loss = loss + self._neutral(relaxed, batch)
            loss = loss + weights.identity * self._identity((drawn, relaxed), batch["target"])
        return loss

    def _target(self, base: Embedded, batch: dict[str, Tensor]) -> Tensor:
        return with_intensities(self.editor, base, batch["target_aus"])

    def _drawn(self, codes: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """What the generator makes of codes, at the size of the real pictures."""
        return resized(self.generator(codes).float(), batch["target"].shape[-1])

    def _likeness(self, drawn: Tensor, target: Tensor, source: Tensor) -> Tensor:
        """L_R, L_P and L_F of pictures [N, 3, S, S], each mean over the batch."""
        weights = self.weights
        loss = weights.reconstruction * pixel_loss(drawn, target)
        if weights.perceptual:
            loss = loss + weights.perceptual * self.perceptual(drawn, target)
        if weights.pretrained:
            stages = self.estimator.stages(drawn)
            with torch.no_grad():
                wanted, before = (self.estimator.stages(p) for p in (target, source))
                change = self.estimator.compare(wanted, before)
            seen = self.estimator.compare(stages, before)
            loss = loss + weights.pretrained * pretrained_loss(stages, wanted, seen, change)
        return loss

    def _neutral(self, relaxed: Tensor, batch: dict[str, Tensor]) -> Tensor:
        known = batch["neutral_known"]
        if not self.weights.neutral or not known.any():
            return relaxed.new_zeros(())
        rows = (relaxed[known], batch["neutral"][known], batch["source"][known])
        return self.weights.neutral * known.float().mean() * self._likeness(*rows)

    def _identity(self, faces: tuple[Tensor, ...], target: Tensor) -> Tensor:
        if not self.weights.identity:
            return target.new_zeros(())
        *drawn, wanted = (self.arcface(arcface_view(p, self.framing)) for p in (*faces, target))
        return identity_loss(tuple(drawn), wanted)


class AUEditNetRecipe:
    """Reads faces of several people, at the encoder's size, and inverts each once."""

    Options = AUEditNetOptions
    settings = SETTINGS
    units = SET_A

    def __init__(self, data: list[Path], options: AUEditNetOptions):
        wplus, weights = load_wplus(options.wplus, options.encoder), options.weights()
        size = wplus.encoder.config.size
        self.faces = load_aligned(data, size, wplus.framing, SET_A, options.landmarker)
        self.people = SubjectRows(self.faces)
        self.neutral_row = self.people.most_neutral(self.faces.aus)
        self.neutral_known = self.faces.aus[self.neutral_row].sum(1) <= RELAXED
        self.codes = cached_codes(self.faces, wplus, Path(data[0]) / "cache")
        self.space = wplus.space
        judges = Judges(
            load_siamese(options.estimator) if weights.pretrained else None,
            PerceptualLoss(options.vgg) if weights.perceptual else None,
            load_arcface(options.arcface) if weights.identity else None,
            wplus.framing,
        )
        self.module = AUEditNetLoss(
            self._editor(options), wplus.generator, judges, weights, options.branch == "dual"
        )

    def _editor(self, options: AUEditNetOptions) -> AUEditNet:
        rows, style = self.codes.shape[1:]
        levels = options.levels or tuple(range(rows))
        if not set(levels) <= set(range(rows)) or len({*levels}) < len(levels):
            raise ValueError(f"levels are some of 0 to {rows - 1}, each once, not {levels}")
        names = ("width", "hidden", "layers", "labels", "shared", "hard")
        sizes = {name: getattr(options, name) for name in names}
        editor = AUEditNet(AUEditNetConfig(SET_A, levels, style, **sizes))
        edited = self.codes[:, list(levels)]
        editor.mean.copy_(edited.mean(0))
        editor.deviation.copy_(edited.std(0).clamp(min=1e-4))
        return editor

    def batch(self, size: int, generator: torch.Generator) -> dict[str, Tensor]:
        source, target, other = self.people.draw(size, generator)
        neutral = self.neutral_row[source]
        return {
            "codes": self.codes[source],
            "other_codes": self.codes[other],
            "aus": self.faces.aus[source],
            "target_aus": self.faces.aus[target],
            "source": self.faces.pictures(source),
            "target": self.faces.pictures(target),
            "neutral": self.faces.pictures(neutral),
            "neutral_known": self.neutral_known[source],
        }

    def save(self, module: AUEditNetLoss, folder: Path) -> None:
        save_aueditnet(module.editor, folder / FILES[EDITOR], self.space)
