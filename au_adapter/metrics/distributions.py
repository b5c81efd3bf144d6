"""Sets of pictures: FID and KID of two, the Inception Score of one, all by torchmetrics."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from . import checks
from .embeddings import Encode, embed

INCEPTION = (
    "InceptionV3's 2048 pooled features of the TensorFlow weights of 2015 (package torch-fidelity, "
    "weights pt_inception-2015-12-05)"
)


def fid(images: Tensor, references: Tensor, encode: Encode | None = None) -> float:
    """Frechet Inception Distance of two sets of pictures, >= 0. Lower is better.

        |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^1/2),  m, C: mean and covariance of the features

    images [N, H, W, 3] and references [M, H, W, 3] with `encode`, or their features [N, D], [M, D].
    The number belongs to its features, resizing and N: with fewer pictures than features it is
    biased upwards. Heusel et al. 2017, Eq. 6; VQ-AUFace, table 3, with 2,000 samples.
    """
    first, second = _features("fid", images, references, encode)
    module = checks.optional("fid", "torchmetrics.image.fid")
    metric = module.FrechetInceptionDistance(feature=_Ready(first.shape[1]))
    # The metric keeps its sums in double precision, as our features are.
    metric.update(second, real=True)
    metric.update(first, real=False)
    return metric.compute().item()


def kid(
    images: Tensor,
    references: Tensor,
    encode: Encode | None = None,
    subsets: int = 100,
    subset_size: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """Kernel Inception Distance of two sets: mean and standard deviation over subsets.

        unbiased MMD^2 with the kernel (x.y / D + 1)^3; about 0 for one distribution, and may be < 0

    Inputs as for `fid`. Sets with fewer than `subset_size` pictures are taken whole. Binkowski et
    al. 2018, section 4; VQ-AUFace, table 3.
    """
    first, second = _features("kid", images, references, encode)
    module = checks.optional("kid", "torchmetrics.image.kid")
    size = min(subset_size, len(first), len(second))
    metric = module.KernelInceptionDistance(
        feature=_Ready(first.shape[1]), subsets=subsets, subset_size=size
    )
    metric.update(second, real=True)
    metric.update(first, real=False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        mean, deviation = metric.compute()
    return mean.item(), deviation.item()


def inception_score(logits: Tensor, splits: int = 10, seed: int = 0) -> tuple[float, float]:
    """Inception Score of a set of pictures, >= 1: mean and standard deviation over splits, NaN of
    one split.

        exp(E KL(p(y | x) || p(y))),  p(y): the mean of p(y | x) over the pictures of a split

    logits: the class scores [N, C] that a classifier gives the pictures, before the softmax; each
    split takes N / splits pictures. Higher is better. Salimans et al. 2016, section 4.
    """
    scores = embed("inception_score", logits, None, INCEPTION).float()
    module = checks.optional("inception_score", "torchmetrics.image.inception")
    splits = min(splits, len(scores))
    metric = module.InceptionScore(feature=_Ready(scores.shape[1]), splits=splits)
    metric.update(scores)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # torchmetrics shuffles the pictures
        mean, deviation = metric.compute()
    return mean.item(), deviation.item()


class _Ready(nn.Module):
    """Stands where torchmetrics expects the network: the features come ready."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.num_features = width

    def forward(self, features: Tensor) -> Tensor:
        return features


def _features(
    metric: str, images: Tensor, references: Tensor, encode: Encode | None
) -> tuple[Tensor, Tensor]:
    first, second = (embed(metric, side, encode, INCEPTION) for side in (images, references))
    if first.shape[1] != second.shape[1] or min(len(first), len(second)) < 2:
        raise ValueError(
            f"{metric} needs two or more pictures on each side and features of one width, found "
            f"{list(first.shape)} and {list(second.shape)}"
        )
    return first, second
