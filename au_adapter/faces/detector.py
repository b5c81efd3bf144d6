"""Finds faces: BlazeFace (Bazarevsky et al. 2019), short range (128 pixels) and full range (192).

Decoding and the weighted non-maximum suppression are MediaPipe's: see ssd_anchors_calculator,
tensors_to_detections_calculator and non_max_suppression_calculator in its repository.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .crop import cut, to_picture
from .executor import TFLiteNetwork

# By the network's input size: (pixels between anchors, anchors at each position), and the overlap
# above which two boxes are one face.
ANCHORS = {128: ((8, 2), (16, 6)), 192: ((4, 1),)}
OVERLAP_IN_WINDOW = {128: 0.5, 192: 0.3}
LOGIT_LIMIT = 100.0
KEYPOINTS = ("right eye", "left eye", "nose tip", "mouth", "right ear", "left ear")


@dataclass(frozen=True, eq=False)
class Detections:
    """K faces of one picture, most confident first. In pixels: boxes [K, 4] = x0 y0 x1 y1 and
    keypoints [K, 6, 2] (KEYPOINTS; right is the subject's). scores [K] in 0..1."""

    boxes: Tensor
    keypoints: Tensor
    scores: Tensor

    def __len__(self) -> int:
        return len(self.scores)

    def only(self, which: Tensor) -> Detections:
        """The faces that an index or mask [K] selects."""
        return Detections(self.boxes[which], self.keypoints[which], self.scores[which])


class FaceDetector(nn.Module):
    """Boxes of the faces in pictures."""

    def __init__(self, network: TFLiteNetwork):
        super().__init__()
        size = network.input_size
        if size not in ANCHORS or len(network.graph.outputs) != 2:
            raise ValueError(
                f"This is not a face detector known here: it takes pictures of {size} pixels, "
                f"expected {' or '.join(map(str, ANCHORS))}"
            )
        self.network = network
        self.anchors = anchors(size)

    def forward(
        self, images: Tensor, chosen: list[int], windows: Tensor, minimum: float
    ) -> list[Detections]:
        """Faces with a score of at least `minimum`, in window i of windows [K, 5] (boxes, see
        crop.py) of picture chosen[i] of images [N, H, W, 3], 0..1."""
        size = self.network.input_size
        squares = cut(images, chosen, windows, size, "black").to(self.network.device)
        values, logits = self.network(2 * squares - 1)
        scores = logits[..., 0].clamp(-LOGIT_LIMIT, LOGIT_LIMIT).sigmoid().cpu()
        points = to_picture(self._decode(values.cpu()).flatten(1, 2), windows)
        points = points.reshape(len(chosen), -1, 8, 2)
        pairs = zip(points, scores, strict=True)
        return [_separate(*pair, minimum, OVERLAP_IN_WINDOW[size]) for pair in pairs]

    def _decode(self, values: Tensor) -> Tensor:
        """Outputs [N, A, 16] -> two corners and six keypoints [N, A, 8, 2], 0..1 across the square.

        The network gives a centre, a size and six points, in pixels, relative to each anchor.
        """
        pairs = values.reshape(*values.shape[:2], 8, 2) / self.network.input_size
        anchor = self.anchors[:, None]
        centre, half = pairs[:, :, :1] + anchor, pairs[:, :, 1:2] / 2
        return torch.cat([centre - half, centre + half, pairs[:, :, 2:] + anchor], 2)


def anchors(size: int) -> Tensor:
    """Centres [A, 2] of the anchors, x and y in 0..1, for a network of that input size."""
    grids = []
    for stride, count in ANCHORS[size]:
        line = (torch.arange(size // stride) + 0.5) / (size // stride)
        grids.append(torch.cartesian_prod(line, line).flip(-1).repeat_interleave(count, 0))
    return torch.cat(grids)


def _separate(points: Tensor, scores: Tensor, minimum: float, overlap: float) -> Detections:
    """Drop what scores below `minimum`, [A, 8, 2] and [A], and merge boxes of the same face.

    A merged face is the mean, weighted by score, of all boxes that overlap its best one.
    """
    upright = (points[:, 1] > points[:, 0]).all(-1)
    order = scores.argsort(descending=True, stable=True)
    order = order[((scores >= minimum) & upright)[order]]
    points, scores = points[order], scores[order]
    merged, best = [], []
    while len(scores):
        same = overlaps(points[0, :2].reshape(4), points[:, :2].reshape(-1, 4)) > overlap
        same[0] = True
        weights = scores[same, None, None]
        merged.append((points[same] * weights).sum(0) / weights.sum())
        best.append(scores[0])
        points, scores = points[~same], scores[~same]
    points = torch.stack(merged) if merged else points
    scores = torch.stack(best) if best else scores
    return Detections(points[:, :2].reshape(-1, 4), points[:, 2:], scores)


def overlaps(box: Tensor, boxes: Tensor) -> Tensor:
    """Intersection over union of one box [4] with each of [K, 4] -> [K] in 0..1."""
    low = torch.maximum(box[:2], boxes[:, :2])
    high = torch.minimum(box[2:], boxes[:, 2:])
    common = (high - low).clamp(min=0).prod(-1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(-1)
    return common / (areas + (box[2:] - box[:2]).prod() - common)
