"""What stage I of VQ-AUFace minimises; the paper gives no weights, so they are ours.

The formulas are lost in the published text and rebuilt from its words and from what it cites.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call

from .codec import ResidualVQGAN
from .discriminator import PatchDiscriminator, discriminator_loss, generator_loss

LARGEST_BALANCE = 1e4  # VQGAN's limit

Features = Callable[[Tensor], Tensor]  # differentiable, of pictures [N, 3, H, W] in 0..1
# Vectors [N, L, C] -> the vectors that their codes add up to, with the gradient passed through, and
# the commitment loss of each pass [depth].
Quantise = Callable[[Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class LossWeights:
    """How much each term counts; 0 switches it off.

    edges: of the error's differences between neighbouring pixels, ours. adversarial: as a share of
    the reconstruction's gradient, see `balance`. perceptual, anatomical: Eq. 6 and 5.
    """

    commitment: float = 0.25
    edges: float = 0.0
    adversarial: float = 0.8
    perceptual: float = 1.0
    anatomical: float = 1.0


def reconstruction_loss(pictures: Tensor, rebuilt: Tensor) -> Tensor:
    """L_rec = |x - G(q)|, VQ-AUFace Eq. 1, by mean."""
    return (pictures - rebuilt).abs().mean()


def commitment_loss(passes: Tensor) -> Tensor:
    """L_commit = sum over d of || z - sg(z_hat_d) ||^2, z_hat_d the sum of the first d codes;
    VQ-AUFace Eq. 2, as in RQ-VAE. passes [depth]: each || residual_(d-1) - sg(code_d) ||^2, which
    is the same by the definition of the residual."""
    return passes.sum()


def feature_loss(features: Features, pictures: Tensor, rebuilt: Tensor) -> Tensor:
    """|| M(x) - M(x_hat) ||^2 by mean: VQ-AUFace Eq. 5 with the features of an AU network (the
    paper's: ME-GraphAU without its last layer), Eq. 6 with VGG16's (without its last two).
    Pictures are -1..1."""
    with torch.no_grad():
        wanted = features(pictures / 2 + 0.5)
    return (features(rebuilt / 2 + 0.5) - wanted).square().mean()


def edge_loss(pictures: Tensor, rebuilt: Tensor) -> Tensor:
    """Absolute error of the differences between neighbouring pixels, across and down: lids and lip
    lines are a small part of L_rec. Ours."""
    error = pictures - rebuilt
    return error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()


def balance(reference: Tensor, adversarial: Tensor, layer: Tensor) -> Tensor:
    """VQGAN's adaptive weight (Esser et al. 2021, Eq. 7): by what the second loss is multiplied so
    that its gradient at the last layer is as long as the first one's."""
    ours, theirs = (
        torch.autograd.grad(loss, layer, retain_graph=True)[0].norm()
        for loss in (reference, adversarial)
    )
    return (ours / (theirs + 1e-4)).clamp(0, LARGEST_BALANCE).detach()


class CodecLoss(nn.Module):
    """The codec with all that teaches it. Of one batch, the codec learns from the discriminator
    as it is, and the discriminator from the reconstructions as they are: the two steps that the
    paper alternates."""

    def __init__(
        self,
        codec: ResidualVQGAN,
        quantise: nn.Module,
        weights: LossWeights,
        discriminator: PatchDiscriminator | None = None,
        perceptual: Features | None = None,
        anatomical: Features | None = None,
    ):
        """quantise: see `Quantise`. perceptual, anatomical: frozen; None leaves the term out."""
        super().__init__()
        self.codec, self.quantise, self.weights = codec, quantise, weights
        self.discriminator = discriminator
        self.perceptual, self.anatomical = perceptual, anatomical

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """batch: "pictures" [N, 3, H, W] in -1..1, and the switches bool [N], alike in all rows:
        "quantised", else vectors stay as they are; "judged", by the discriminator; "anatomy"."""
        pictures = batch["pictures"]
        vectors = self.codec.encode_vectors(pictures).float()
        loss = vectors.new_zeros(())
        if batch["quantised"].any():
            with torch.autocast(vectors.device.type, enabled=False):
                vectors, passes = self.quantise(vectors)
            loss = self.weights.commitment * commitment_loss(passes)
        rebuilt = self.codec.decode_vectors(vectors).float()
        seen = self._seen(pictures, rebuilt)
        if self.anatomical and self.weights.anatomical and batch["anatomy"].any():
            term = feature_loss(self.anatomical, pictures, rebuilt)
            loss = loss + self.weights.anatomical * term
        if self.discriminator and batch["judged"].any():
            loss = loss + self._adversarial(pictures, rebuilt, seen)
        return loss + seen

    def _seen(self, pictures: Tensor, rebuilt: Tensor) -> Tensor:
        loss = reconstruction_loss(pictures, rebuilt)
        if self.weights.edges:
            loss = loss + self.weights.edges * edge_loss(pictures, rebuilt)
        if self.perceptual and self.weights.perceptual:
            loss = loss + self.weights.perceptual * feature_loss(self.perceptual, pictures, rebuilt)
        return loss

    def _adversarial(self, pictures: Tensor, rebuilt: Tensor, seen: Tensor) -> Tensor:
        """Both players' losses; the codec's goes through a discriminator that does not learn."""
        still = {name: weight.detach() for name, weight in self.discriminator.named_parameters()}
        ours = generator_loss(functional_call(self.discriminator, still, (rebuilt,)))
        if torch.is_grad_enabled():
            ours = ours * balance(seen, ours, self.codec.last_layer)
        judged = self.discriminator(torch.cat([pictures, rebuilt.detach()])).chunk(2)
        return self.weights.adversarial * ours + discriminator_loss(*judged)
