"""Lines of the mesh along eyes, brows, lips, irises, nose and outline.

They are MediaPipe's (face_mesh_connections); left and right are the subject's.
"""

from __future__ import annotations

from torch import Tensor

Edges = frozenset[tuple[int, int]]

# fmt: off
FACE_OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152,
    148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109, 10,
)
JAW = FACE_OVAL[29:6:-1]  # from the picture's left
# Each line as the points along it; a ring ends where it began.
LINES: dict[str, tuple[tuple[int, ...], ...]] = {
    "face_oval": (FACE_OVAL,),
    "left_eye": (
        (263, 249, 390, 373, 374, 380, 381, 382, 362),
        (263, 466, 388, 387, 386, 385, 384, 398, 362),
    ),
    "right_eye": (
        (33, 7, 163, 144, 145, 153, 154, 155, 133),
        (33, 246, 161, 160, 159, 158, 157, 173, 133),
    ),
    "left_eyebrow": ((276, 283, 282, 295, 285), (300, 293, 334, 296, 336)),
    "right_eyebrow": ((46, 53, 52, 65, 55), (70, 63, 105, 66, 107)),
    "lips": (
        (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291),
        (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291),
        (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308),
        (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308),
    ),
    "irises": ((474, 475, 476, 477, 474), (469, 470, 471, 472, 469)),
    "nose": (
        (168, 6, 197, 195, 5, 4, 1, 19, 94, 2),
        (98, 97, 2, 326, 327, 294, 278, 344, 440, 275, 4, 45, 220, 115, 48, 64, 98),
    ),
}
# fmt: on
CONTOURS = ("face_oval", "left_eye", "right_eye", "left_eyebrow", "right_eyebrow", "lips")


def connection_sets(triangles: Tensor) -> dict[str, Edges]:
    """The sets of edges that ComfyUI's FACE_LANDMARKS carry, by name.

    triangles [T, 3]: of the canonical face, for the net "tesselation".
    """
    sets = {name: _edges(lines) for name, lines in LINES.items()}
    sets["contours"] = frozenset().union(*(sets[name] for name in CONTOURS))
    sets["all"] = sets["contours"] | sets["irises"] | sets["nose"]
    sets["tesselation"] = _edges([(a, b, c, a) for a, b, c in triangles.tolist()])
    return sets


def _edges(lines: tuple | list) -> Edges:
    return frozenset(pair for line in lines for pair in zip(line, line[1:], strict=False))
