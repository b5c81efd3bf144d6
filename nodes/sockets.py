"""The sockets of our own that the nodes share."""

from __future__ import annotations

from .compat import io

AUVectorSocket = io.Custom("AU_VECTOR")  # au_adapter.AUVector, N faces
AUAdapterSocket = io.Custom("AU_ADAPTER")  # au_adapter.AUAdapter
AUTokensSocket = io.Custom("AU_TOKENS")  # float32 [N, T, width]
FaceLandmarksSocket = io.Custom("FACE_LANDMARKS")  # core's own; see au_adapter.faces.face
FaceReaderSocket = io.Custom("FACE_READER")  # an Estimator: pictures -> Readings
MagicFaceIDEncoderSocket = io.Custom("MAGICFACE_ID_ENCODER")  # MODEL of MagicFace's ID encoder
MagicFaceIDSocket = io.Custom("MAGICFACE_ID")  # nodes.magicface_identity.Identity, P photos
VQAUFaceSocket = io.Custom("VQ_AUFACE")  # nodes.sample_vqauface.LoadedVQAUFace
AUEditNetSocket = io.Custom("AUEDITNET")  # nodes.apply_aueditnet.LoadedAUEditNet
FaceLatentSocket = io.Custom("FACE_LATENT")  # au_adapter.methods.wplus_editing.FaceLatent, N faces
FaceCropSocket = io.Custom("FACE_CROP")  # au_adapter.faces.squares.FaceCrop, F faces
FloatsSocket = io.Custom("FLOATS")  # a list of numbers in AnimateDiff Evolved and others
AUReadingSocket = io.Custom("AU_READING")  # au_adapter.estimators.reading.ReadingSet
AUReportSocket = io.Custom("AU_REPORT")  # au_adapter.evaluation.report.Report
LossMapSocket = io.Custom("LOSS_MAP")  # core's own: {"loss": one number a step}
