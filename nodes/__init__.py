"""The nodes of AU-Adapter: ComfyUI's face of the library, and the only code that imports comfy."""

from __future__ import annotations

from . import example_photos, panel, picture_record
from .apply import ApplyAUAdapter
from .apply_aueditnet import ApplyAUEditNet, InvertFace, LoadAUEditNet
from .apply_magicface import ApplyMagicFace, LoadMagicFace, MagicFaceIDEncoder
from .au_adapter import AUEncoder, LoadAUAdapter, SaveAUAdapter
from .au_change import AUChange
from .au_correction import AUCorrection
from .au_evaluator import AUEvaluator, SaveAUReport
from .au_keyframes import AUKeyframes
from .au_protocol import AUProtocol
from .au_sides import AUSides, FaceHalfMasks
from .au_text import AUFromText, AUText
from .au_vector import AUSweep, AUVectorNode
from .calibrate_adapter import CalibrateAUAdapter
from .demo_model import LoadDemoModel
from .expression import AUExpression
from .face_edit import PasteFace, PrepareMagicFace
from .guider import AUGuider
from .label_pictures import LabelPictures
from .numbers import AUReadingJSON, CountAUVectors
from .read_faces import AUEstimator, LoadFaceReader
from .sample_vqauface import LoadVQAUFace, SampleVQAUFace
from .train_adapter import TrainAUAdapter

NODES = (
    AUVectorNode, AUSweep, AUExpression, AUText, AUFromText, AUKeyframes, AUSides, FaceHalfMasks,
    AUEncoder, LoadAUAdapter, SaveAUAdapter, ApplyAUAdapter, AUGuider, LoadDemoModel,
    LoadFaceReader, AUEstimator, AUChange, AUProtocol, AUEvaluator, SaveAUReport,
    CalibrateAUAdapter, AUCorrection, LoadMagicFace, MagicFaceIDEncoder, ApplyMagicFace,
    LoadAUEditNet, InvertFace, ApplyAUEditNet, PrepareMagicFace, PasteFace, LoadVQAUFace,
    SampleVQAUFace, TrainAUAdapter, LabelPictures, CountAUVectors, AUReadingJSON,
)  # fmt: skip

picture_record.register(NODES)
panel.register()
example_photos.offer()
