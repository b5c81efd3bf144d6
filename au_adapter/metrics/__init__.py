"""The metrics of the four papers, each defined once with its equation, paper and range.

A metric of a set of pictures (au_mse, icc_3_1, aaad, fid, kid, inception_score, linearity) gives
one answer. A metric of one picture and its reference (clip_i, identity_l2, identity_cosine,
background_rmse, person_rmse, picture_rmse, head_pose_rmse, lpips) gives float32 [N], one number a
picture, for the caller to average. Intensities are 0..5, pictures float32 [N, H, W, 3] in 0..1.
Nothing here loads a network by itself: embeddings come ready, or with the function that makes them.
NaN is refused: a caller leaves out the faces that were not found, and counts them.

The papers' figures cannot be compared with one another: each has its estimator, scale and task.
"""

from .aaad import AAAD, aaad
from .agreement import (
    Linearity,
    UnitScore,
    au_mse,
    au_mse_change,
    change_target,
    icc_3_1,
    linearity,
    mean_score,
    per_unit,
)
from .distributions import fid, inception_score, kid
from .embeddings import clip_i, identity_cosine, identity_l2
from .perceptual import lpips, lpips_network
from .preservation import background_rmse, head_pose_rmse, person_rmse, picture_rmse

__all__ = [
    "AAAD", "Linearity", "UnitScore", "aaad", "au_mse", "au_mse_change", "background_rmse",
    "change_target", "clip_i", "fid", "head_pose_rmse", "icc_3_1", "identity_cosine", "identity_l2",
    "inception_score", "kid", "linearity", "lpips", "lpips_network", "mean_score", "per_unit",
    "person_rmse", "picture_rmse",
]  # fmt: skip
