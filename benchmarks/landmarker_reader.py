"""Runs in the environment of landmarker.py: files on stdin -> AU readings on stdout, as JSON.

The map from blendshapes and mesh distances to 0..5 was set by hand on a few photos of people: it
serves to see the direction and the order of changes, not as ground truth.
"""

import json
import sys

import mediapipe as mp
import numpy as np
from mediapipe.tasks.python import BaseOptions, vision
from PIL import Image

UPSAMPLED = 384  # pixels: the detector wants faces larger than the demo model draws


def landmarker(task):
    options = vision.FaceLandmarkerOptions(
        base_options=BaseOptions(model_asset_path=task), output_face_blendshapes=True, num_faces=1
    )
    return vision.FaceLandmarker.create_from_options(options)


def read(reader, file):
    size = (UPSAMPLED, UPSAMPLED)
    picture = Image.open(file).convert("RGB").resize(size, Image.Resampling.LANCZOS)
    found = reader.detect(mp.Image(mp.ImageFormat.SRGB, np.ascontiguousarray(picture)))
    if not found.face_landmarks:
        return None
    scores = {shape.category_name: shape.score for shape in found.face_blendshapes[0]}
    points = np.array([(point.x, point.y) for point in found.face_landmarks[0]])
    return {unit: round(5 * min(1.0, max(0.0, value)), 3) for unit, value in units(scores, points)}


def units(scores, points):
    def both(name):
        return (scores[name + "Left"] + scores[name + "Right"]) / 2

    eyes = np.linalg.norm(points[33] - points[263])
    gap = np.linalg.norm(points[13] - points[14]) / eyes
    yield "1", scores["browInnerUp"]
    yield "2", 1.15 * both("browOuterUp")
    yield "4", both("browDown")
    yield "5", 2.2 * both("eyeWide")
    yield "12", 1.05 * both("mouthSmile")
    yield "15", 2.5 * both("mouthFrown")
    yield "17", 2.5 * scores["mouthShrugLower"]
    yield "25", (gap - 0.01) / 0.2
    yield "26", 1.6 * scores["jawOpen"]


if __name__ == "__main__":
    with landmarker(sys.argv[1]) as face_reader:
        print(json.dumps({file: read(face_reader, file) for file in json.load(sys.stdin)}))
