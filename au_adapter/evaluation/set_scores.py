"""The pictures of a run beside real ones, as two sets: FID, KID, and the Inception Score."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from ..data.pictures import PictureFolder, read_picture
from ..metrics import fid, inception_score, kid
from .report import ALL, METRICS, Line

FEWEST = 2  # pictures on each side
# Pictures [N, H, W, 3] in 0..1 -> features [N, D], or features and class scores [N, C].
SetNetwork = Callable[[Tensor], Tensor | tuple[Tensor, Tensor]]


def set_lines(
    pictures: Sequence[Path], real: PictureFolder, network: SetNetwork, name: str
) -> tuple[Line, ...]:
    """Lines of a report: FID and KID of pictures beside real ones, and the Inception Score of the
    pictures where the network gives class scores too.

    name: of the network, which belongs to the numbers as their count does. ValueError for fewer
    than two pictures on either side.
    """
    for files, what in ((pictures, "The run"), (real.files, str(real.path))):
        if len(files) < FEWEST:
            raise ValueError(f"{what} has {len(files)} pictures: FID and KID compare two sets")
    features, classes = _seen(pictures, network)
    wanted, _ = _seen(real.files, network)
    values = {"fid": fid(features, wanted), "kid": kid(features, wanted)[0]}
    if classes is not None:
        values["inception_score"] = inception_score(classes)[0]
    return tuple(
        Line(ALL, metric, value, *METRICS[metric], len(pictures), name)
        for metric, value in values.items()
    )


@torch.no_grad()
def _seen(files: Sequence[Path], network: SetNetwork) -> tuple[Tensor, Tensor | None]:
    """Features, and class scores where there are some, of pictures of any sizes."""
    found = [network(read_picture(file)) for file in files]
    if isinstance(found[0], Tensor):
        return torch.cat(found), None
    features, classes = zip(*found, strict=True)
    return torch.cat(features), torch.cat(classes)
