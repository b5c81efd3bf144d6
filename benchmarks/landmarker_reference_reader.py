"""Runs in the environment of landmarker.py: a job on stdin, mediapipe's numbers on stdout as JSON.

Points are [x, y, z] in pixels (z scaled like x, as mediapipe says); a pose is the 4x4 matrix by
rows; a detection is [x0, y0, x1, y1, score]; `person` is the mask at the centres of 8 x 8 fields.
"""

import json
import sys
import time
import zipfile
from pathlib import Path

import mediapipe as mp
import numpy as np
from mediapipe.tasks.python import BaseOptions, vision
from PIL import Image

MOST_FACES = 10
FIELDS = 8
FULL_CONFIDENCE = 0.6  # what the full-range graph uses, whatever it is asked for


def main():
    job = json.load(sys.stdin)
    models, every_point, seconds = Path(job["models"]), job["every_point"], job["seconds"]
    readers = [
        lambda picture: read_faces(landmarker, picture, every_point, seconds),
        lambda picture: {"short": read_short(short, picture)},
        lambda picture: {"full": read_full(full, picture)},
        lambda picture: {"person": read_person(segmenter, picture)},
    ]
    with (
        open_landmarker(models) as landmarker,
        open_short(models) as short,
        mp.solutions.face_detection.FaceDetection(FULL_CONFIDENCE, model_selection=1) as full,
        open_segmenter(models) as segmenter,
    ):
        rows = {}
        for file in map(Path, job["files"]):
            picture = np.array(Image.open(file).convert("RGB"))
            rows[file.name] = {"size": picture.shape[:2]}
            for reader in readers:
                rows[file.name] |= reader(picture)
    print(json.dumps(rows))


def open_landmarker(models):
    options = vision.FaceLandmarkerOptions(
        base_options=BaseOptions(model_asset_path=str(models / "face_landmarker.task")),
        output_face_blendshapes=True,
        output_facial_transformation_matrixes=True,
        num_faces=MOST_FACES,
    )
    return vision.FaceLandmarker.create_from_options(options)


def open_short(models):
    """The .task's own detector, merging boxes as the landmarker does."""
    with zipfile.ZipFile(models / "face_landmarker.task") as archive:
        content = archive.read("face_detector.tflite")
    options = vision.FaceDetectorOptions(
        base_options=BaseOptions(model_asset_buffer=content), min_suppression_threshold=0.5
    )
    return vision.FaceDetector.create_from_options(options)


def open_segmenter(models):
    options = vision.ImageSegmenterOptions(
        base_options=BaseOptions(model_asset_path=str(models / "selfie_segmenter.tflite"))
    )
    return vision.ImageSegmenter.create_from_options(options)


def image(picture):
    return mp.Image(mp.ImageFormat.SRGB, np.ascontiguousarray(picture))


def read_faces(landmarker, picture, every_point, seconds):
    height, width = picture.shape[:2]
    start = time.process_time()
    found = landmarker.detect(image(picture))
    spent = {"seconds": time.process_time() - start} if seconds else {}
    faces = zip(
        found.face_landmarks,
        found.face_blendshapes,
        found.facial_transformation_matrixes,
        strict=True,
    )
    return spent | {
        "faces": [
            {
                "points": rounded(
                    [(p.x * width, p.y * height, p.z * width) for p in points[::every_point]], 2
                ),
                "blendshapes": rounded([shape.score for shape in shapes], 4),
                "pose": rounded(pose, 4),
            }
            for points, shapes, pose in faces
        ]
    }


def read_short(detector, picture):
    rows = []
    for found in detector.detect(image(picture)).detections:
        box = found.bounding_box
        corners = (box.origin_x, box.origin_y, box.origin_x + box.width, box.origin_y + box.height)
        rows.append([*corners, round(found.categories[0].score, 4)])
    return rows


def read_full(detector, picture):
    height, width = picture.shape[:2]
    rows = []
    for found in detector.process(picture).detections or []:
        box = found.location_data.relative_bounding_box
        corners = (box.xmin, box.ymin, box.xmin + box.width, box.ymin + box.height)
        pixels = np.array(corners) * (width, height, width, height)
        rows.append([*rounded(pixels, 2), round(found.score[0], 4)])
    return rows


def read_person(segmenter, picture):
    mask = segmenter.segment(image(picture)).confidence_masks[0].numpy_view()
    height, width = mask.shape[:2]
    rows = np.arange(FIELDS) * height // FIELDS + height // FIELDS // 2
    columns = np.arange(FIELDS) * width // FIELDS + width // FIELDS // 2
    return rounded(mask[rows][:, columns], 4)


def rounded(values, digits):
    return np.round(np.asarray(values, float), digits).tolist()


if __name__ == "__main__":
    main()
