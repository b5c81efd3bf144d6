"""AUEditNet: AUs of codes in W+, of a generator and an encoder that stay as they are.

    au-adapter train --recipe aueditnet --data FACES --steps N --output DIR \\
        --set wplus=e4e_ffhq_encode.pt --set estimator=siamese.safetensors

The loss weights are not published; the defaults are ours. A loss whose network is not given is left
out, and the log says so.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ...facs import SET_A
from ...models.aueditnet import AUEditNet, AUEditNetConfig, label_loss, with_intensities
from ...models.ir_se import ArcFace
from ...models.siamese import SiameseAU, pretrained_loss, resized
from ...models.stylegan2 import StyleGAN2
from ...weights.aueditnet_files import EDITOR, FILES, load_siamese, save_aueditnet
from ...weights.wplus_files import Framing, load_arcface, load_wplus
from ..aligned_faces import SubjectRows, cached_codes, load_aligned
from ..editing_losses import PerceptualLoss, arcface_view, identity_loss, pixel_loss
from ..settings import ALIGNED, check_options, require_word

logger = logging.getLogger("au_adapter")
BRANCHES = ("dual", "single")
RELAXED = 1.0  # the most that the AUs of a face may sum up to that stands for neutral


# The losses of Eq. 4 and, which is not in the paper, how far G(W_N) is from a picture in which the
# person shows no AU, by Eq. 5 and Eq. 6; and the networks that some need.
LOSSES = {
    "reconstruction": "", "perceptual": "vgg", "pretrained": "estimator", "identity": "arcface",
    "label": "", "neutral": "",
}  # fmt: skip


@dataclass(frozen=True)
class AUEditNetOptions:
    """Options of AUEditNet.

    wplus: the file of generator and encoder, or of the generator, with encoder in another.
    estimator: F_pre, of the recipe siamese; vgg: torchvision's vgg16, for L_P; arcface:
    model_ir_se50.pth, for L_ID. *_weight: see `LOSSES`. branch: "dual", or "single", the paper's
    ablation, whose target is made of the source's own embedding.
    levels, width, hidden, layers, labels, shared, hard: see `models.aueditnet.AUEditNetConfig`; no
    levels are all. landmarker: for faces that were not rendered.
    """

    wplus: str | Path
    estimator: str | Path | None = None
    encoder: str | Path | None = None
    vgg: str | Path | None = None
    arcface: str | Path | None = None
    reconstruction_weight: float = 8.0
    perceptual_weight: float = 0.8
    pretrained_weight: float = 0.5
    identity_weight: float = 0.1
    label_weight: float = 1.0
    neutral_weight: float = 0.0
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
        require_word("branch", self.branch, BRANCHES)
        check_options(self, width=1, hidden=1)

    def weights(self) -> dict[str, float]:
        """Of the losses; those without a network are 0."""
        found = {loss: getattr(self, f"{loss}_weight") for loss in LOSSES}
        for loss, network in LOSSES.items():
            if network and found[loss] and getattr(self, network) is None:
                logger.info("the %s loss is left out: set %s=FILE for it", loss, network)
                found[loss] = 0.0
        return found


class AUEditNetLoss(nn.Module):
    """Eq. 4 for pairs of one person and a picture of another.

    estimator, perceptual, arcface: the frozen networks of the losses, None for one that is left
    out. framing: how faces stand. weights: of the losses, by name.
    """

    def __init__(
        self,
        editor: AUEditNet,
        generator: StyleGAN2,
        estimator: SiameseAU | None,
        perceptual: PerceptualLoss | None,
        arcface: ArcFace | None,
        framing: Framing,
        weights: dict[str, float],
        dual: bool,
    ):
        super().__init__()
        self.editor, self.generator, self.estimator = editor, generator, estimator
        self.perceptual, self.arcface, self.framing = perceptual, arcface, framing
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
        wanted = with_intensities(editor, base, batch["target_aus"])
        drawn = self._drawn(editor.moved(batch["codes"], seen, wanted), batch)
        loss = self._likeness(drawn, batch["target"], batch["source"])
        loss = loss + weights["label"] * label_loss(editor, seen, batch["aus"])
        if weights["identity"] or weights["neutral"]:
            relaxed = self._drawn(editor.neutral(batch["codes"], seen), batch)
            loss = loss + self._neutral(relaxed, batch)
            loss = loss + weights["identity"] * self._identity((drawn, relaxed), batch["target"])
        return loss

    def _drawn(self, codes: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """What the generator makes of codes, at the size of the real pictures."""
        return resized(self.generator(codes).float(), batch["target"].shape[-1])

    def _likeness(self, drawn: Tensor, target: Tensor, source: Tensor) -> Tensor:
        """L_R, L_P and L_F of pictures [N, 3, S, S], each mean over the batch."""
        weights = self.weights
        loss = weights["reconstruction"] * pixel_loss(drawn, target)
        if weights["perceptual"]:
            loss = loss + weights["perceptual"] * self.perceptual(drawn, target)
        if weights["pretrained"]:
            stages = self.estimator.stages(drawn)
            with torch.no_grad():
                wanted, before = (self.estimator.stages(p) for p in (target, source))
                change = self.estimator.compare(wanted, before)
            seen = self.estimator.compare(stages, before)
            loss = loss + weights["pretrained"] * pretrained_loss(stages, wanted, seen, change)
        return loss

    def _neutral(self, relaxed: Tensor, batch: dict[str, Tensor]) -> Tensor:
        known = batch["neutral_known"]
        if not self.weights["neutral"] or not known.any():
            return relaxed.new_zeros(())
        rows = (relaxed[known], batch["neutral"][known], batch["source"][known])
        return self.weights["neutral"] * known.float().mean() * self._likeness(*rows)

    def _identity(self, faces: tuple[Tensor, ...], target: Tensor) -> Tensor:
        if not self.weights["identity"]:
            return target.new_zeros(())
        *drawn, wanted = (self.arcface(arcface_view(p, self.framing)) for p in (*faces, target))
        return identity_loss(tuple(drawn), wanted)


class AUEditNetRecipe:
    """Reads faces of several people, at the encoder's size, and inverts each once."""

    Options = AUEditNetOptions
    settings = ALIGNED
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
        judges = (
            load_siamese(options.estimator) if weights["pretrained"] else None,
            PerceptualLoss(options.vgg) if weights["perceptual"] else None,
            load_arcface(options.arcface) if weights["identity"] else None,
        )
        self.module = AUEditNetLoss(
            self._editor(options),
            wplus.generator,
            *judges,
            wplus.framing,
            weights,
            dual=options.branch == "dual",
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
