"""AU Sides and Face Half Masks: left and right apart, on adapters that move both sides alike."""

from __future__ import annotations

from typing import Any

from au_adapter.faces import from_face_landmarks, half_masks
from au_adapter.facs import AUVector

from .au_vector import ALIASES
from .compat import io, show_text
from .node import Node
from .sockets import AUVectorSocket, FaceLandmarksSocket

SIDE = 512  # of masks without a picture; Apply AU-Adapter takes any size


class AUSides(Node):
    """The left and the right side of an AU vector as two vectors, for two Apply AU-Adapter nodes
    with the masks of Face Half Masks.

    au_vector: With sides, as in the notation L12D+R12A+1B.
    left: The person's left.
    right: The person's right.
    """

    emits_vectors = True

    @classmethod
    def define_schema(cls) -> io.Schema:
        return cls.schema(
            "AU Sides",
            family="expression",
            aliases=[*ALIASES, "left", "right", "asymmetric", "unilateral", "crooked smile"],
            inputs=[AUVectorSocket.Input("au_vector")],
            outputs=[
                AUVectorSocket.Output(display_name="left"),
                AUVectorSocket.Output(display_name="right"),
            ],
        )

    @classmethod
    def execute(cls, au_vector: AUVector) -> io.NodeOutput:
        return io.NodeOutput(*(AUVector(au_vector.units, side) for side in au_vector.sides()))


class FaceHalfMasks(Node):
    """Masks of the left and the right half of faces; together they are white everywhere. Without
    landmarks a vertical line parts the picture.

    midline: Where the line stands in pictures without landmarks, 0 = left edge, 1 = right edge. A
        face that looks at you has its left on your right.
    softness: Over how much of the face one half passes into the other, as a share of its longer
        side; without landmarks, of the picture's width.
    face_landmarks: Of the picture that is sampled on, or of one with the same pose. Each pixel
        belongs to the face nearest to it.
    left: The person's left half.
    right: The person's right half.
    """

    @classmethod
    def define_schema(cls) -> io.Schema:
        return cls.schema(
            "Face Half Masks",
            family="draw a face",
            aliases=["half face", "left", "right", "asymmetric", "landmarks", "MediaPipe"],
            inputs=[
                io.Float.Input("midline", default=0.5, min=0.0, max=1.0, step=0.01),
                io.Float.Input("softness", default=0.1, min=0.0, max=1.0, step=0.01),
                FaceLandmarksSocket.Input("face_landmarks", optional=True),
            ],
            outputs=[io.Mask.Output(display_name="left"), io.Mask.Output(display_name="right")],
            shows_text=True,
        )

    @classmethod
    def execute(
        cls, midline: float, softness: float, face_landmarks: dict[str, Any] | None = None
    ) -> io.NodeOutput:
        frames, size = [[]], (SIDE, SIDE)
        if face_landmarks is not None:
            frames = from_face_landmarks(face_landmarks)
            size = tuple(face_landmarks["image_size"])
            faceless = [str(number) for number, faces in enumerate(frames, 1) if not faces]
            if faceless:
                show_text(cls, f"No face in picture {', '.join(faceless)}: parted at {midline:g}.")
        return io.NodeOutput(*half_masks(frames, size, softness, midline))
