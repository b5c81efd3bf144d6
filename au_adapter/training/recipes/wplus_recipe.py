"""A small generator of StyleGAN2's form and an encoder of e4e's, learned together.

    au-adapter train --recipe wplus --data FACES --steps N --output DIR

Real ones are trained one after the other: the generator alone against a critic for weeks, then the
encoder on it. Here both are one autoencoder through W+, which a processor trains in hours: it draws
the faces that it was shown, and no faces from noise. `adversarial` adds a critic of patches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...models.e4e import E4E, E4EConfig
from ...models.patch_critic import PatchCritic, adversarial_loss
from ...models.siamese import SiameseAU, resized
from ...models.stylegan2 import StyleGAN2, StyleGAN2Config
from ...weights.aueditnet_files import load_siamese
from ...weights.tensors import weights_name
from ...weights.wplus_files import FILE, Framing, load_wplus, save_wplus
from ..aligned_faces import load_aligned, settle_statistics
from ..settings import ALIGNED, check_options

EDGE_WEIGHT = 2.0  # edges carry lids and lip lines, which an error of pixels hardly notices
FACE_WEIGHT = 3.0  # of the face beside what surrounds it
FACE = (slice(0.18, 0.92), slice(0.14, 0.86))  # rows and columns of it, in shares of the side


@dataclass(frozen=True)
class WPlusOptions:
    """Options of generator and encoder.

    channels: of the generator from 4 x 4 pixels up, a size for each. style: width of a row of W+.
    stages: channels of the encoder's four stages, all different. blocks: bottlenecks in each.
    seen: side of the pictures that the encoder reads, 16 x 2^n. zoom, lower: how faces are cut out,
    see `wplus_files.Framing`. start: a result whose networks learn on; sizes and framing are its.
    estimator: a Siamese estimator, whose features drawn and real pictures should share. features,
    adversarial: weights of that and of the critic beside the error of pixels.
    landmarker: for faces that were not rendered.
    """

    channels: Sequence[int] = (128, 128, 128, 96, 64, 32)
    style: int = 96
    stages: Sequence[int] = (32, 64, 96, 128)
    blocks: Sequence[int] = (2, 2, 3, 2)
    seen: int = 128
    zoom: float = 0.72
    lower: float = 0.35
    start: str | Path | None = None
    estimator: str | Path | None = None
    features: float = 1.0
    adversarial: float = 0.0
    landmarker: str | Path | None = None

    def __post_init__(self) -> None:
        for name in ("channels", "stages", "blocks"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        check_options(self, style=1, seen=32)
        if len(self.stages) != 4 or len(self.blocks) != 4 or len({*self.stages}) < 4:
            raise ValueError(
                f"stages and blocks are four numbers each, stages all different, not {self.stages} "
                f"and {self.blocks}"
            )

    def networks(self) -> tuple[StyleGAN2, E4E]:
        """New ones of these sizes."""
        generator = StyleGAN2Config(self.channels, self.style, mapping=0)
        stages = tuple(zip(self.stages, self.blocks, strict=True))
        encoder = E4EConfig(stages, self.style, generator.levels, self.seen, reduction=8)
        return StyleGAN2(generator), E4E(encoder)


class WPlusLoss(nn.Module):
    """Absolute error of pixels and of edges, the face weighing more, a critic's opinion, and the
    features of an estimator of AUs."""

    def __init__(
        self,
        generator: StyleGAN2,
        encoder: E4E,
        estimator: SiameseAU | None,
        features: float,
        adversarial: float,
    ):
        super().__init__()
        self.generator, self.encoder = generator, encoder
        self.estimator = estimator
        self.critic = PatchCritic() if adversarial else None
        self.weights = {"features": features, "adversarial": adversarial}
        self.register_buffer("face", face_weights(generator.config.size), persistent=False)

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        pictures = batch["pictures"]
        seen = resized(pictures, self.encoder.config.size)
        drawn = self.generator(self.encoder(seen)).float()
        error = drawn - pictures
        loss = (self.face * error.abs()).mean() + EDGE_WEIGHT * self._edges(error)
        if self.estimator is not None:
            stages = self.estimator.stages(drawn)
            with torch.no_grad():
                pairs = zip(stages, self.estimator.stages(pictures), strict=True)
            likeness = torch.stack([feature_distance(a, b) for a, b in pairs]).mean()
            loss = loss + self.weights["features"] * likeness
        if self.critic is not None:
            weight = self.weights["adversarial"]
            loss = loss + adversarial_loss(self.critic, pictures, drawn, weight)
        return loss

    def _edges(self, error: Tensor) -> Tensor:
        across = (self.face[:, 1:] * error.diff(dim=-1).abs()).mean()
        return across + (self.face[1:] * error.diff(dim=-2).abs()).mean()


def feature_distance(drawn: Tensor, real: Tensor) -> Tensor:
    """Squared distance of features [N, C, H, W] of unit length at every place, 0..4, as in LPIPS:
    the estimator's own scale does not matter."""
    apart = functional.normalize(drawn.float(), dim=1) - functional.normalize(real.float(), dim=1)
    return apart.square().sum(1).mean()


def face_weights(size: int) -> Tensor:
    """Weights [size, size] of pixels, more on the face, of mean 1."""
    weights = torch.ones(size, size)
    rows, columns = (slice(round(s.start * size), round(s.stop * size)) for s in FACE)
    weights[rows, columns] = FACE_WEIGHT
    return weights / weights.mean()


class WPlusRecipe:
    """Reads aligned faces from folders of faces."""

    Options = WPlusOptions
    settings = replace(
        ALIGNED, steps=10_000, decay_steps=4000, mixed_precision="bf16", save_every=250
    )

    def __init__(self, data: list[Path], options: WPlusOptions):
        self.framing = Framing(options.zoom, options.lower)
        generator, encoder = options.networks()
        if options.start:
            before = load_wplus(options.start)
            generator, encoder, self.framing = before.generator, before.encoder, before.framing
            for network in (generator, encoder):
                network.train().requires_grad_(True)
        estimator = load_siamese(options.estimator) if options.estimator else None
        self.faces = load_aligned(
            data, generator.config.size, self.framing, landmarker=options.landmarker
        )
        self.module = WPlusLoss(
            generator, encoder, estimator, options.features, options.adversarial
        )

    def batch(self, size: int, generator: torch.Generator) -> dict[str, Tensor]:
        pictures = self.faces.pictures(torch.randint(len(self.faces), (size,), generator=generator))
        # Labels are not used, so mirrored faces are more faces.
        if torch.rand((), generator=generator) < 0.5:
            pictures = pictures.flip(-1)
        return {"pictures": pictures}

    def save(self, module: WPlusLoss, folder: Path) -> None:
        config = module.generator.config
        described = {
            "kind": "ours",
            "space": weights_name(module.generator),
            "framing": asdict(self.framing),
        }
        settle_statistics(module.encoder, self.faces, module.encoder.config.size)
        mean = torch.zeros(config.levels, config.style)  # the encoder says it all
        save_wplus(folder / FILE, module.generator, module.encoder, mean, described)
