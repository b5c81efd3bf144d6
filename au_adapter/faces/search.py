"""Windows in which the detector looks: the whole picture, then smaller ones for smaller faces.

The detector sees a picture at 128 or 192 pixels, so a face must fill about a fifth or a tenth of
it. Each further level uses windows of half the side that overlap by half, so a face smaller than
half a window lies completely in one of them.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .detector import Detections, FaceDetector, overlaps
from .picture_checks import BATCH

OVERLAP_OF_WINDOWS = 0.3  # above which two boxes of different windows are one face


def search(
    detector: FaceDetector, images: Tensor, chosen: list[int], minimum: float, levels: int
) -> list[Detections]:
    """The faces in each chosen picture of images [N, H, W, 3], 0..1, most confident first.

    With one level this is what the detector finds in the whole picture, as MediaPipe does.
    """
    height, width = images.shape[1:3]
    frames = windows(height, width, levels)
    jobs = [(picture, frame) for picture in chosen for frame in frames]
    found: list[Detections] = []
    for start in range(0, len(jobs), BATCH):
        pictures, boxes = zip(*jobs[start : start + BATCH], strict=True)
        found += detector(images, list(pictures), torch.stack(boxes), minimum)
    if levels == 1:
        return found
    pairs = zip(jobs, found, strict=True)
    whole = [_whole_faces(faces, frame, height, width) for (_, frame), faces in pairs]
    groups = range(0, len(jobs), len(frames))
    return [_merge(whole[start : start + len(frames)]) for start in groups]


def windows(height: int, width: int, levels: int) -> Tensor:
    """Square windows [K, 5] (boxes, see crop.py): the smallest around the picture, then smaller."""
    if levels < 1:
        raise ValueError(f"levels is {levels}, expected 1 or more")
    rows = []
    for level in range(levels):
        side = max(height, width) / 2**level
        for y in _centres(height, side):
            rows += [[x, y, side, side, 0.0] for x in _centres(width, side)]
    return torch.tensor(rows)


def _centres(length: int, side: float) -> list[float]:
    """Centres, evenly spread, of windows that cover a length and overlap by half or more."""
    if length <= side:
        return [length / 2]
    count = math.ceil((length - side) / (side / 2)) + 1
    return torch.linspace(side / 2, length - side / 2, count).tolist()


def _whole_faces(faces: Detections, window: Tensor, height: int, width: int) -> Detections:
    """Drop faces that a window's edge may have cut; the picture's own edge does not count."""
    low, high = window[:2] - window[2] / 2, window[:2] + window[2] / 2
    at_start, at_end = low < 1, high > window.new_tensor([width, height]) - 1
    starts_inside = (faces.boxes[:, :2] > low) | at_start
    ends_inside = (faces.boxes[:, 2:] < high) | at_end
    return faces.only((starts_inside & ends_inside).all(-1))


def _merge(parts: list[Detections]) -> Detections:
    """The faces of all windows; of overlapping ones the most confident stays."""
    names = ("boxes", "keypoints", "scores")
    faces = Detections(*(torch.cat([getattr(part, name) for part in parts]) for name in names))
    faces = faces.only(faces.scores.argsort(descending=True, stable=True))
    return faces.only(torch.tensor(distinct(faces.boxes, OVERLAP_OF_WINDOWS), dtype=torch.long))


def distinct(boxes: Tensor, overlap: float) -> list[int]:
    """Indices of boxes [K, 4], most confident first, that overlap no earlier kept one by more."""
    kept: list[int] = []
    for index, box in enumerate(boxes):
        if not (overlaps(box, boxes[kept]) > overlap).any():
            kept.append(index)
    return kept
