"""478 points on a face: Face Mesh V2 (256 pixels), the successor of Attention Mesh.

The crop is MediaPipe's: the detector's box times 1.5, rotated so that the eyes are level.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .crop import cut
from .detector import Detections
from .executor import TFLiteNetwork

POINT_COUNT = 478
ENLARGEMENT = 1.5


class FaceMesh(nn.Module):
    """Points on faces."""

    def __init__(self, network: TFLiteNetwork):
        super().__init__()
        outputs = network.graph.shapes[network.graph.outputs[0]]
        if outputs[-1] != 3 * POINT_COUNT:
            raise ValueError(
                f"This is not the face mesh known here: it gives {outputs[-1]} numbers, "
                f"expected {3 * POINT_COUNT} for {POINT_COUNT} points"
            )
        self.network = network

    def forward(self, images: Tensor, chosen: list[int], boxes: Tensor) -> tuple[Tensor, Tensor]:
        """Read box i of boxes [F, 5] in picture chosen[i] of images [N, H, W, 3], 0..1.

        Returns points [F, 478, 3], and the probability [F] that a face is there. Points are in 0..1
        across the box; the depth, in the same unit, grows away from the camera and is about 0 in
        the middle of the head.
        """
        size = self.network.input_size
        crops = cut(images, chosen, boxes, size, "edge").to(self.network.device)
        values, presence, *_ = self.network(crops)
        return values.reshape(-1, POINT_COUNT, 3).cpu() / size, presence.reshape(-1).sigmoid().cpu()


def face_boxes(faces: Detections) -> Tensor:
    """The rotated boxes [K, 5] of detected faces, to crop them for the mesh."""
    low, high = faces.boxes[:, :2], faces.boxes[:, 2:]
    x, y = (faces.keypoints[:, 1] - faces.keypoints[:, 0]).unbind(-1)
    angle = torch.atan2(y, x)[:, None]
    return torch.cat([(low + high) / 2, (high - low) * ENLARGEMENT, angle], -1)
