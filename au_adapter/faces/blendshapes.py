"""52 blendshape scores by ARKit's names, from the points of a mesh: MediaPipe Blendshape V2.

The network reads 146 of the 478 points, listed in MediaPipe's face_blendshapes_graph.
"""

from __future__ import annotations

from torch import Tensor, nn

from .executor import TFLiteNetwork

# fmt: off
BLENDSHAPE_NAMES = (
    "_neutral",
    "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight",
    "cheekPuff", "cheekSquintLeft", "cheekSquintRight",
    "eyeBlinkLeft", "eyeBlinkRight", "eyeLookDownLeft", "eyeLookDownRight", "eyeLookInLeft",
    "eyeLookInRight", "eyeLookOutLeft", "eyeLookOutRight", "eyeLookUpLeft", "eyeLookUpRight",
    "eyeSquintLeft", "eyeSquintRight", "eyeWideLeft", "eyeWideRight",
    "jawForward", "jawLeft", "jawOpen", "jawRight",
    "mouthClose", "mouthDimpleLeft", "mouthDimpleRight", "mouthFrownLeft", "mouthFrownRight",
    "mouthFunnel", "mouthLeft", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthPressLeft",
    "mouthPressRight", "mouthPucker", "mouthRight", "mouthRollLower", "mouthRollUpper",
    "mouthShrugLower", "mouthShrugUpper", "mouthSmileLeft", "mouthSmileRight", "mouthStretchLeft",
    "mouthStretchRight", "mouthUpperUpLeft", "mouthUpperUpRight",
    "noseSneerLeft", "noseSneerRight",
)
MESH_POINTS = (
    0, 1, 4, 5, 6, 7, 8, 10, 13, 14, 17, 21, 33, 37, 39, 40, 46, 52, 53, 54, 55, 58, 61, 63, 65, 66,
    67, 70, 78, 80, 81, 82, 84, 87, 88, 91, 93, 95, 103, 105, 107, 109, 127, 132, 133, 136, 144,
    145, 146, 148, 149, 150, 152, 153, 154, 155, 157, 158, 159, 160, 161, 162, 163, 168, 172, 173,
    176, 178, 181, 185, 191, 195, 197, 234, 246, 249, 251, 263, 267, 269, 270, 276, 282, 283, 284,
    285, 288, 291, 293, 295, 296, 297, 300, 308, 310, 311, 312, 314, 317, 318, 321, 323, 324, 332,
    334, 336, 338, 356, 361, 362, 365, 373, 374, 375, 377, 378, 379, 380, 381, 382, 384, 385, 386,
    387, 388, 389, 390, 397, 398, 400, 402, 405, 409, 415, 454, 466, 468, 469, 470, 471, 472, 473,
    474, 475, 476, 477,
)
# fmt: on


class Blendshapes(nn.Module):
    """Blendshape scores from points."""

    def __init__(self, network: TFLiteNetwork):
        super().__init__()
        found = network.graph.shapes[network.graph.outputs[0]][-1]
        if found != len(BLENDSHAPE_NAMES):
            raise ValueError(
                f"This is not the blendshape model known here: it gives {found} scores, "
                f"expected {len(BLENDSHAPE_NAMES)}"
            )
        self.network = network

    def forward(self, points: Tensor) -> Tensor:
        """Points [F, 478, 2 or 3], in pixels or another unit -> scores [F, 52] in 0..1, in the
        order of BLENDSHAPE_NAMES; left and right are the subject's."""
        chosen = points[:, MESH_POINTS, :2].to(self.network.device)
        return self.network(chosen)[0].cpu()
