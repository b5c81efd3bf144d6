"""VQ-AUFace (arXiv 2603.18588): a reference face and a text about Action Units to a new face.

Stage I, `codec`, learns pictures as codes. Stage II, `vqauface`, predicts the codes of the new face
from the text and the reference. What the paper leaves open is chosen here and marked as ours.
"""

from .codec import CodecConfig, ResidualVQGAN
from .vqauface import Condition, Reference, VQAUFace, VQAUFaceConfig

__all__ = [
    "CodecConfig",
    "Condition",
    "Reference",
    "ResidualVQGAN",
    "VQAUFace",
    "VQAUFaceConfig",
]
